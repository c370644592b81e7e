// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/job/detail/shape.hpp"
#include "dtask/job/detail/shape_class.hpp"
#include "dtask/job/detail/shape_std.hpp"

DTASK_BEGIN
namespace detail {

template <class T, class... Seen>
consteval obstacle obstacle_in();

template <class... Ps, class... Seen>
consteval obstacle obstacle_in_parts(type_list<Ps...>, type_list<Seen...>) {
  obstacle found = obstacle::none;
  static_cast<void>(((found = obstacle_in<std::remove_const_t<Ps>, Seen...>(), found == obstacle::none) && ...));
  return found;
}

template <class T, class... Seen>
consteval obstacle obstacle_in() {
  if constexpr ((std::is_same_v<T, Seen> || ...))
    return obstacle::none;
  else if constexpr (shape<T>::found != obstacle::none)
    return shape<T>::found;
  else
    return obstacle_in_parts(typename shape<T>::parts{}, type_list<T, Seen...>{});
}

}  // namespace detail

/// Whether values of `T` can be a job's argument or result: numbers, enums, strings, `bytes`, the standard containers,
/// optional, variant, tuple, duration, plain aggregates of these, types with a cereal `serialize`, and types with a
/// `codec`.
template <class T>
concept travels = detail::obstacle_in<T>() == detail::obstacle::none;

/// True where `T` travels; otherwise one sentence at compile time.
template <class T>
consteval bool require_travels() {
  using enum detail::obstacle;
  constexpr detail::obstacle found = detail::obstacle_in<T>();
  static_assert(found != pointer,
                "dtask: a job's argument or result holds a pointer (raw, shared, unique or weak); addresses mean "
                "nothing in another process: hold the value itself");
  static_assert(found != view,
                "dtask: a job's argument or result holds a view (string_view, span); it would dangle in another "
                "process: hold a string, a vector or dtask::bytes");
  static_assert(found != reference, "dtask: a job's argument or result is or holds a reference: hold the value itself");
  static_assert(found != c_array,
                "dtask: a job's argument or result holds a C array, whose fields cannot be told apart: use std::array");
  static_assert(found != base_class,
                "dtask: an aggregate with a base class is a job's argument or result: make the base a member, or give "
                "the type a cereal serialize()");
  static_assert(
      found != polymorphic,
      "dtask: a job's argument or result has virtual functions; what type it is cannot travel: use std::variant");
  static_assert(found != platform,
                "dtask: a job's argument or result holds a type whose size or meaning differs between machines (long "
                "double, wchar_t, steady_clock): use a fixed one");
  static_assert(found != not_constructible,
                "dtask: a job's argument or result cannot be default-constructed, so there is nothing to decode into: "
                "give it a default constructor");
  static_assert(found != too_many_fields,
                "dtask: an aggregate with more than 64 fields is a job's argument or result: group them, or give the "
                "type a cereal serialize()");
  static_assert(found != no_codec,
                "dtask: a job's argument or result is a class that dtask cannot look into: make it a plain aggregate, "
                "or give it a cereal serialize() or a dtask::codec");
  return found == none;
}

namespace detail {

// What a type's own serialize names is known only once it is instantiated, so each value is checked here.
template <class T>
void write_any(encoder& to, const T& value) {
  if constexpr (require_travels<T>()) shape<T>::write(to, value);
}
template <class T>
void read_any(decoder& from, T& value) {
  if constexpr (require_travels<T>()) shape<T>::read(from, value);
}
template <class T>
void describe_any(schema_writer& to) {
  if constexpr (require_travels<T>()) shape<T>::describe(to);
}

}  // namespace detail

DTASK_END
