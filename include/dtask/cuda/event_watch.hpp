// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <sys/prctl.h>

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/cuda/poll_schedule.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN
namespace cuda {

/// What a look at an event saw: `done`, `pending`, or the device's error code.
enum class event_status : int {
  pending = -1,  ///< the device is not there yet
  done = 0,      ///< it is
};

/// How a wait hears of the end of device work.
enum class notice {
  polling,        ///< the event is looked at: sees errors, and costs the device nothing
  host_function,  ///< the device calls back, which wakes whoever looks: less CPU for long work, more delay
};

/// The device as a watch sees it; the one of CUDA is `runtime`, tests have their own. Thread-safe.
template <class B>
concept event_backend = requires(B& b, typename B::event& e, typename B::stream s, event_status failed, void* data) {
  requires std::movable<typename B::event>;
  /// Looks, without waiting.
  { b.query(e) } noexcept -> std::same_as<event_status>;
  /// An event behind all that is in `s` by now. Throws where the device cannot.
  { b.record(s) } -> std::same_as<typename B::event>;
  /// The event is not needed any more.
  { b.recycle(std::move(e)) } noexcept;
  /// Has the device call `f(data)` behind all that is in `s`. False: it will not.
  { b.call_back(s, static_cast<void (*)(void*)>(nullptr), data) } noexcept -> std::same_as<bool>;
  /// The exception for a status that is an error.
  { b.failure(failed) } noexcept -> std::same_as<std::exception_ptr>;
  /// Called first on a thread that will look.
  { b.enter_thread() } noexcept;
};

namespace detail {

/// A task that waits for an event.
template <class Event>
struct event_wait : dtask::detail::waiter {
  Event* event = nullptr;
  event_status status = event_status::pending;
  bool reported = false;  ///< a host function tells of its end
};

/// The waits under way, in the order in which they began. Belongs to one thread.
template <class Backend>
class pending_events {
 public:
  using wait = event_wait<typename Backend::event>;

  void add(wait& w) noexcept {
    w.following = nullptr;
    (last_ ? last_->following : first_) = &w;
    last_ = &w;
    ++size_;
    if (!w.reported) ++polled_;
  }
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  /// Whether host functions tell of all of them.
  bool reported() const noexcept { return polled_ == 0; }
  /// Looks at each once. Those that have ended leave, in order, to `ended`; true where there was one.
  bool look(Backend& backend, dtask::detail::woken& ended) noexcept {
    bool any = false;
    dtask::detail::waiter* before = nullptr;
    for (dtask::detail::waiter* at = first_; at != nullptr;) {
      auto& w = static_cast<wait&>(*at);
      dtask::detail::waiter* const after = at->following;
      const event_status status = backend.query(*w.event);
      if (status == event_status::pending) {
        before = at;
      } else {
        (before ? before->following : first_) = after;
        if (after == nullptr) last_ = before;
        --size_;
        if (!w.reported) --polled_;
        w.status = status;
        ended.add(w);
        any = true;
      }
      at = after;
    }
    return any;
  }

 private:
  dtask::detail::waiter* first_ = nullptr;
  dtask::detail::waiter* last_ = nullptr;
  std::size_t size_ = 0, polled_ = 0;
};

}  // namespace detail

/// A thread that looks at the events for which tasks wait, and posts those whose event has come, each to its own
/// scheduler. Sleeps while nobody waits.
///
/// Thread safety: waits begin on any thread. The destructor blocks until the events of all waits have come, since the
/// tasks own what the device works on; it is not called on the thread of a task that waits.
template <event_backend Backend>
class event_watch {
 public:
  using event = typename Backend::event;    ///< the backend's
  using stream = typename Backend::stream;  ///< the backend's

  /// Starts the thread. `backend` outlives this. Throws `error(invalid_argument)` for options that are not in order,
  /// std::system_error where there is no thread.
  explicit event_watch(Backend& backend, const poll_options& options = {})
      : backend_(backend), schedule_(options), shared_(std::make_shared<signal>()), thread_([this] { run(); }) {}
  event_watch(const event_watch&) = delete;
  event_watch& operator=(const event_watch&) = delete;
  ~event_watch() {
    {
      const std::lock_guard hold(shared_->guard);
      shared_->ending = true;
      shared_->wake.notify_one();
    }
    thread_.join();
  }

  Backend& backend() noexcept { return backend_; }  ///< as it was given

  /// @cond internal
  class [[nodiscard]] event_awaiter : detail::event_wait<event> {
   public:
    event_awaiter(event_watch& watch, event& e) noexcept : watch_(watch), backend_(watch.backend_) { this->event = &e; }
    event_awaiter(event_awaiter&& other) noexcept
        : event_awaiter(other.watch_, *other.event) {}  // before it is awaited
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      env_ = h.promise().env;
      this->status = backend_.query(*this->event);
      if (this->status != event_status::pending) return false;
      this->handle = h;
      this->where = env_->where;
      watch_.add(*this);
      return true;
    }
    void await_resume() const { finish(backend_, this->status, *env_); }

