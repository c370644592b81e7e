// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace control {

/// No slot: the end of an index list, or a reference to nothing.
inline constexpr std::uint32_t none = 0xffffffffU;

/// A table of records in pages that never move, addressed by slot. `T` has a member `std::uint32_t generation`, odd
/// while the record is in use, so that an id (slot and generation) of a record that is gone finds nothing even after
/// its slot was used again.
///
/// All operations are O(1). Pages are kept until the table dies: its size is that of its peak.
template <class T>
class slab {
 public:
  static constexpr std::uint32_t page = 1024;

  slab() = default;
  /// `first`: where generations begin in ids, so that two tables (of a process and of the one that replaces it) do not
  /// give the same ids.
  explicit slab(std::uint32_t first) noexcept : first_(first & ~1U) {}
  slab(const slab&) = delete;
  slab& operator=(const slab&) = delete;
  ~slab() {
    for (void* const p : pages_) delete[] static_cast<T*>(p);
  }

  /// A fresh record; its slot.
  std::uint32_t insert() {
    std::uint32_t slot = none;
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else {
      slot = used_++;
      if (slot / page == pages_.size()) add_page();
    }
    ++(*this)[slot].generation;
    ++size_;
    return slot;
  }
  /// Ends the record: all that it held is let go.
  void erase(std::uint32_t slot) {
    T& item = (*this)[slot];
    const std::uint32_t generation = item.generation + 1;
    item = T{};
    item.generation = generation;
    free_.push_back(slot);
    --size_;
  }

  T& operator[](std::uint32_t slot) noexcept { return static_cast<T*>(pages_[slot / page])[slot % page]; }
  const T& operator[](std::uint32_t slot) const noexcept {
    return static_cast<const T*>(pages_[slot / page])[slot % page];
  }

  /// The name of a record in messages: never 0, never used twice within 2^31 uses of a slot.
  std::uint64_t id(std::uint32_t slot) const noexcept {
    return std::uint64_t{(*this)[slot].generation + first_} << 32 | slot;
  }
  /// The slot of the record with this id, or `none`.
  std::uint32_t find(std::uint64_t id) const noexcept {
    const auto slot = static_cast<std::uint32_t>(id);
    const auto generation = static_cast<std::uint32_t>(id >> 32) - first_;
    return slot < used_ && (generation & 1) != 0 && (*this)[slot].generation == generation ? slot : none;
  }
  bool live(std::uint32_t slot) const noexcept { return slot < used_ && ((*this)[slot].generation & 1) != 0; }
  /// Live records.
  std::uint32_t size() const noexcept { return size_; }
  /// Slots are below this.
  std::uint32_t bound() const noexcept { return used_; }

 private:
  void add_page() {
    std::unique_ptr<T[]> made(new T[page]());
    pages_.push_back(made.get());
    made.release();
  }

  /// Arrays of T: a vector of their owners would be one more kind of vector for each T.
  std::vector<void*> pages_;
  std::vector<std::uint32_t> free_;
  std::uint32_t used_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t first_ = 0;  ///< even
};

/// The neighbours of a record in a list of slots.
struct list_node {
  std::uint32_t next = none;
  std::uint32_t prev = none;
};

/// A doubly linked list through a `list_node` member of the records of a slab. It holds slots, no memory.
template <class T, list_node T::* Node>
class slot_list {
 public:
  bool empty() const noexcept { return head_ == none; }
  std::uint32_t front() const noexcept { return head_; }
  std::uint32_t back() const noexcept { return tail_; }
  std::uint32_t size() const noexcept { return size_; }
  static std::uint32_t next(const slab<T>& table, std::uint32_t slot) noexcept { return (table[slot].*Node).next; }
  static std::uint32_t prev(const slab<T>& table, std::uint32_t slot) noexcept { return (table[slot].*Node).prev; }

  void push_back(slab<T>& table, std::uint32_t slot) noexcept {
    table[slot].*Node = {none, tail_};
    (tail_ == none ? head_ : (table[tail_].*Node).next) = slot;
    tail_ = slot;
    ++size_;
  }
  void push_front(slab<T>& table, std::uint32_t slot) noexcept {
    table[slot].*Node = {head_, none};
    (head_ == none ? tail_ : (table[head_].*Node).prev) = slot;
    head_ = slot;
    ++size_;
  }
  void erase(slab<T>& table, std::uint32_t slot) noexcept {
    list_node& node = table[slot].*Node;
    (node.prev == none ? head_ : (table[node.prev].*Node).next) = node.next;
    (node.next == none ? tail_ : (table[node.next].*Node).prev) = node.prev;
    node = {};
    --size_;
  }

 private:
  std::uint32_t head_ = none;
  std::uint32_t tail_ = none;
  std::uint32_t size_ = 0;
};

}  // namespace control
DTASK_END
