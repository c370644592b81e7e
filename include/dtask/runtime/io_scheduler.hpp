// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/task/parts/thread_state.hpp"
#include "dtask/task/parts/timer_wheel.hpp"

DTASK_BEGIN

/// The scheduler of an `io_context`: an Asio service, one per context, found with `scheduler_of(context)`.
///
/// What is posted while the context is busy runs as one batch after one wake-up; where several threads run the context,
/// they share the batch. All timers share one wheel and one Asio timer. Lives as long as its context. Items that are
/// queued when the context dies are never run: tasks end before it.
class io_scheduler final : public boost::asio::execution_context::service, public asio_scheduler {
 public:
  /// @cond internal
  using key_type = io_scheduler;
  inline static boost::asio::execution_context::id id;
  /// @endcond

  /// By Asio, for a context that the user runs, perhaps on several threads.
  explicit io_scheduler(boost::asio::execution_context& context) : io_scheduler(context, false, false) {}
  /// `serial`: the context is run by one thread. `owned`: it runs until it is stopped, with or without work.
  io_scheduler(boost::asio::execution_context& context, bool serial, bool owned);

  void post(work_item& item) noexcept override;
  void post_all(work_list items) noexcept override;
  time_point now() const noexcept override { return clock_type::now(); }
  void arm(timer& t, time_point at) noexcept override;
  bool cancel(timer& t) noexcept override;
  bool runs_here() const noexcept override {
    return detail::this_thread().current == this || context_.get_executor().running_in_this_thread();
  }
  boost::asio::any_io_executor executor() noexcept override { return context_.get_executor(); }
  /// The context whose scheduler it is.
  boost::asio::io_context& context() noexcept { return context_; }

 private:
  struct drainer {
    io_scheduler* self;
    void operator()() const { self->drain(); }
  };
  struct alarm_setter {
    io_scheduler* self;
    void operator()() const { self->set_alarm(); }
  };
  void shutdown() noexcept override;

  void drain() noexcept;
  void drain_alone() noexcept;

  /// Whatever is queued has a drainer on its way while an item runs, which an idle thread picks up: items that wait for
  /// each other meet.
  void drain_beside_others() noexcept;

  /// Brings the Asio timer in line with `alarm_at_`, on the context's thread.
  void set_alarm() noexcept;
  void rang() noexcept;

  boost::asio::io_context& context_;
  const bool owned_;
  std::mutex guard_;
  std::condition_variable fired_;
  work_list queue_;
  bool draining_ = false;  // a drainer is posted and has not begun, or, where it is serial, has not ended
  detail::timer_wheel<detail::timer_links> wheel_;
  timer* firing_ = nullptr;
  const void* firing_thread_ = nullptr;
  time_point alarm_at_ = never;   // when the wheel has to be looked at
  time_point alarm_set_ = never;  // what the Asio timer is set to
  std::optional<boost::asio::steady_timer>
      alarm_;  // not before it is needed: with it the context asks the kernel for events between any two handlers
};

/// The scheduler of a context that the user runs. Made at the first call; thread-safe.
inline io_scheduler& scheduler_of(boost::asio::io_context& context) {
  return boost::asio::use_service<io_scheduler>(context);
}

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/runtime/impl/io_scheduler.ipp"
#endif
