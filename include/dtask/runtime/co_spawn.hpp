// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/runtime/executor_scheduler.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

template <class T>
struct spawn_signature {
  using type = void(std::exception_ptr, T);
};
template <>
struct spawn_signature<void> {
  using type = void(std::exception_ptr);
};

/// A task that was handed to Asio: owns itself until the task has ended.
template <class T, class Executor, class Handler>
class spawned_on : completion {
  using handler_executor = boost::asio::associated_executor_t<Handler, Executor>;

 public:
  spawned_on(const Executor& executor, task<T> t, Handler handler)
      : where_(executor),
        stop_(std::make_shared<stop_source>()),
        task_(std::move(t)),
        executor_(boost::asio::get_associated_executor(handler, executor)),
        work_(boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked)),
        handler_work_(boost::asio::prefer(executor_, boost::asio::execution::outstanding_work.tracked)),
        handler_(std::move(handler)) {
    done = [](completion& self, promise_base&) noexcept -> std::coroutine_handle<> {
      static_cast<spawned_on&>(self).ended();
      return {};
    };
    env_.where = &where_.get();
    env_.stop = stop_.get();
    auto& promise = task_.handle().promise();
    promise.env = &env_;
    promise.on_done = this;
    promise.run = &task_promise<T>::start;
    if (const auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) {
      // The slot may outlive the task: it shares the source.
      auto connected = slot;
      connected.assign([stop = stop_](boost::asio::cancellation_type) { stop->request_stop(); });
    }
  }
  void start() noexcept { env_.where->post(task_.handle().promise()); }

 private:
  void ended() noexcept {
    // What the frame holds is gone before the handler hears of the end; and the scheduler, which may be ours, is used
    // until here.
    struct finisher : work_item {
      std::unique_ptr<spawned_on> self;
    };
    auto* const last = new finisher;
    last->self.reset(this);
    last->run = [](work_item& item) noexcept {
      const std::unique_ptr<finisher> owned(static_cast<finisher*>(&item));
      spawned_on& self = *owned->self;
      auto& slot = self.task_.handle().promise().slot;
      std::exception_ptr e = slot.failed() ? slot.exception() : nullptr;
      Handler handler(std::move(self.handler_));
      const auto executor = self.executor_;
      [[maybe_unused]] const auto work = std::move(self.work_);
      [[maybe_unused]] const auto handler_work = std::move(self.handler_work_);
      if constexpr (std::is_void_v<T>) {
        owned->self.reset();
        boost::asio::dispatch(executor,
                              [h = std::move(handler), e = std::move(e)]() mutable { std::move(h)(std::move(e)); });
      } else {
        T value = e ? T() : slot.take();
        owned->self.reset();
        boost::asio::dispatch(executor, [h = std::move(handler), e = std::move(e), v = std::move(value)]() mutable {
          std::move(h)(std::move(e), std::move(v));
        });
      }
    };
    env_.where->post(*last);
  }

  found_scheduler where_;
  std::shared_ptr<stop_source> stop_;
  environment env_;
  task<T> task_;
  handler_executor executor_;
  std::decay_t<decltype(boost::asio::prefer(std::declval<Executor>(),
                                            boost::asio::execution::outstanding_work.tracked))>
      work_;
  std::decay_t<decltype(boost::asio::prefer(std::declval<handler_executor>(),
                                            boost::asio::execution::outstanding_work.tracked))>
      handler_work_;
  Handler handler_;
};

template <class T, class Executor>
struct initiate_co_spawn {
  Executor executor;
  template <class Handler>
  void operator()(Handler&& handler, task<T> t) const {
    auto spawned = std::make_unique<spawned_on<T, Executor, std::decay_t<Handler>>>(executor, std::move(t),
                                                                                    std::forward<Handler>(handler));
    spawned.release()->start();
  }
};

}  // namespace detail

/// Runs a task on an Asio executor, for programs that are not tasks themselves. `token` is any completion token for
/// `void(std::exception_ptr, T)` (`void(std::exception_ptr)` for `task<void>`): `asio::use_future`, `asio::detached`, a
/// callback, `use_awaitable`. An empty task throws `error(invalid_argument)` here. `T` has a default value, which
/// accompanies an exception.
///
/// The task's scheduler is that of the executor's pool or io_context; for other executors one is made. Cancellation of
/// any type through the handler's slot requests stop. The handler is called through its own executor after the task's
/// frame is gone. Returns what the token makes of it.
template <class Executor, class Awaitable, class Token>
  requires(!std::is_base_of_v<boost::asio::execution_context, std::remove_cvref_t<Executor>>)
auto co_spawn(const Executor& executor, Awaitable awaitable, Token&& token) {
  auto t = detail::as_task(std::move(awaitable));
  t.filled("co_spawn");
  using result = typename decltype(t)::value_type;
  static_assert(
      std::is_void_v<result> || std::is_default_constructible_v<result>,
      "dtask: co_spawn hands over a value also beside an exception, so the task's result needs a default constructor");
  return boost::asio::async_initiate<Token, typename detail::spawn_signature<result>::type>(
      detail::initiate_co_spawn<result, Executor>{executor}, token, std::move(t));
}
/// The same on a context's executor.
template <class Context, class Awaitable, class Token>
  requires(std::is_base_of_v<boost::asio::execution_context, Context>)
auto co_spawn(Context& context, Awaitable awaitable, Token&& token) {
  return co_spawn(context.get_executor(), std::move(awaitable), std::forward<Token>(token));
}

DTASK_END
