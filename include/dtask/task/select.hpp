// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/tuple_element.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN
namespace detail {

template <class Op>
concept selectable_operation = requires { requires Op::selectable; };

template <class... Op>
class [[nodiscard("dtask: select does nothing until it is awaited")]] select_op {
 public:
  using result = std::variant<tuple_element<std::remove_cvref_t<await_result<Op>>>...>;
  explicit select_op(Op&&... operations) noexcept : operations_(std::forward<Op>(operations)...) {}

  class awaiter : decision {
   public:
    explicit awaiter(std::tuple<Op...>& operations) noexcept : operations_(operations) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      return begin(h, *h.promise().env);
    }
    result await_resume() {
      if (on_stop_.source) on_stop_.source->remove(on_stop_);
      if (entered_) std::apply([](auto&... op) { (op.leave(), ...); }, operations_);
      if (stopped) [[unlikely]]
        throw_stopped(*env_);
      return pick<0>();
    }

   private:
    struct stop_entry : stop_link {
      awaiter* self = nullptr;
    };
    bool begin(std::coroutine_handle<> h, const environment& env) noexcept {
      env_ = &env;
      if (env.stop->stop_requested()) {
        stopped = true;
        return false;
      }
      woken others;
      if (std::apply([&](auto&... op) { return (... || op.take_now(others)); }, operations_)) return false;
      handle = h;
      where = env.where;
      if (env.stop->stop_possible()) {
        on_stop_.self = this;
        on_stop_.fire = [](stop_link& link, errc) noexcept { static_cast<stop_entry&>(link).self->stop(); };
        if (!env.stop->add(on_stop_)) {
          stopped = true;
          return false;
        }
      }
      // From the first that enters on, others may decide. They leave the resuming to us until we sleep.
      entered_ = true;
      std::apply([&](auto&... op) { static_cast<void>((... && op.enter(*this, others))); }, operations_);
      return fall_asleep();
    }
    void stop() noexcept {
      if (!claim()) return;
      stopped = true;
      if (answer()) where->post(*this);
    }
    template <std::size_t I>
    result pick() {
      auto& operation = std::get<I>(operations_);
      if constexpr (I + 1 < sizeof...(Op)) {
        if (!operation.won()) return pick<I + 1>();
      }
      if constexpr (std::is_void_v<decltype(operation.await_resume())>) {
        operation.await_resume();
        return result(std::in_place_index<I>);
      } else {
        return result(std::in_place_index<I>, operation.await_resume());
      }
    }

    std::tuple<Op...>& operations_;
    bool entered_ = false;
    const environment* env_ = nullptr;
    stop_entry on_stop_;
  };
  awaiter operator co_await() && noexcept { return awaiter(operations_); }

 private:
  std::tuple<Op...> operations_;
};

}  // namespace detail

/// Waits for the first of several operations, which alone takes; the others take nothing, now or later:
///
///     auto first = co_await dtask::select(numbers.pop(), words.pop(), dtask::sleep_for(1s));
///     if (first.index() == 0) use(std::get<0>(first));  // what numbers.pop() yields: std::optional<int>
///
/// Yields a `std::variant` of what the operations yield (`std::monostate` for void), whose index says which one it was;
/// throws what that one throws (a push to a closed channel, a failed one_shot). The operations are `pop` and `push` of
/// a `channel`, `acquire` of a `semaphore`, `lock` of a `mutex`, `wait` of an `event`, a `latch` or a `one_shot`,
/// `sleep_for` and `sleep_until`. Where several are ready the first in the list wins; a time that has passed wins only
/// after the others had a turn.
///
/// Nothing is lost: a value, permit or lock goes to another waiter or stays in its object. To keep what a push did not
/// send, give the operation a name: `auto send = c.push(std::move(v)); co_await select(send, c.pop())`, then
/// `send.value()`; an operation that did not win may be used again. Resumes on the task's scheduler. Ended by stop and
/// deadline: throws `error(cancelled)` or `error(deadline_exceeded)`, and then none has taken; under stop it takes
/// nothing, even where something is ready. The objects outlive it. For tasks, which cannot give back what they took:
/// `when_any`.
template <class... Op>
  requires(sizeof...(Op) > 0)
detail::select_op<Op...> select(Op&&... operations) noexcept {
  static_assert(
      (detail::selectable_operation<std::remove_reference_t<Op>> && ...),
      "dtask: select takes operations (pop, push, acquire, lock, wait, sleep_for, sleep_until), of which only "
      "the first takes something; a task cannot give back what it took: when_any waits for tasks");
  return detail::select_op<Op...>(std::forward<Op>(operations)...);
}

DTASK_END
