// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/ThreadLocalState.h>
#include <ATen/autocast_mode.h>

#include <coroutine>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/task.hpp"
#include "dtask/torch/detail/device_place.hpp"

DTASK_BEGIN
template <class T = void>
class torch_task;

namespace detail {
template <class T>
constexpr bool is_task<torch_task<T>> = true;

/// What LibTorch keeps per thread, for one task. While the task runs, this holds what the thread had before; while it
/// waits, what the task had.
class torch_state {
 public:
  /// The calling thread's: who calls a torch_task hands it down.
  torch_state() : autocast_cache_(at::autocast::is_autocast_cache_enabled()), autocast_depth_(depth()) {}
  torch_state(const torch_state&) = delete;
  torch_state& operator=(const torch_state&) = delete;
  /// Of a coroutine that is destroyed while it waits: see torch_awaiter.
  ~torch_state() {
    if (inside_) leave();
  }

  void enter() noexcept {
    exchange();
    inside_ = true;
  }
  void leave() noexcept {
    exchange();
    inside_ = false;
  }

 private:
  // at::autocast counts the scopes that are open and says whether casts are cached: both per thread, and not in
  // ThreadLocalState.
  static int depth() noexcept {
    const int within = at::autocast::increment_nesting();
    at::autocast::decrement_nesting();
    return within - 1;
  }
  void exchange() noexcept {
    at::ThreadLocalState thread;
    at::ThreadLocalState::setThreadLocalState(kept_);
    kept_ = std::move(thread);
    const bool cache = at::autocast::is_autocast_cache_enabled();
    if (cache != autocast_cache_) at::autocast::set_autocast_cache_enabled(std::exchange(autocast_cache_, cache));
    const int now = depth();
    for (int i = now; i < autocast_depth_; ++i) at::autocast::increment_nesting();
    for (int i = now; i > autocast_depth_; --i) at::autocast::decrement_nesting();
    autocast_depth_ = now;
    place_.exchange();
  }

  at::ThreadLocalState kept_;
  device_place place_;
  bool autocast_cache_;
  bool inside_ = false;
  int autocast_depth_;
};

/// Awaits something for a torch_task: the thread has its own state back before anybody else can run, and the task its
/// own before it goes on. Nothing is exchanged where the awaitable is ready.
template <class A>
class torch_awaiter {
 public:
  torch_awaiter(torch_state& state, A&& awaitable) : state_(state), inner_(get_awaiter(static_cast<A&&>(awaitable))) {}
  torch_awaiter(const torch_awaiter&) = delete;
  torch_awaiter& operator=(const torch_awaiter&) = delete;
  /// Where the coroutine is destroyed while it waits here, what stands in its frame (guards that put a mode back)
  /// shall act on the task's state, not on that of the thread which destroys it: `torch_state` ends that.
  ~torch_awaiter() {
    if (outside_) state_.enter();
  }

  bool await_ready() { return inner_.await_ready(); }
  template <class Promise>
  decltype(auto) await_suspend(std::coroutine_handle<Promise> h) noexcept(noexcept(inner().await_suspend(h))) {
    outside_ = true;
    state_.leave();
    // From here on another thread may run the coroutine and destroy this.
    if constexpr (noexcept(inner_.await_suspend(h))) {
      return inner_.await_suspend(h);
    } else {
      try {
        return inner_.await_suspend(h);
      } catch (...) {
        come_back();
        throw;
      }
    }
  }
  decltype(auto) await_resume() {
    if (outside_) come_back();
    return inner_.await_resume();
  }

 private:
  using inner_awaiter = decltype(get_awaiter(std::declval<A>()));
  std::remove_reference_t<inner_awaiter>& inner() noexcept { return inner_; }
  void come_back() noexcept {
    outside_ = false;
    state_.enter();
  }

