// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/scheduler.hpp"
#include "dtask/task/sync_wait.hpp"

DTASK_BEGIN
namespace sim {

/// A scheduler on virtual time: nothing waits, the clock jumps to the next timer when there is no work left. Items and
/// timers run on the thread that calls `step`, in an order that depends on nothing but the order of the calls: what is
/// due at the same instant runs in the order in which it was armed.
///
/// Tasks run on it as on any other scheduler. Thread safety: none, it has one thread only.
class virtual_scheduler final : public scheduler {
 public:
  virtual_scheduler() noexcept : scheduler(true) {}
  ~virtual_scheduler() {
    // What a function owns may cancel timers when it dies.
    while (!heap_.empty())
      if (timer* const t = take(0); t->expired == &later::fire) delete static_cast<later*>(t);
  }

  void post(work_item& item) noexcept override { ready_.push(item); }
  time_point now() const noexcept override { return now_; }
  void arm(timer& t, time_point at) noexcept override {
    t.at = at;
    t.tick = ++sequence_;
    heap_.push_back(&t);
    t.place = static_cast<std::int32_t>(heap_.size()) - 1;
    rise(heap_.size() - 1);
  }
  bool cancel(timer& t) noexcept override {
    if (t.place < 0) return false;
    take(static_cast<std::size_t>(t.place));
    return true;
  }
  bool runs_here() const noexcept override { return running_; }

  /// Calls `f` once `at` has passed. What has not been called when the scheduler is destroyed never is.
  void call_at(time_point at, std::function<void()> f) {
    auto* l = new later;
    l->expired = &later::fire;
    l->call = std::move(f);
    arm(*l, at);
  }
  void call_after(duration after, std::function<void()> f) { call_at(deadline_after(now_, after), std::move(f)); }

  /// Runs one item, or moves the clock to the next timer and lets it expire. False: there is neither.
  bool step() {
    if (work_item* const item = ready_.pop()) {
      running_ = true;
      item->run(*item);
      running_ = false;
      return true;
    }
    if (heap_.empty() || heap_.front()->at == never) return false;
    timer* const t = take(0);
    if (t->at > now_) now_ = t->at;
    running_ = true;
    t->expired(*t);
    running_ = false;
    return true;
  }
  /// When the next step happens: `now()` where an item is ready, `never` where nothing is armed.
  time_point next() const noexcept {
    if (!ready_.empty()) return now_;
    return heap_.empty() ? never : (heap_.front()->at > now_ ? heap_.front()->at : now_);
  }
  /// Steps until `at`, which becomes the time.
  void run_until(time_point at) {
    while (next() <= at && step()) {
    }
    if (at > now_) now_ = at;
  }

  /// Runs a task (or any awaitable) to its end, steps everything else meanwhile, and returns its result or throws its
  /// exception. Throws `error(closed)` when nothing is left that could end it.
  template <class Awaitable>
  auto run(Awaitable awaitable, environment env = {}) {
    auto t = dtask::detail::as_task(std::move(awaitable));
    dtask::detail::loop_completion<typename decltype(t)::value_type> end(*this, std::move(t), env);
    post(end.start());
    while (!end.has_ended())
      if (!step())
        throw error(errc::closed, "the task waits for something that never happens: no item and no timer is left",
                    "virtual_scheduler");
    return end.take();
  }

 private:
  struct later : timer {
    std::function<void()> call;
    static void fire(timer& t) noexcept {
      auto& self = static_cast<later&>(t);
      const std::function<void()> call = std::move(self.call);
      delete &self;
      call();
    }
  };

  static bool before(const timer& a, const timer& b) noexcept { return a.at != b.at ? a.at < b.at : a.tick < b.tick; }
  void put(std::size_t at, timer* t) noexcept {
    heap_[at] = t;
    t->place = static_cast<std::int32_t>(at);
  }
  void rise(std::size_t at) noexcept {
    timer* const t = heap_[at];
    while (at > 0 && before(*t, *heap_[(at - 1) / 2])) {
      put(at, heap_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    put(at, t);
  }
  void sink(std::size_t at) noexcept {
    timer* const t = heap_[at];
    for (;;) {
      std::size_t child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
      if (!before(*heap_[child], *t)) break;
      put(at, heap_[child]);
      at = child;
    }
    put(at, t);
  }
  timer* take(std::size_t at) noexcept {
    timer* const taken = heap_[at];
    timer* const last = heap_.back();
    heap_.pop_back();
    if (taken != last) {
      put(at, last);
      rise(at);
      sink(static_cast<std::size_t>(last->place));
    }
    taken->place = -1;
    return taken;
  }

  time_point now_{std::chrono::seconds(1000)};  // not 0, so that durations may be taken off
  std::uint64_t sequence_ = 0;
  bool running_ = false;
  work_list ready_;
  std::vector<timer*> heap_;
};

/// A timer with a function, cancelled when it dies. May be set again from its own function.
class alarm : timer {
 public:
  alarm(virtual_scheduler& on, std::function<void()> call) : on_(on), call_(std::move(call)) {
    expired = [](timer& t) noexcept { static_cast<alarm&>(t).call_(); };
  }
  alarm(const alarm&) = delete;
  alarm& operator=(const alarm&) = delete;
  ~alarm() { clear(); }
  /// Rings at `time` instead of when it would have.
  void set(time_point time) noexcept {
    clear();
    if (time != never) on_.arm(*this, time);
  }
  void clear() noexcept { on_.cancel(*this); }
  bool is_set() const noexcept { return place >= 0; }
  time_point rings_at() const noexcept { return place >= 0 ? at : never; }

 private:
  virtual_scheduler& on_;
  std::function<void()> call_;
};

}  // namespace sim
DTASK_END
