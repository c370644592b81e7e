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
  using value_type = T;                                      ///< the type of the value
  result(T value) : value_(std::move(value)) {}              ///< success, with this value
  result(dtask::error e) noexcept : error_(std::move(e)) {}  ///< failure, with this error

  bool has_value() const noexcept { return value_.has_value(); }   ///< whether there is a value
  explicit operator bool() const noexcept { return has_value(); }  ///< the same
  /// The value; throws the error where there is none.
  T& value() & {
    if (!value_) throw error_;
    return *value_;
  }
  /// The same.
  const T& value() const& {
    if (!value_) throw error_;
    return *value_;
  }
  /// The same, moved out.
  T value() && {
    if (!value_) throw error_;
    return *std::move(value_);
  }
  /// The value. Precondition: `has_value()`; so with those below.
  T& operator*() noexcept { return *value_; }
  const T& operator*() const noexcept { return *value_; }    ///< the same
  T* operator->() noexcept { return &*value_; }              ///< its members
  const T* operator->() const noexcept { return &*value_; }  ///< the same
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
  using value_type = void;                                               ///< the type of the value
  result() = default;                                                    ///< success
  result(dtask::error e) : error_(std::move(e)) {}                       ///< failure, with this error
  bool has_value() const noexcept { return error_.code() == errc::ok; }  ///< whether it succeeded
  explicit operator bool() const noexcept { return has_value(); }        ///< the same
  /// Throws the error where there is one.
  void value() const {
    if (!has_value()) throw error_;
  }
  /// The error; one with the code `ok` where there is none.
  const dtask::error& error() const noexcept { return error_; }

 private:
  dtask::error error_;
};

DTASK_END
