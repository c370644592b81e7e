// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace wire {

/// A value of exactly one of the types, each at most once in the list; the first one after default construction.
///
/// A `std::variant` of thirty messages costs every user more than a second of compilation, since each of its operations
/// is a table of thirty functions behind layers of templates. This one is move-only, needs moves that do not throw, and
/// is never empty. A moved-from value holds the moved-from message. Not thread-safe.
template <class... Types>
class one_of {
 public:
  static constexpr std::size_t size = sizeof...(Types);
  /// The place of `Type` in the list; `size` if it is not there.
  template <class Type>
  static constexpr std::size_t index_of = [] {
    std::size_t at = 0;
    static_cast<void>(((std::is_same_v<Type, Types> ? true : (++at, false)) || ...));
    return at;
  }();

  one_of() noexcept : one_of(first()) {}
  template <class Type, class Value = std::remove_cvref_t<Type>>
    requires(index_of<Value> < size)
  one_of(Type&& value) : index_(static_cast<std::uint8_t>(index_of<Value>)) {
    ::new (static_cast<void*>(store_)) Value(std::forward<Type>(value));
  }
  /// A `Type` made in place from the arguments.
  template <class Type, class... Arguments>
    requires(index_of<Type> < size)
  explicit one_of(std::in_place_type_t<Type>, Arguments&&... arguments)
      : index_(static_cast<std::uint8_t>(index_of<Type>)) {
    ::new (static_cast<void*>(store_)) Type{std::forward<Arguments>(arguments)...};
  }
  one_of(one_of&& other) noexcept : index_(other.index_) { move_in(other); }
  one_of& operator=(one_of&& other) noexcept {
    if (this != &other) {
      destroy();
      index_ = other.index_;
      move_in(other);
    }
    return *this;
  }
  ~one_of() { destroy(); }

  std::size_t index() const noexcept { return index_; }
  /// Puts a new `Type` made from the arguments in place of what was here.
  template <class Type, class... Arguments>
  Type& emplace(Arguments&&... arguments) {
    Type value{std::forward<Arguments>(arguments)...};
    destroy();
    index_ = static_cast<std::uint8_t>(index_of<Type>);
    return *::new (static_cast<void*>(store_)) Type(std::move(value));
  }
  /// Puts a new value of the type with this index here. Precondition: `index < size`.
  void emplace_index(std::size_t index) {
    destroy();
    index_ = static_cast<std::uint8_t>(index);
    static_cast<void>(((index_ == index_of<Types> && ::new (static_cast<void*>(store_)) Types()) || ...));
  }
  /// The value if it is a `Type`, else nullptr.
  template <class Type>
  Type* get_if() noexcept {
    static_assert(index_of<Type> < size);
    return index_ == index_of<Type> ? __builtin_launder(reinterpret_cast<Type*>(store_)) : nullptr;
  }
  template <class Type>
  const Type* get_if() const noexcept {
    static_assert(index_of<Type> < size);
    return index_ == index_of<Type> ? __builtin_launder(reinterpret_cast<const Type*>(store_)) : nullptr;
  }

  /// Calls `visitor` with the value.
  template <class Visitor>
  void visit(Visitor&& visitor) {
    static_cast<void>(
        ((index_ == index_of<Types> && (visitor(*__builtin_launder(reinterpret_cast<Types*>(store_))), true)) || ...));
  }
  template <class Visitor>
  void visit(Visitor&& visitor) const {
    static_cast<void>(
        ((index_ == index_of<Types> && (visitor(*__builtin_launder(reinterpret_cast<const Types*>(store_))), true)) ||
         ...));
  }

 private:
  using first = std::tuple_element_t<0, std::tuple<Types...>>;
  // Each operation is one expression over all types: with a lambda, or std::launder and std::move, each type would make
  // functions of its own.
  void move_in(one_of& other) noexcept {
    static_assert((std::is_nothrow_move_constructible_v<Types> && ...));
    static_cast<void>(((index_ == index_of<Types> &&
                        ::new (static_cast<void*>(store_))
                            Types(static_cast<Types&&>(*__builtin_launder(reinterpret_cast<Types*>(other.store_))))) ||
                       ...));
  }
  void destroy() noexcept {
    static_cast<void>(
        ((index_ == index_of<Types> && (__builtin_launder(reinterpret_cast<Types*>(store_))->~Types(), true)) || ...));
  }

  alignas(Types...) std::byte store_[std::max({sizeof(Types)...})];
  std::uint8_t index_;
};

}  // namespace wire
DTASK_END