   private:
    event_watch& watch_;  // not touched once the event has come: it may be destroyed by then
    Backend& backend_;
    const environment* env_ = nullptr;
  };

  class [[nodiscard]] stream_awaiter : detail::event_wait<event> {
   public:
    stream_awaiter(event_watch& watch, stream s, notice how) noexcept
        : watch_(watch), backend_(watch.backend_), stream_(s), how_(how) {}
    stream_awaiter(stream_awaiter&& other) noexcept
        : stream_awaiter(other.watch_, other.stream_, other.how_) {}  // before it is awaited
    ~stream_awaiter() {
      if (recorded_) backend_.recycle(*std::move(recorded_));
    }
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
      env_ = h.promise().env;
      recorded_.emplace(backend_.record(stream_));
      this->event = &*recorded_;
      this->status = backend_.query(*recorded_);
      if (this->status != event_status::pending) return false;
      this->handle = h;
      this->where = env_->where;
      if (how_ == notice::host_function) this->reported = watch_.ring_after(stream_);
      watch_.add(*this);
      return true;
    }
    void await_resume() const { finish(backend_, this->status, *env_); }

   private:
    event_watch& watch_;  // not touched once the event has come: it may be destroyed by then
    Backend& backend_;
    stream stream_;
    notice how_;
    std::optional<event> recorded_;
    const environment* env_ = nullptr;
  };

  /// @endcond

  /// `co_await watch.event_done(e)`: until the event has come. `e` stays where it is until then.
  event_awaiter event_done(event& e) noexcept { return event_awaiter(*this, e); }
  /// `co_await watch.stream_done(s)`: until all that is in the stream when this is awaited is done.
  stream_awaiter stream_done(stream s, notice how = notice::polling) noexcept { return stream_awaiter(*this, s, how); }

 private:
  using wait = detail::event_wait<event>;
  /// What host functions may touch: it outlives the watch, since on a failed device they come late or never.
  struct signal {
    std::mutex guard;
    std::condition_variable wake;
    bool rung = false;
    bool ending = false;
  };

  static void finish(Backend& backend, event_status status, const environment& env) {
    if (status != event_status::done) [[unlikely]]
      std::rethrow_exception(backend.failure(status));
    if (env.stop->stop_requested()) [[unlikely]]
      dtask::detail::throw_stopped(env);
  }
  void add(wait& w) noexcept {
    const std::lock_guard hold(shared_->guard);
    incoming_.push(w);
    shared_->wake.notify_one();
  }
  bool ring_after(stream s) noexcept {
    auto* const ring = new (std::nothrow) std::shared_ptr<signal>(shared_);
    if (ring == nullptr) return false;
    const bool taken = backend_.call_back(
        s,
        [](void* data) {
          const std::unique_ptr<std::shared_ptr<signal>> own(static_cast<std::shared_ptr<signal>*>(data));
          const std::lock_guard hold((*own)->guard);
          (*own)->rung = true;
          (*own)->wake.notify_one();
        },
        ring);
    if (!taken) delete ring;
    return taken;
  }
  void run() noexcept {
    // A pause of 10 us would last 60 otherwise.
    ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    backend_.enter_thread();
    detail::pending_events<Backend> pending;
    std::unique_lock hold(shared_->guard);
    for (;;) {
      if (pending.empty()) {
        shared_->wake.wait(hold, [this] { return !incoming_.empty() || shared_->ending; });
        if (incoming_.empty()) return;
      }
      shared_->rung = false;
      const bool more = !incoming_.empty();
      while (work_item* const w = incoming_.pop()) pending.add(static_cast<wait&>(*w));
      hold.unlock();
      const bool some = look(pending);
      const time_point now = clock_type::now();
      if (more || some) schedule_.news(now);
      const duration pause = pending.empty() ? duration::zero() : schedule_.pause(now, pending.reported());
      if (pause == duration::zero()) std::this_thread::yield();
      hold.lock();
      if (pause > duration::zero())
        shared_->wake.wait_for(hold, pause, [this] { return !incoming_.empty() || shared_->rung; });
    }
  }
  /// Posts when it has looked at all.
  bool look(detail::pending_events<Backend>& pending) noexcept {
    dtask::detail::woken ended;
    return pending.look(backend_, ended);
  }

  Backend& backend_;
  poll_schedule schedule_;
  const std::shared_ptr<signal> shared_;
  work_list incoming_;  // guarded
  std::thread thread_;
};

}  // namespace cuda
DTASK_END
