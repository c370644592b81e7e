// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/data/picture.hpp"

DTASK_BEGIN

/// How much memory a value keeps, in bytes, for bounds in bytes: `held_bytes<T>::of(value)`.
///
/// Counted: what `bytes`, strings, pictures, vectors, pairs and optionals hold. A type of its own has a member
/// `std::uint64_t size_bytes() const`, or a specialisation of this; anything else counts as its own size, which is
/// right for plain aggregates of numbers only.
template <class T>
struct held_bytes {
  /// The bytes that `value` keeps, itself included.
  static std::uint64_t of(const T& value) noexcept {
    if constexpr (requires { static_cast<std::uint64_t>(value.size_bytes()); })
      return static_cast<std::uint64_t>(value.size_bytes());
    else
      return sizeof(T);
  }
};
/// @cond internal
template <>
struct held_bytes<bytes> {
  static std::uint64_t of(const bytes& value) noexcept { return sizeof(bytes) + value.size(); }
};
template <>
struct held_bytes<picture> {
  static std::uint64_t of(const picture& value) noexcept { return sizeof(picture) + value.rgb.size(); }
};
template <>
struct held_bytes<std::string> {
  static std::uint64_t of(const std::string& value) noexcept { return sizeof(std::string) + value.size(); }
};
template <class T>
struct held_bytes<std::vector<T>> {
  static std::uint64_t of(const std::vector<T>& value) noexcept {
    std::uint64_t sum = sizeof(value);
    if constexpr (std::is_arithmetic_v<T>) {
      sum += value.size() * sizeof(T);
    } else {
      for (const T& element : value) sum += held_bytes<T>::of(element);
    }
    return sum;
  }
};
template <class A, class B>
struct held_bytes<std::pair<A, B>> {
  static std::uint64_t of(const std::pair<A, B>& value) noexcept {
    return held_bytes<A>::of(value.first) + held_bytes<B>::of(value.second);
  }
};
template <class T>
struct held_bytes<std::optional<T>> {
  static std::uint64_t of(const std::optional<T>& value) noexcept {
    return value ? held_bytes<T>::of(*value) : sizeof(value);
  }
};
/// @endcond

DTASK_END
