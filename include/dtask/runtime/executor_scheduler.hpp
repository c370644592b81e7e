// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/runtime/detail/timer_thread.hpp"
#include "dtask/runtime/io_scheduler.hpp"
#include "dtask/runtime/work_pool.hpp"

DTASK_BEGIN

/// A scheduler on any Asio executor (a strand, `asio::thread_pool`, one of the user's own). Each item is one
/// `asio::post`; timers run on the process's timer thread. It outlives the tasks on it.
class executor_scheduler final : public asio_scheduler {
 public:
  /// Throws std::system_error where that thread is to be started and cannot.
  explicit executor_scheduler(boost::asio::any_io_executor executor)
      : asio_scheduler(false), executor_(std::move(executor)), timers_(detail::timer_thread::shared()) {}

  void post(work_item& item) noexcept override { boost::asio::post(executor_, runner{this, &item}); }
  time_point now() const noexcept override { return clock_type::now(); }
  void arm(timer& t, time_point at) noexcept override { timers_.arm(t, at); }
  bool cancel(timer& t) noexcept override { return timers_.cancel(t); }
  /// A thread is known by the items that it runs, and by the executor of an `io_context` or a `work_pool`.
  bool runs_here() const noexcept override;
  boost::asio::any_io_executor executor() noexcept override { return executor_; }

 private:
  struct runner {
    executor_scheduler* self;
    work_item* item;
    void operator()() const noexcept;
  };
  boost::asio::any_io_executor executor_;
  detail::timer_thread& timers_;
};

namespace detail {
/// The scheduler for an executor: the pool's own, the io_context's own, or one made for it.
class found_scheduler {
 public:
  template <class Executor>
  explicit found_scheduler(const Executor& executor) {
    if constexpr (std::is_same_v<Executor, work_pool::executor_type>) {
      at_ = &executor.context();
    } else if constexpr (std::is_same_v<Executor, boost::asio::io_context::executor_type>) {
      at_ = &scheduler_of(executor.context());
    } else {
      if constexpr (requires { executor.template target<work_pool::executor_type>(); }) {
        if (const auto* const pool = executor.template target<work_pool::executor_type>())
          at_ = &pool->context();
        else if (const auto* const io = executor.template target<boost::asio::io_context::executor_type>())
          at_ = &scheduler_of(io->context());
      }
      if (!at_) {
        made_ = std::make_unique<executor_scheduler>(executor);
        at_ = made_.get();
      }
    }
  }
  asio_scheduler& get() const noexcept { return *at_; }

 private:
  std::unique_ptr<executor_scheduler> made_;
  asio_scheduler* at_ = nullptr;
};
}  // namespace detail

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/runtime/impl/executor_scheduler.ipp"
#endif
