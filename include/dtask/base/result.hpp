// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <optional>
#include <utility>

#include "dtask/base/error.hpp"

DTASK_BEGIN

/// A value or an error, for functions whose failure is an ordinary answer (C++20 has no std::expected).
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  result(T value) : value_(std::move(value)) {}
  result(dtask::error e) noexcept : error_(std::move(e)) {}

  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  /// The value; throws the error where there is none.
  T& value() & {
    if (!value_) throw error_;
    return *value_;
  }
  const T& value() const& {
    if (!value_) throw error_;
    return *value_;
  }
  T value() && {
    if (!value_) throw error_;
    return *std::move(value_);
  }
  T& operator*() noexcept { return *value_; }
  const T& operator*() const noexcept { return *value_; }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }
  /// The error. Where there is a value, one whose code is `ok`.
  const dtask::error& error() const noexcept { return error_; }

 private:
  // Not a variant, which costs a compiler twice as many functions.
  std::optional<T> value_;
  dtask::error error_;
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
