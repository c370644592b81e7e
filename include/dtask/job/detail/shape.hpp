// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/job/decoder.hpp"
#include "dtask/job/encoder.hpp"
#include "dtask/job/schema_writer.hpp"

DTASK_BEGIN

// clang-format off
/// The extension point for a type that knows best how it travels, above all one that carries big blocks (a tensor):
/// specialise it in the header that makes the type known to jobs.
/// ```
/// template <> struct dtask::codec<my_image> {
///   static constexpr std::string_view words = "image";  // its name in schemas; change it when the encoding changes
///   static void save(dtask::encoder& to, const my_image& v) {
///     to.put(v.width);                                    // a scalar
///     to.block(dtask::bytes(v.storage, v.data, v.size));  // out of band above 16 KiB: no copy, v's memory is shared
///   }
///   static void load(dtask::decoder& from, my_image& v) {
///     v.width = from.get<std::uint32_t>();  // also from.count(..), from.fail("why")
///     v.adopt(from.block());                // the received memory itself, shared
///   }
/// };
/// ```
/// `load` must check what it reads and, before it allocates, call `from.charge(n)`; `save` then calls `to.charge(n)`
/// with the same n.
// clang-format on
template <class T>
struct codec;

namespace detail {

template <class... Ts>
struct type_list {};

/// Why a type cannot travel; `travels.hpp` has the sentence for each.
enum class obstacle : std::uint8_t {
  none,
  pointer,
  view,
  reference,
  c_array,
  base_class,
  polymorphic,
  platform,
  not_constructible,
  too_many_fields,
  no_codec
};

/// How a type is written, read and described. Written is an lvalue, or an rvalue that may be taken apart. `parts` are
/// the types inside it, `found` what keeps itself from travelling, `least` the fewest bytes it takes.
template <class T>
struct shape;

template <class T>
concept has_codec = requires(encoder& to, decoder& from, const T& saved, T& loaded) {
  codec<T>::save(to, saved);
  codec<T>::load(from, loaded);
  std::string_view(codec<T>::words);
};

template <class T>
concept plain_number = std::is_arithmetic_v<T> && !std::is_same_v<T, long double> && !std::is_same_v<T, wchar_t>;

template <class T>
constexpr std::string_view number_word() {
  if constexpr (std::is_same_v<T, bool>)
    return "bool";
  else if constexpr (std::is_same_v<T, char>)
    return "char";
  else if constexpr (std::is_floating_point_v<T>)
    return sizeof(T) == 4 ? "f32" : "f64";
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 1 ? "i8" : sizeof(T) == 2 ? "i16" : sizeof(T) == 4 ? "i32" : "i64";
  else
    return sizeof(T) == 1 ? "u8" : sizeof(T) == 2 ? "u16" : sizeof(T) == 4 ? "u32" : "u64";
}

struct shape_base {
  using parts = type_list<>;
  static constexpr obstacle found = obstacle::none;
  static constexpr std::size_t least = 1;
};

template <obstacle Found>
struct shape_refused {
  using parts = type_list<>;
  static constexpr obstacle found = Found;
  static constexpr std::size_t least = 1;
};

template <plain_number T>
struct shape<T> : shape_base {
  static constexpr std::size_t least = sizeof(T);
  static void write(encoder& to, T value) { to.put(value); }
  static void read(decoder& from, T& value) { value = from.get<T>(); }
  static void describe(schema_writer& to) { to.word(number_word<T>()); }
};

template <class T>
  requires(std::is_enum_v<T>)
struct shape<T> : shape_base {
  using number = std::underlying_type_t<T>;
  static constexpr std::size_t least = sizeof(T);
  static void write(encoder& to, T value) { to.put(static_cast<number>(value)); }
  static void read(decoder& from, T& value) { value = static_cast<T>(from.get<number>()); }
  static void describe(schema_writer& to) {
    to.word("enum ");
    to.word(number_word<number>());
  }
};

template <>
struct shape<long double> : shape_refused<obstacle::platform> {};
template <>
struct shape<wchar_t> : shape_refused<obstacle::platform> {};
template <class T>
  requires(std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>)
struct shape<T> : shape_refused<obstacle::pointer> {};
template <class T, class D>
struct shape<std::unique_ptr<T, D>> : shape_refused<obstacle::pointer> {};
template <class T>
struct shape<std::shared_ptr<T>> : shape_refused<obstacle::pointer> {};
template <class T>
struct shape<std::weak_ptr<T>> : shape_refused<obstacle::pointer> {};
template <class T>
  requires(std::is_array_v<T>)
struct shape<T> : shape_refused<obstacle::c_array> {};
template <class T>
  requires(std::is_reference_v<T>)
struct shape<T> : shape_refused<obstacle::reference> {};
template <class C, class Tr>
struct shape<std::basic_string_view<C, Tr>> : shape_refused<obstacle::view> {};
template <class T, std::size_t N>
struct shape<std::span<T, N>> : shape_refused<obstacle::view> {};

template <>
struct shape<bytes> : shape_base {
  static constexpr std::size_t least = 8;
  static void write(encoder& to, const bytes& value) { to.block(value); }
  static void read(decoder& from, bytes& value) { value = from.block(); }
  static void describe(schema_writer& to) { to.word("bytes"); }
};

template <class T>
  requires has_codec<T>
struct shape<T> : shape_base {
  static void write(encoder& to, const T& value) { codec<T>::save(to, value); }
  static void read(decoder& from, T& value) { codec<T>::load(from, value); }
  static void describe(schema_writer& to) { to.word(codec<T>::words); }
};

/// Whether a value of type `V&&` may be taken apart: `write` is given it as an rvalue, and what it owns can be moved
/// out.
template <class V>
concept given_away = !std::is_lvalue_reference_v<V> && !std::is_const_v<V>;

/// A part of a value of type `V&&`, given away if the whole is.
template <class V, class T>
constexpr auto&& part_of(T& part) noexcept {
  if constexpr (given_away<V>)
    return std::move(part);
  else
    return std::as_const(part);
}

/// Elements of a container: each takes at least one byte, so that a count can never exceed the bytes that are there.
template <class T, class V>
void write_element(encoder& to, V&& value) {
  const std::size_t before = to.size();
  shape<T>::write(to, std::forward<V>(value));
  if (to.size() == before) to.put(std::uint8_t{0});
}
template <class T>
void read_element(decoder& from, T& value) {
  const std::size_t before = from.left();
  shape<T>::read(from, value);
  if (from.left() == before) static_cast<void>(from.get<std::uint8_t>());
}

template <class T>
void describe_parts(schema_writer& to, std::string_view open, std::string_view close) {
  to.word(open);
  [&]<class... Ps>(type_list<Ps...>) {
    std::size_t i = 0;
    ((to.word(i++ == 0 ? "" : ", "), shape<Ps>::describe(to)), ...);
  }(typename shape<T>::parts{});
  to.word(close);
}

}  // namespace detail
DTASK_END
