// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/net/link.hpp"

DTASK_BEGIN
namespace net {

/// A timer of an io_context thread.
using timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                boost::asio::wait_traits<std::chrono::steady_clock>, executor>;

/// What an io_context calls when it is this one's turn: a function and the object that it is about, kept until then.
///
/// One type for all of them: each type of handler makes Asio instantiate some fifty functions, so a lambda at each
/// place costs every program that includes the library. Not thread-safe.
class turn {
 public:
  using function = void (*)(void* self, const boost::system::error_code&);

  /// Calls `what(self.get(), ec)`; `ec` is that of the timer, and `ok` where it was posted.
  turn(std::shared_ptr<void> self, function what) noexcept : self_(std::move(self)), what_(what) {}

  void operator()() const { what_(self_.get(), {}); }
  void operator()(const boost::system::error_code& ec) const { what_(self_.get(), ec); }

 private:
  std::shared_ptr<void> self_;
  function what_;
};

namespace detail {
struct kept_call {
  kept_call() = default;
  kept_call(const kept_call&) = delete;
  kept_call& operator=(const kept_call&) = delete;
  virtual ~kept_call() = default;
  virtual void run(const boost::system::error_code& ec) = 0;
};
template <class F>
struct call_of final : kept_call {
  explicit call_of(F&& f) : call(std::move(f)) {}
  void run(const boost::system::error_code& ec) override {
    if constexpr (requires { call(ec); })
      call(ec);
    else
      call();
  }
  F call;
};
turn turn_of(std::unique_ptr<kept_call> call);
}  // namespace detail

/// Runs `next` on the thread of `where`, after what is queued there. Never from inside this call.
inline void post(const executor& where, turn next) { boost::asio::post(where, std::move(next)); }
/// The same for any callable, which may be move-only; it costs one allocation more.
template <class F>
void post(const executor& where, F f) {
  net::post(where, detail::turn_of(std::unique_ptr<detail::kept_call>(new detail::call_of<F>(std::move(f)))));
}
/// Calls `next` with the error when the timer expires, or with `operation_aborted` when it is cancelled or set anew.
inline void wait(timer& on, turn next) { on.async_wait(std::move(next)); }
/// The same for any callable.
template <class F>
void wait(timer& on, F f) {
  net::wait(on, detail::turn_of(std::unique_ptr<detail::kept_call>(new detail::call_of<F>(std::move(f)))));
}

}  // namespace net
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/net/impl/turn.ipp"
#endif
