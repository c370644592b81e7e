// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "dtask/base/config.hpp"
#include "dtask/job/remote_error.hpp"

DTASK_BEGIN

/// The one end of a job: its value or why there is none, and where it ran. `T` may be void.
template <class T = void>
class [[nodiscard]] outcome {
 public:
  using value_type = T;  ///< what the job returns
  /// How the value is kept: `std::monostate` for void.
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  /// A value, given by `worker` at the last of `attempts`.
  outcome(stored value, std::string worker, std::uint32_t attempts)
      : state_(std::in_place_index<0>, std::move(value)), worker_(std::move(worker)), attempts_(attempts) {}
  /// No value; worker and attempts are those of `why`.
  outcome(remote_error why) : state_(std::in_place_index<1>, std::move(why)) {
    worker_ = error().worker();
    attempts_ = error().attempts();
  }

  /// Whether there is a value.
  bool has_value() const noexcept { return state_.index() == 0; }
  /// The same.
  explicit operator bool() const noexcept { return has_value(); }
  /// The value; throws the `remote_error` where there is none.
  std::add_lvalue_reference_t<T> value() & {
    if (!has_value()) throw error();
    if constexpr (!std::is_void_v<T>) return std::get<0>(state_);
  }
  /// The same.
  std::add_lvalue_reference_t<const T> value() const& {
    if (!has_value()) throw error();
    if constexpr (!std::is_void_v<T>) return std::get<0>(state_);
  }
  /// The same, moved out.
  T value() && {
    if (!has_value()) throw error();
    if constexpr (!std::is_void_v<T>) return std::get<0>(std::move(state_));
  }
  /// The value. Precondition: `has_value()`.
  stored& operator*() noexcept { return *std::get_if<0>(&state_); }
  const stored& operator*() const noexcept { return *std::get_if<0>(&state_); }  ///< the same
  /// Its members. Precondition: `has_value()`.
  stored* operator->() noexcept { return std::get_if<0>(&state_); }
  const stored* operator->() const noexcept { return std::get_if<0>(&state_); }  ///< the same
  /// Why there is no value. Where there is one, an error whose code is `ok`, which is false as a condition.
  const remote_error& error() const noexcept {
    static const remote_error none;
    const remote_error* const why = std::get_if<1>(&state_);
    return why != nullptr ? *why : none;
  }

  /// The worker that answered, as `host/name#id`; empty where none did.
  const std::string& worker() const noexcept { return worker_; }
  /// Executions that were started or lost; 1 is a job that ended at the first attempt.
  std::uint32_t attempts() const noexcept { return attempts_; }

 private:
  std::variant<stored, remote_error> state_;
  std::string worker_;
  std::uint32_t attempts_ = 0;
};

DTASK_END
