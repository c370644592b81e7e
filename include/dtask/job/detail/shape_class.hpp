// SPDX-License-Identifier: BSL-1.0
#pragma once
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#endif
#include <boost/pfr/core.hpp>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/job/detail/cereal.hpp"
#include "dtask/job/detail/shape.hpp"

DTASK_BEGIN
namespace detail {

/// Becomes any type but `T` itself, for counting initialisers.
template <class T>
struct any_field {
  template <class U>
    requires(!std::is_same_v<U, T>)
  operator U() const {
    std::terminate();  // never called; clang wants a body where a constexpr constructor could call it
  }
};
/// Becomes a base of `T` only.
template <class T>
struct any_base {
  template <class U>
    requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>)
  operator U() const {
    std::terminate();
  }
};

template <class T, std::size_t... I>
consteval bool takes(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), std::declval<any_field<T>>())...}; };
}
/// Position `Before` of `T` takes a braced pair, with `After` more initialisers behind it.
template <class T, std::size_t... B, std::size_t... A>
consteval bool takes_pair(std::index_sequence<B...>, std::index_sequence<A...>) {
  return requires {
    T{(static_cast<void>(B), std::declval<any_field<T>>())...,
      {std::declval<any_field<T>>(), std::declval<any_field<T>>()},
      (static_cast<void>(A), std::declval<any_field<T>>())...};
  };
}
inline constexpr std::size_t most_fields = 64;

/// The most initialisers that an aggregate takes; a C array counts once per element.
template <class T, std::size_t N = 0>
consteval std::size_t initialisers() {
  if constexpr (N <= most_fields && takes<T>(std::make_index_sequence<N + 1>{}))
    return initialisers<T, N + 1>();
  else
    return N;
}
/// An array swallows a braced pair and then leaves fewer places than a field of its own would.
template <class T, std::size_t N>
consteval bool has_c_array() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return ((takes_pair<T>(std::make_index_sequence<I>{}, std::index_sequence<>{}) &&
             !takes_pair<T>(std::make_index_sequence<I>{}, std::make_index_sequence<N - I - 1>{})) ||
            ...);
  }(std::make_index_sequence<N>{});
}

template <class T>
consteval obstacle aggregate_obstacle() {
  if constexpr (!std::is_default_constructible_v<T>) {
    return obstacle::not_constructible;
  } else if constexpr (requires { T{std::declval<any_base<T>>()}; }) {
    return obstacle::base_class;
  } else {
    constexpr std::size_t n = initialisers<T>();
    if constexpr (n > most_fields)
      return obstacle::too_many_fields;
    else if constexpr (has_c_array<T, n>())
      return obstacle::c_array;
    else
      return obstacle::none;
  }
}

template <class T>
concept plain_aggregate = std::is_aggregate_v<T> && std::is_class_v<T>;

/// The fields as a tuple of references. PFR's own counting of them crashes g++ 12 where a field has a default like
/// `std::vector<std::string> v{"a"}`, so it is told the count.
template <class T>
constexpr auto tie_fields(T& value) {
  return boost::pfr::detail::tie_as_tuple(value, boost::pfr::detail::size_t_<initialisers<std::remove_const_t<T>>()>{});
}
template <class Tuple, std::size_t... I>
auto fields_of(std::index_sequence<I...>) -> type_list<
    std::remove_reference_t<decltype(boost::pfr::detail::sequence_tuple::get<I>(std::declval<Tuple&>()))>...>;
template <class T>
using fields =
    decltype(fields_of<decltype(tie_fields(std::declval<T&>()))>(std::make_index_sequence<initialisers<T>()>{}));

template <class T, class F>
void each_field(T& value, F f) {
  auto tied = tie_fields(value);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (f(boost::pfr::detail::sequence_tuple::get<I>(tied)), ...);
  }(std::make_index_sequence<initialisers<std::remove_const_t<T>>()>{});
}

template <class T>
inline constexpr char type_mark = 0;

template <class T>
struct shape_aggregate : shape_base {
  using parts = fields<T>;
  template <class V>
  static void write(encoder& to, V&& value) {
    to.enter();
    each_field(value, [&]<class F>(F& field) { shape<std::remove_const_t<F>>::write(to, part_of<V>(field)); });
    to.leave();
  }
  static void read(decoder& from, T& value) {
    from.enter();
    each_field(value, [&]<class F>(F& field) { shape<F>::read(from, field); });
    from.leave();
  }
  static void describe(schema_writer& to) {
    if (!to.enter(&type_mark<T>)) return;
    describe_parts<T>(to, "{", "}");
    to.leave();
  }
};

template <class T>
struct shape_cereal : shape_base {
  static void write(encoder& to, const T& value) {
    to.enter();
    if (to.archive != nullptr) {
      static_cast<cereal_writer*>(to.archive)->own(value);
    } else {
      cereal_writer archive(to);
      to.archive = &archive;
      archive.own(value);
      to.archive = nullptr;
    }
    to.leave();
  }
  static void read(decoder& from, T& value) {
    from.enter();
    if (from.archive != nullptr) {
      static_cast<cereal_reader*>(from.archive)->own(value);
    } else {
      cereal_reader archive(from);
      from.archive = &archive;
      archive.own(value);
      from.archive = nullptr;
    }
    from.leave();
  }
  static void describe(schema_writer& to) {
    if (!to.enter(&type_mark<T>)) return;
    to.word("{");
    cereal_recorder archive(to);
    archive.own(T{});
    to.word("}");
    to.leave();
  }
};

template <class T>
consteval auto choose_class() {
  if constexpr (std::is_polymorphic_v<T>)
    return std::type_identity<shape_refused<obstacle::polymorphic>>{};
  else if constexpr (cereal_type<T>) {
    if constexpr (std::is_default_constructible_v<T>)
      return std::type_identity<shape_cereal<T>>{};
    else
      return std::type_identity<shape_refused<obstacle::not_constructible>>{};
  } else if constexpr (plain_aggregate<T>) {
    constexpr obstacle found = aggregate_obstacle<T>();
    if constexpr (found == obstacle::none)
      return std::type_identity<shape_aggregate<T>>{};
    else
      return std::type_identity<shape_refused<found>>{};
  } else
    return std::type_identity<shape_refused<obstacle::no_codec>>{};
}

template <class T>
struct shape : decltype(choose_class<T>())::type {};

}  // namespace detail
DTASK_END
