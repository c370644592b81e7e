// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ratio>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "dtask/base/config.hpp"
#include "dtask/job/detail/shape.hpp"

DTASK_BEGIN
namespace detail {

// What the standard library has of a number of parts that its type says: pairs to variants, complex numbers, times.

template <class A, class B>
struct shape<std::pair<A, B>> : shape_base {
  using parts = type_list<A, B>;
  template <class V>
  static void write(encoder& to, V&& value) {
    shape<std::remove_const_t<A>>::write(to, part_of<V>(value.first));
    shape<B>::write(to, part_of<V>(value.second));
  }
  static void read(decoder& from, std::pair<A, B>& value) {
    shape<A>::read(from, value.first);
    shape<B>::read(from, value.second);
  }
  static void describe(schema_writer& to) { describe_parts<std::pair<A, B>>(to, "{", "}"); }
};

template <class... Ts>
struct shape<std::tuple<Ts...>> : shape_base {
  using parts = type_list<Ts...>;
  template <class V>
  static void write(encoder& to, V&& value) {
    std::apply([&](auto&... each) { (shape<Ts>::write(to, part_of<V>(each)), ...); }, value);
  }
  static void read(decoder& from, std::tuple<Ts...>& value) {
    std::apply([&](Ts&... each) { (shape<Ts>::read(from, each), ...); }, value);
  }
  static void describe(schema_writer& to) { describe_parts<std::tuple<Ts...>>(to, "{", "}"); }
};

template <class T>
struct shape<std::optional<T>> : shape_base {
  using parts = type_list<T>;
  template <class V>
  static void write(encoder& to, V&& value) {
    to.put(value.has_value());
    if (!value) return;
    to.enter();
    shape<T>::write(to, part_of<V>(*value));
    to.leave();
  }
  static void read(decoder& from, std::optional<T>& value) {
    value.reset();
    if (!from.get<bool>()) return;
    from.enter();
    shape<T>::read(from, value.emplace());
    from.leave();
  }
  static void describe(schema_writer& to) { describe_parts<std::optional<T>>(to, "optional<", ">"); }
};

template <>
struct shape<std::monostate> : shape_base {
  static void write(encoder&, std::monostate) {}
  static void read(decoder&, std::monostate&) {}
  static void describe(schema_writer& to) { to.word("nothing"); }
};

template <class... Ts>
struct shape<std::variant<Ts...>> : shape_base {
  using parts = type_list<Ts...>;
  static_assert(sizeof...(Ts) < 256, "dtask: a variant of more than 255 alternatives cannot travel");
  template <class V>
  static void write(encoder& to, V&& value) {
    if (value.valueless_by_exception()) throw error(errc::encode_failed, "a variant without a value");
    to.put(static_cast<std::uint8_t>(value.index()));
    to.enter();
    std::visit([&]<class T>(T& held) { shape<std::remove_const_t<T>>::write(to, part_of<V>(held)); }, value);
    to.leave();
  }
  static void read(decoder& from, std::variant<Ts...>& value) {
    const std::size_t index = from.get<std::uint8_t>();
    if (index >= sizeof...(Ts)) from.fail("a variant of an alternative that does not exist");
    from.enter();
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (static_cast<void>(I == index && (shape<Ts>::read(from, value.template emplace<I>()), true)), ...);
    }(std::index_sequence_for<Ts...>{});
    from.leave();
  }
  static void describe(schema_writer& to) { describe_parts<std::variant<Ts...>>(to, "variant<", ">"); }
};

template <class T>
struct shape<std::complex<T>> : shape_base {
  using parts = type_list<T>;
  static void write(encoder& to, const std::complex<T>& value) {
    shape<T>::write(to, value.real());
    shape<T>::write(to, value.imag());
  }
  static void read(decoder& from, std::complex<T>& value) {
    T real{}, imaginary{};
    shape<T>::read(from, real);
    shape<T>::read(from, imaginary);
    value = {real, imaginary};
  }
  static void describe(schema_writer& to) { describe_parts<std::complex<T>>(to, "complex<", ">"); }
};

template <class R, class P>
struct shape<std::chrono::duration<R, P>> : shape_base {
  using parts = type_list<R>;
  static void write(encoder& to, const std::chrono::duration<R, P>& value) { shape<R>::write(to, value.count()); }
  static void read(decoder& from, std::chrono::duration<R, P>& value) {
    R count{};
    shape<R>::read(from, count);
    value = std::chrono::duration<R, P>(count);
  }
  static void describe(schema_writer& to) {
    describe_parts<std::chrono::duration<R, P>>(to, "duration<", ", ");
    to.word(std::to_string(P::num) + "/" + std::to_string(P::den) + ">");
  }
};
template <class D>
struct shape<std::chrono::time_point<std::chrono::system_clock, D>> : shape_base {
  using parts = type_list<D>;
  using point = std::chrono::time_point<std::chrono::system_clock, D>;
  static void write(encoder& to, const point& value) { shape<D>::write(to, value.time_since_epoch()); }
  static void read(decoder& from, point& value) {
    D since{};
    shape<D>::read(from, since);
    value = point(since);
  }
  static void describe(schema_writer& to) { describe_parts<point>(to, "time<", ">"); }
};
template <class D>
struct shape<std::chrono::time_point<std::chrono::steady_clock, D>> : shape_refused<obstacle::platform> {};

}  // namespace detail
DTASK_END