  torch_state& state_;
  bool outside_ = false;
  inner_awaiter inner_;
};

template <class T, class... Parameters>
struct torch_promise_base : std::type_identity<task_promise<T>> {};
template <class T, class... Parameters>
  requires(is_task<Parameters> || ...)
struct torch_promise_base<T, Parameters...> : std::type_identity<holding_promise<T, Parameters...>> {};

/// For all others a task_promise, at the same place of the frame.
template <class T, class... Parameters>
class torch_promise : public torch_promise_base<T, Parameters...>::type {
  using base = typename torch_promise_base<T, Parameters...>::type;

 public:
  using base::base;
  torch_task<T> get_return_object() noexcept {
    static_assert(alignof(torch_promise) == alignof(task_promise<T>));
    return torch_task<T>(base::get_return_object());
  }

  class first_awaiter {
   public:
    explicit first_awaiter(torch_state& state) noexcept : state_(state) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept { state_.enter(); }

   private:
    torch_state& state_;
  };
  first_awaiter initial_suspend() noexcept { return first_awaiter(state_); }
  auto final_suspend() noexcept {
    state_.leave();
    return base::final_suspend();
  }

  /// Never suspends, so there is nothing to exchange.
  environment_awaiter await_transform(environment_awaiter a) noexcept { return a; }
#if DTASK_DEBUG
  template <class A>
  torch_awaiter<A> await_transform(A&& awaitable, const std::source_location at = std::source_location::current()) {
    this->live.awaits_at(at);
    return torch_awaiter<A>(state_, static_cast<A&&>(awaitable));
  }
#else
  template <class A>
  torch_awaiter<A> await_transform(A&& awaitable) {
    return torch_awaiter<A>(state_, static_cast<A&&>(awaitable));
  }
#endif

 private:
  torch_state state_;
};
}  // namespace detail

/// A `task<T>` that computes with LibTorch: what LibTorch keeps per thread belongs to the task and stays right across
/// every `co_await`.
///
///     dtask::torch_task<at::Tensor> embed(at::Tensor text) {
///       const c10::InferenceMode no_gradients;   // holds until the end of the scope, on whatever thread that is
///       auto words = co_await look_up(text);     // this thread is as it was before; here the mode holds again
///       co_return model.forward(words);
///     }
///
/// In a plain `task` such a guard changes the thread that makes it for good and does nothing on the thread on which the
/// task goes on. Here every suspension gives the thread its own state back, and every resumption installs the task's.
/// The state is what `at::ThreadLocalState` holds (grad mode, inference mode, dispatch keys and with them autocast, its
/// types, saved-tensor hooks, the profiler's), autocast's nesting and cache switch, and in programs with CUDA the
/// current device and the current stream of each device. Not in it, since LibTorch has it per process or per library:
/// the number of threads, the default type, deterministic algorithms, generators.
///
/// A torch_task starts with the state of whoever *calls* it, at the time of the call, and what it changes ends with
/// it. It is a `task<T>` otherwise: awaited from plain tasks, taken by `when_all` and its kin, returned by jobs; errors
/// and stop as there. Plain tasks that it awaits run under the state of the thread, not under that of the torch_task:
/// what computes is a torch_task all the way down. An await that suspends costs an exchange before and one after
/// (docs/cuda.md has figures). Thread safety: that of `task`.
template <class T>
class [[nodiscard("dtask: a task does nothing until it is awaited")]] torch_task : public task<T> {
 public:
  torch_task() noexcept = default;  ///< empty

 private:
  template <class, class...>
  friend class detail::torch_promise;
  explicit torch_task(task<T>&& t) noexcept : task<T>(std::move(t)) {}
};

DTASK_END

/// @cond internal
template <class T, class... Parameters>
struct std::coroutine_traits<dtask::torch_task<T>, Parameters...> {
  using promise_type =
      std::conditional_t<(dtask::detail::is_task<Parameters> || ...), dtask::detail::torch_promise<T, Parameters...>,
                         dtask::detail::torch_promise<T>>;
};
/// @endcond
