// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>
#include <variant>

#include "dtask/base/error.hpp"

DTASK_BEGIN

/// A value or an error, for functions whose failure is an ordinary answer (C++20 has no std::expected).
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(dtask::error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  /// The value; throws the error where there is none.
  T& value() & {
    if (!has_value()) throw std::get<1>(state_);
    return std::get<0>(state_);
  }
  const T& value() const& {
    if (!has_value()) throw std::get<1>(state_);
    return std::get<0>(state_);
  }
  T value() && {
    if (!has_value()) throw std::get<1>(state_);
    return std::get<0>(std::move(state_));
  }
  T& operator*() noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const noexcept { return *std::get_if<0>(&state_); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  /// The error. Precondition: `!has_value()`.
  const dtask::error& error() const noexcept { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, dtask::error> state_;
};

/// Success without a value, or an error.
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  result() = default;
  result(dtask::error e) : error_(std::move(e)) {}
  bool has_value() const noexcept { return error_.code() == errc::ok; }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (!has_value()) throw error_;
  }
  const dtask::error& error() const noexcept { return error_; }

 private:
  dtask::error error_;
};

DTASK_END
