// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace wire {

/// Values side by side that grow at the end and may leave at the front, as a queue does; pointers are its iterators.
///
/// A `std::vector` or `std::deque` makes a compiler generate some hundred functions for each type of element, most of
/// them layers of iterators and allocators, and `std::find_if` and `std::erase_if` twenty more at each use. This one
/// makes a dozen. It is move-only and needs moves that do not throw. Growing and erasing moves elements; `pop_front`
/// does not. Not thread-safe.
template <class T>
class row {
 public:
  row() = default;
  row(row&& other) noexcept
      : store_(other.store_), first_(other.first_), size_(other.size_), capacity_(other.capacity_) {
    other.forget();
  }
  row& operator=(row&& other) noexcept {
    if (this == &other) return *this;
    clear();
    ::operator delete(static_cast<void*>(store_));
    store_ = other.store_;
    first_ = other.first_;
    size_ = other.size_;
    capacity_ = other.capacity_;
    other.forget();
    return *this;
  }
  ~row() {
    clear();
    ::operator delete(static_cast<void*>(store_));
  }

  T* begin() noexcept { return store_ + first_; }
  T* end() noexcept { return store_ + first_ + size_; }
  const T* begin() const noexcept { return store_ + first_; }
  const T* end() const noexcept { return store_ + first_ + size_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T& operator[](std::size_t at) noexcept { return store_[first_ + at]; }
  const T& operator[](std::size_t at) const noexcept { return store_[first_ + at]; }
  /// The first and the last one. Precondition: not empty.
  T& front() noexcept { return store_[first_]; }
  T& back() noexcept { return store_[first_ + size_ - 1]; }

  /// Throws std::bad_alloc, which changes nothing.
  void push_back(T value) {
    if (first_ + size_ == capacity_) make_space();
    ::new (static_cast<void*>(store_ + first_ + size_)) T(static_cast<T&&>(value));
    ++size_;
  }
  /// Precondition: not empty.
  void pop_front() noexcept {
    store_[first_].~T();
    ++first_;
    if (--size_ == 0) first_ = 0;
  }
  /// Takes one of its elements out; those behind it move up, unless it is the first.
  void erase(T* at) noexcept {
    if (at == begin()) return pop_front();
    for (T* const last = end() - 1; at != last; ++at) *at = static_cast<T&&>(at[1]);
    at->~T();
    --size_;
  }
  /// Takes out those for which `leaves` is true; it is called once for each, in order.
  template <class Predicate>
  void erase_if(Predicate leaves) {
    T* to = begin();
    for (T& each : *this) {
      if (leaves(each)) continue;
      if (to != &each) *to = static_cast<T&&>(each);
      ++to;
    }
    cut(static_cast<std::size_t>(to - begin()));
  }
  /// Leaves the first `size` of them. Precondition: there are as many.
  void cut(std::size_t size) noexcept {
    while (size_ != size) store_[first_ + --size_].~T();
  }
  /// The first for which `wanted` is true, else nullptr.
  template <class Predicate>
  T* find_if(Predicate wanted) noexcept {
    for (T& each : *this)
      if (wanted(each)) return &each;
    return nullptr;
  }
  void clear() noexcept {
    cut(0);
    first_ = 0;
  }

 private:
  static_assert(std::is_nothrow_move_constructible_v<T> && alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

  void forget() noexcept {
    store_ = nullptr;
    first_ = size_ = capacity_ = 0;
  }
  /// Where half of it lies free in front, the elements move there, so that a queue of a steady length does not grow.
  void make_space() {
    const bool enough = size_ != 0 && first_ >= size_;
    const std::size_t larger = enough ? capacity_ : capacity_ == 0 ? 4 : 2 * capacity_;
    T* const to = enough ? store_ : static_cast<T*>(::operator new(larger * sizeof(T)));
    for (std::size_t i = 0; i < size_; ++i) {
      ::new (static_cast<void*>(to + i)) T(static_cast<T&&>(store_[first_ + i]));
      store_[first_ + i].~T();
    }
    if (!enough) ::operator delete(static_cast<void*>(store_));
    store_ = to;
    capacity_ = larger;
    first_ = 0;
  }

  T* store_ = nullptr;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace wire
DTASK_END
