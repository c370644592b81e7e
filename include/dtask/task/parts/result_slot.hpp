// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// Nothing yet, a value, or an exception. References are kept as pointers, `void` as nothing.
template <class T>
class result_slot {
  struct nothing {};
  using stored = std::conditional_t<std::is_void_v<T>, nothing,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

 public:
  result_slot() noexcept {}
  result_slot(const result_slot&) = delete;
  result_slot& operator=(const result_slot&) = delete;
  ~result_slot() { clear(); }

  template <class... Args>
  void set(Args&&... args) {
    // A second value (a constructor that threw after one was set) does not happen: a task returns once.
    if constexpr (std::is_reference_v<T>)
      std::construct_at(&value_, std::addressof(args)...);
    else
      std::construct_at(&value_, std::forward<Args>(args)...);
    state_ = state::value;
  }
  void fail(std::exception_ptr e) noexcept {
    clear();
    std::construct_at(&exception_, std::move(e));
    state_ = state::exception;
  }
  bool empty() const noexcept { return state_ == state::empty; }
  bool failed() const noexcept { return state_ == state::exception; }
  bool has_value() const noexcept { return state_ == state::value; }
  const std::exception_ptr& exception() const noexcept { return exception_; }

  /// The value, moved out; throws the exception where that is what is here.
  T take() {
    if (state_ == state::exception) [[unlikely]]
      rethrow();
    if constexpr (std::is_void_v<T>)
      return;
    else if constexpr (std::is_reference_v<T>)
      return static_cast<T>(*value_);
    else
      return std::move(value_);
  }

 private:
  enum class state : unsigned char { empty, value, exception };
  [[noreturn, gnu::noinline, gnu::cold]] void rethrow() const { std::rethrow_exception(exception_); }
  void clear() noexcept {
    if (state_ == state::value)
      std::destroy_at(&value_);
    else if (state_ == state::exception)
      std::destroy_at(&exception_);
    state_ = state::empty;
  }
  union {
    stored value_;
    std::exception_ptr exception_;
  };
  state state_ = state::empty;
};

}  // namespace detail
DTASK_END
