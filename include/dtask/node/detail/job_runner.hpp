// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/log.hpp"
#include "dtask/control/action.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/job/shared_objects.hpp"
#include "dtask/node/detail/attempt_host.hpp"
#include "dtask/node/detail/blob_table.hpp"
#include "dtask/node/detail/job_failure.hpp"
#include "dtask/node/detail/object_cache.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/parts/thread_state.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// One execution of a job.
struct running_attempt {
  explicit running_attempt(control::run_job&& r) : what(std::move(r)) {}
  control::run_job what;
  std::shared_ptr<const blob_table> blobs;
  stop_source stop;

  /// It has been reported as started: its code may run.
  void report() noexcept {
    reported_.store(true, std::memory_order_release);
    reported_.notify_one();
  }
  /// Blocks until then, which is a matter of microseconds: the node's thread reports right after it has started the
  /// attempt.
  void wait_reported() const noexcept { reported_.wait(false, std::memory_order_acquire); }

 private:
  std::atomic<bool> reported_{false};
};

/// How it ended.
struct attempt_end {
  std::shared_ptr<running_attempt> which;
  wire::failure why;
  payload value;
};

/// Runs attempts on threads of its own, one per slot. A job that never ends keeps this alive and nothing else.
class job_runner : public std::enable_shared_from_this<job_runner> {
 public:
  using report = std::function<void(attempt_end)>;

  job_runner(std::span<const job_entry> entries, std::string name, std::string device, std::uint32_t slots,
             const codec_limits& limits, fetch_sender fetches, report ended)
      : entries_(entries),
        name_(std::move(name)),
        device_(std::move(device)),
        slots_(slots),
        limits_(limits),
        fetches_(std::move(fetches)),
        ended_(std::move(ended)),
        objects_(slots),
        pool_(slots, []() noexcept { this_thread().runs_jobs = true; }),
        children_(pool_) {}

  /// From the node's thread, which then calls `report` of the attempt.
  void start(std::shared_ptr<running_attempt> which) {
    {
      const std::lock_guard hold(guard_);
      ++under_way_;
    }
    spawn(children_, &job_runner::run<>, this, std::move(which));
  }
  /// Destroys the job objects of a session, where their destructors may take their time.
  void end_session(std::uint64_t session) {
    {
      const std::lock_guard hold(guard_);
      ++clearing_;
    }
    auto shared = take_shared(session);
    spawn(children_, &job_runner::forget<>, this, session, std::move(shared));
  }

  /// Waits until nothing runs here and the job objects are destroyed, or gives the threads up where jobs ignore stop or
  /// destructors do not return: they and what they hold stay behind until the process ends (false). Gives the jobs 2 s,
  /// since they have just been told to stop, and the destructors until 2.5 s have passed. Not from the node's thread or
  /// a job.
  static bool retire(std::shared_ptr<job_runner> runner) {
    {
      const std::lock_guard hold(runner->guard_);
      runner->ended_ = nullptr;
    }
    const time_point begin = std::chrono::time_point_cast<duration>(clock_type::now());
    std::string left;
    if (const std::size_t jobs =
            runner->wait_for_none(&job_runner::under_way_, begin + std::chrono::milliseconds(2000));
        jobs != 0) {
      left = std::to_string(jobs) + " jobs of worker " + runner->name_ + " ignore stop; their threads stay";
    } else {
      // By the threads of the slots, so that one that does not return can be left behind.
      runner->clear_all();
      if (runner->wait_for_none(&job_runner::clearing_, begin + std::chrono::milliseconds(2500)) != 0)
        left = "a job object of worker " + runner->name_ +
               " has a destructor that does not return in time; its thread stays";
    }
    if (left.empty()) {
      sync_wait(runner->close());
      return true;
    }
    log(log_level::warning, "jobs_left_behind", left + " until the process ends");
    static std::mutex guard;
    static auto* const left_behind = new std::vector<std::shared_ptr<job_runner>>;
    const std::lock_guard hold(guard);
    left_behind->push_back(std::move(runner));
    return false;
  }

