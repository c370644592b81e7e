// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/parts/result_slot.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN

/// Threads for calls that block: files, name look-up, libraries that know no coroutines. Threads are started as they
/// are needed, up to a limit, and stay.
class offload_pool {
 public:
  /// `threads`: the most at a time. `queued`: calls that may wait for a thread; further ones fail with
  /// `error(overloaded)`.
  explicit offload_pool(std::size_t threads = 16, std::size_t queued = 65536)
      : most_threads_(threads ? threads : 1), most_queued_(queued) {}
  offload_pool(const offload_pool&) = delete;
  offload_pool& operator=(const offload_pool&) = delete;
  /// Runs what is queued and joins.
  ~offload_pool();

  /// The one of the process. Never destroyed, so that a blocked call does not hold up the program's exit.
  static offload_pool& shared() {
    static offload_pool* const pool = new offload_pool;
    return *pool;
  }

  /// Queues an item. False: the queue is full, or no thread runs and none could be started.
  bool post(work_item& item);

 private:
  /// Under the lock. False: the system has no thread for us now, and those that run have to do.
  bool start_one();
  void run() noexcept;
  const std::size_t most_threads_, most_queued_;
  std::mutex guard_;
  std::condition_variable wake_;
  work_list queue_;
  std::size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

namespace detail {
template <class F>
class [[nodiscard("dtask: offload does nothing until it is awaited")]] offload_op {
  using result = std::remove_cvref_t<std::invoke_result_t<F&>>;

 public:
  offload_op(offload_pool& pool, F f) : pool_(pool), function_(std::move(f)) {}
  class awaiter : resumption {
   public:
    explicit awaiter(offload_op& op) noexcept : op_(op) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
      env_ = h.promise().env;
      if (env_->stop->stop_requested()) throw_stopped(*env_);
      handle = h;
      call_.self = this;
      call_.run = [](work_item& item) noexcept { static_cast<call&>(item).self->invoke(); };
      if (!op_.pool_.post(call_))
        throw error(errc::overloaded, "too many blocking calls wait for a thread, or none can be started", {},
                    "a larger offload_pool, or a semaphore around the calls");
      return true;
    }
    result await_resume() { return slot_.take(); }

   private:
    struct call : work_item {
      awaiter* self = nullptr;
    };
    void invoke() noexcept {
      try {
        // Stopped while it was queued: not called any more.
        if (env_->stop->stop_requested()) throw_stopped(*env_);
        if constexpr (std::is_void_v<result>) {
          op_.function_();
          slot_.set();
        } else {
          slot_.set(op_.function_());
        }
      } catch (...) {
        slot_.fail(std::current_exception());
      }
      env_->where->post(*this);
    }
    offload_op& op_;
    const environment* env_ = nullptr;
    call call_;
    result_slot<result> slot_;
  };
  awaiter operator co_await() && noexcept { return awaiter(*this); }

 private:
  offload_pool& pool_;
  F function_;
};
}  // namespace detail

/// `auto text = co_await offload(read_it);` calls `f` on a thread for blocking calls and resumes the task on its own
/// scheduler with the result or the exception.
///
/// Stop before the call begins: throws and does not call. A call that runs cannot be stopped: the task waits for its
/// end. Throws `error(overloaded)` where too many wait or not even one thread could be started. Name the callable first
/// where it is a lambda with captures (g++ 12 destroys such a temporary twice): `auto f = [&] {...}; co_await
/// offload(std::move(f));`
template <class F>
auto offload(F f) {
  return detail::offload_op<F>(offload_pool::shared(), std::move(f));
}
/// The same on threads of `pool`, which outlives the call.
template <class F>
auto offload(offload_pool& pool, F f) {
  return detail::offload_op<F>(pool, std::move(f));
}

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/runtime/impl/offload.ipp"
#endif
