// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/parts/result_slot.hpp"

DTASK_BEGIN

/// How a task ended: with a value, with an exception, or with nothing, where it was stopped before it began.
template <class T>
class task_end {
  struct nothing {};
  using stored = std::conditional_t<std::is_void_v<T>, nothing,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

 public:
  using value_type = T;  ///< what the task ends with
  /// Nothing.
  task_end() noexcept = default;
  /// For combinators: takes what is in a task's slot.
  explicit task_end(detail::result_slot<T>& slot) {
    if (slot.failed()) {
      exception_ = slot.exception();
    } else if (slot.has_value()) {
      if constexpr (std::is_void_v<T>)
        value_.emplace();
      else if constexpr (std::is_reference_v<T>)
        value_.emplace(std::addressof(slot.take()));
      else
        value_.emplace(slot.take());
    }
  }

  /// Whether it returned.
  bool has_value() const noexcept { return value_.has_value(); }
  /// The same.
  explicit operator bool() const noexcept { return has_value(); }
  /// What it threw, or null.
  const std::exception_ptr& exception() const noexcept { return exception_; }
  /// The value, nothing for void. Throws what the task threw, and `error(cancelled)` where it never began.
  std::add_lvalue_reference_t<T> value() & {
    check();
    return get();
  }
  /// The same, moved out.
  T value() && {
    check();
    if constexpr (std::is_object_v<T>)
      return *std::move(value_);
    else
      return get();
  }

 private:
  void check() const {
    if (exception_) std::rethrow_exception(exception_);
    if (!value_) throw error(errc::cancelled, "the task was stopped before it began");
  }
  std::add_lvalue_reference_t<T> get() noexcept {
    if constexpr (std::is_void_v<T>)
      return;
    else if constexpr (std::is_reference_v<T>)
      return **value_;
    else
      return *value_;
  }
  std::optional<stored> value_;
  std::exception_ptr exception_;
};

DTASK_END
