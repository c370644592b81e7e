// SPDX-License-Identifier: BSL-1.0
#pragma once
// A device that does what the test says: streams are queues of numbered work, done when the test says so.
#include <array>
#include <cstddef>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dtask/cuda/event_watch.hpp"

namespace dtask_test {

class fake_device {
 public:
  /// `step` units of work on stream `on`.
  struct event {
    std::size_t on = 0;
    long step = 0;
  };
  using stream = std::size_t;
  static constexpr std::size_t streams = 8;

  /// Puts a unit of work into a stream.
  event enqueue(stream s) {
    const std::lock_guard hold(guard_);
    return {s, ++state_[s].queued};
  }
  /// Ends the next `n` units, and calls the host functions behind them.
  void advance(stream s, long n = 1) {
    std::vector<std::pair<void (*)(void*), void*>> due;
    {
      const std::lock_guard hold(guard_);
      state_[s].done += n;
      auto& calls = state_[s].calls;
      for (std::size_t i = 0; i < calls.size();) {
        if (failed_ != 0 || calls[i].after > state_[s].done) {
          ++i;
          continue;
        }
        due.emplace_back(calls[i].function, calls[i].data);
        calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    for (const auto& [function, data] : due) function(data);
  }
  /// Ends all that is queued.
  void catch_up(stream s) {
    long left;
    {
      const std::lock_guard hold(guard_);
      left = state_[s].queued - state_[s].done;
    }
    if (left > 0) advance(s, left);
  }
  /// From now on every look sees this error; host functions are not called any more.
  void fail(int code) {
    const std::lock_guard hold(guard_);
    failed_ = code;
  }
  /// Drops the host functions that were never called, as the end of a context does.
  void end() {
    for (auto& s : state_)
      for (auto& c : std::exchange(s.calls, {})) c.function(c.data);
  }

  dtask::cuda::event_status query(event& e) noexcept {
    const std::lock_guard hold(guard_);
    ++looks;
    if (failed_ != 0) return dtask::cuda::event_status{failed_};
    return state_[e.on].done >= e.step ? dtask::cuda::event_status::done : dtask::cuda::event_status::pending;
  }
  event record(stream s) {
    const std::lock_guard hold(guard_);
    if (refuse_record) throw std::runtime_error("no event");
    ++recorded;
    return {s, state_[s].queued};
  }
  void recycle(event&&) noexcept {
    const std::lock_guard hold(guard_);
    ++recycled;
  }
  bool call_back(stream s, void (*f)(void*), void* data) noexcept {
    const std::lock_guard hold(guard_);
    if (refuse_calls) return false;
    state_[s].calls.push_back({state_[s].queued, f, data});
    return true;
  }
  std::exception_ptr failure(dtask::cuda::event_status status) noexcept {
    return std::make_exception_ptr(std::runtime_error("device error " + std::to_string(static_cast<int>(status))));
  }
  void enter_thread() noexcept { ++threads; }
  int looks_so_far() {
    const std::lock_guard hold(guard_);
    return looks;
  }

  int looks = 0, recorded = 0, recycled = 0, threads = 0;
  bool refuse_record = false, refuse_calls = false;

 private:
  struct call {
    long after;
    void (*function)(void*);
    void* data;
  };
  struct queue {
    long queued = 0, done = 0;
    std::vector<call> calls;
  };
  std::mutex guard_;
  int failed_ = 0;
  std::array<queue, streams> state_;
};

}  // namespace dtask_test