 private:
  // Templates, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
  template <class = void>
  static task<> run(job_runner* self, std::shared_ptr<running_attempt> which) {
    attempt_end end;
    end.which = which;
    try {
      which->wait_reported();
      const control::run_job& what = which->what;
      const job_entry& entry = self->entries_[what.type];
      attempt_host host(which->blobs, self->shared(what.session), what.session, self->fetches_, self->device_);
      std::shared_ptr<job_object> object;
      if (entry.has_object)
        object = self->objects_[what.slot].obtain(entry, what.type, what.session, host.blobs(), *host.shared(),
                                                  self->name_, what.slot, self->slots_, self->device_);
      job_context context(stop_token(which->stop), what.deadline, what.attempt, what.slot, self->name_, &host);
      if (entry.call) {
        environment env;
        env.stop = &which->stop;
        if (which->stop.stop_requested()) throw_stopped(env);
        end.value = entry.call(object.get(), context, std::move(which->what.arguments), self->limits_);
      } else {
        auto body = entry.run(object.get(), context, std::move(which->what.arguments), self->limits_);
        auto guarded = with_stop(which->stop, std::move(body));
        end.value = co_await std::move(guarded);
      }
    } catch (...) {
      end.why = failure_in_flight(stop_token(which->stop));
    }
    which.reset();
    self->finish(std::move(end));
  }
  template <class = void>
  static task<> forget(job_runner* self, std::uint64_t session, std::shared_ptr<shared_objects> shared) {
    for (object_cache& cache : self->objects_) cache.end_session(session);
    shared.reset();
    self->cleared();
    co_return;
  }
  /// Destroys what is left of the job objects: each slot's by itself, then what they share.
  void clear_all() {
    {
      const std::lock_guard hold(guard_);
      clearing_ += slots_;
      uncleared_ = slots_;
    }
    for (object_cache& cache : objects_) spawn(children_, &job_runner::clear<>, this, &cache);
  }
  template <class = void>
  static task<> clear(job_runner* self, object_cache* cache) {
    cache->clear();
    std::unordered_map<std::uint64_t, std::shared_ptr<shared_objects>> shared;
    {
      const std::lock_guard hold(self->guard_);
      if (--self->uncleared_ == 0) shared.swap(self->shared_);
    }
    shared.clear();
    self->cleared();
    co_return;
  }
  void cleared() {
    const std::lock_guard hold(guard_);
    if (--clearing_ == 0) idle_.notify_all();
  }
  /// How many there still are at that time.
  std::size_t wait_for_none(std::size_t job_runner::* count, time_point until) {
    std::unique_lock hold(guard_);
    idle_.wait_until(hold, until, [&] { return this->*count == 0; });
    return this->*count;
  }
  /// What the jobs of a session share.
  std::shared_ptr<shared_objects> shared(std::uint64_t session) {
    const std::lock_guard hold(guard_);
    std::shared_ptr<shared_objects>& at = shared_[session];
    if (!at) at = std::make_shared<shared_objects>();
    return at;
  }
  std::shared_ptr<shared_objects> take_shared(std::uint64_t session) {
    const std::lock_guard hold(guard_);
    const auto at = shared_.find(session);
    if (at == shared_.end()) return nullptr;
    std::shared_ptr<shared_objects> gone = std::move(at->second);
    shared_.erase(at);
    return gone;
  }
  template <class = void>
  task<> close() {
    co_await children_.close();
  }
  void finish(attempt_end end) {
    const std::lock_guard hold(guard_);
    if (ended_) ended_(std::move(end));
    if (--under_way_ == 0) idle_.notify_all();
  }

  const std::span<const job_entry> entries_;
  const std::string name_;
  const std::string device_;
  const std::uint32_t slots_;
  const codec_limits limits_;
  const fetch_sender fetches_;
  std::mutex guard_;
  std::unordered_map<std::uint64_t, std::shared_ptr<shared_objects>> shared_;
  report ended_;
  std::condition_variable idle_;
  std::size_t under_way_ = 0;
  std::size_t clearing_ = 0;   ///< what destroys job objects, under way
  std::size_t uncleared_ = 0;  ///< slots whose objects `clear_all` has not destroyed
  std::vector<object_cache> objects_;
  work_pool pool_;
  scope children_;
};

}  // namespace detail
DTASK_END
