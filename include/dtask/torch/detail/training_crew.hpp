// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/torch/detail/packed.hpp"
#include "dtask/torch/detail/training_course.hpp"
#include "dtask/torch/detail/training_part.hpp"
#include "dtask/torch/training_options.hpp"

DTASK_BEGIN
namespace detail {

/// The workers of a training: they are told its plan and its states, and each part of a round is done by one of them.
/// One task at a time uses it; cluster, options and course outlive it. Where it goes, the workers forget what they were
/// told.
template <class Training>
class training_crew {
 public:
  using part_end = outcome<part_answer>;

  training_crew(cluster& workers, const training_options& options, const training_course& course)
      : cluster_(workers), options_(options), course_(course), run_(new_name()) {}
  ~training_crew() {
    if (!told_ || left_) return;
    try {
      // Handed over at the call.
      static_cast<void>(cluster_.withdraw(run_ + "/state"));
      static_cast<void>(cluster_.withdraw(run_ + "/plan"));
    } catch (...) {
      // Without memory for that it stays until the session ends.
    }
  }
  training_crew(const training_crew&) = delete;
  training_crew& operator=(const training_crew&) = delete;

  /// What the names of its broadcasts begin with.
  const std::string& run() const noexcept { return run_; }
  /// Tells the workers what stays the same for all parts. Throws as `cluster::broadcast`.
  task<> tell_plan(const payload& plan) {
    told_ = true;
    return cluster_.broadcast(run_ + "/plan", pack(plan));
  }
  /// Tells them the state of the next round. It is handed over at the call: parts that are done afterwards find it.
  task<> tell_state(bytes state) { return cluster_.broadcast(run_ + "/state", std::move(state)); }
  /// Nothing is told or done any more: the workers forget what they know.
  task<> leave() { return withdraw_all(this); }

  /// Has the part of every rank done, and says in rank order what became of each. `what`: of rank 0. Where one cannot
  /// be gone without, the others are stopped at once, and it throws `error` with that part's place.
  task<std::vector<part_end>> work(part_order what) { return all_parts(this, std::move(what)); }
  /// Those that have ended well, in rank order. Throws `error(worker_lost)` where fewer than `min_ranks` have.
  std::vector<ended_part> well_ended(const part_order& what, std::vector<part_end> ends) const {
    std::vector<ended_part> parts;
    std::optional<error> lost;
    for (std::int32_t rank = 0; rank < options_.ranks; ++rank) {
      part_end& end = ends[static_cast<std::size_t>(rank)];
      if (end)
        parts.push_back({rank, end.worker(), std::move(*end)});
      else
        lost.emplace(end.error());
    }
    if (parts.size() < static_cast<std::size_t>(options_.min_ranks))
      throw error(errc::worker_lost,
                  std::to_string(parts.size()) + " of " + std::to_string(options_.ranks) +
                      " parts are left, fewer than min_ranks (" + std::to_string(options_.min_ranks) +
                      "); last: " + lost->cause(),
                  part_place(what, 0, {}), "start workers, or lower min_ranks");
    return parts;
  }

 private:
  static std::string new_name() {
    static std::atomic<std::uint64_t> number{0};
    return std::string(Training::name) + "#" + std::to_string(++number);
  }
  /// Whether a lost part of this kind is gone without: evaluation is of every sample.
  bool drops(part_kind kind) const noexcept { return options_.on_loss == on_loss::drop && kind == part_kind::train; }
  bool may_drop(part_kind kind, errc why) const noexcept {
    return drops(kind) &&
           (why == errc::worker_lost || (why == errc::deadline_exceeded && options_.round_within != no_deadline) ||
            why == errc::job_abandoned);
  }
  bool coordinator_was_lost(part_kind kind, errc why) const noexcept {
    return drops(kind) && (why == errc::coordinator_lost || why == errc::session_lost);
  }
  caller calls(part_kind kind) const {
    call_options how;
    how.deadline = kind == part_kind::train ? options_.round_within : no_deadline;
    how.no_worker_after = options_.no_worker_after;
    how.retries = drops(kind) ? 0 : 1000;
    how.backoff = std::chrono::milliseconds(20);
    how.max_backoff = std::chrono::seconds(1);
    return cluster_.with(how);
  }
  [[noreturn]] static void fail(const part_order& what, const remote_error& why) {
    const bool plain = why.type().empty() || why.type() == "dtask::error";
    throw error(why.code(), plain ? why.message() : why.message() + " (" + why.type() + ")",
                part_place(what, what.rank, why.worker()), why.remedy());
  }

  /// Waits for one part. Throws where the training cannot go on without it.
  static task<part_end> one_part(training_crew* self, part_order what, job_handle<part_answer> handle) {
    auto ending = handle.outcome();
    part_end end = co_await std::move(ending);
    // With `drop` a job has no retries, but only a worker is to be gone without: the part is handed over again.
    for (int tries = 0; !end && tries < 100 && self->coordinator_was_lost(what.kind, end.error().code()); ++tries) {
      auto again = self->calls(what.kind).template try_call<Training>(what);
      end = co_await std::move(again);
    }
    if (!end && !self->may_drop(what.kind, end.error().code())) fail(what, end.error());
    // Of a survey, the first says what the others must have.
    if (end && what.kind != part_kind::survey) self->course_.require_same_data(what, what.rank, *end, end.worker());
    {
      const std::lock_guard hold(self->ended_guard_);
      self->ended_.push_back(what.rank);
    }
    co_return end;
  }
  static task<std::vector<part_end>> all_parts(training_crew* self, part_order what) {
    const caller calls = self->calls(what.kind);
    // In the order in which the parts of the last round ended: the worker that has been idle longest gets the next
    // part, so each rank comes back to the worker that has loaded ahead for it, if there are as many of both.
    std::vector<std::int32_t> turns = std::exchange(self->ended_, {});
    for (std::int32_t rank = 0; rank < self->options_.ranks; ++rank)
      if (std::find(turns.begin(), turns.end(), rank) == turns.end()) turns.push_back(rank);
    std::vector<std::optional<task<part_end>>> in_rank_order(turns.size());
    for (const std::int32_t rank : turns) {
      what.rank = rank;
      auto handing = calls.template submit<Training>(what);
      job_handle<part_answer> handle = co_await std::move(handing);
      in_rank_order[static_cast<std::size_t>(rank)].emplace(one_part(self, what, std::move(handle)));
    }
    std::vector<task<part_end>> waiting;
    for (std::optional<task<part_end>>& each : in_rank_order) waiting.push_back(std::move(*each));
    auto all = when_all(std::move(waiting));
    co_return co_await std::move(all);
  }
  static task<> withdraw_all(training_crew* self) {
    if (std::exchange(self->left_, true)) co_return;
    auto first = self->cluster_.withdraw(self->run_ + "/state");
    co_await std::move(first);
    auto second = self->cluster_.withdraw(self->run_ + "/plan");
    co_await std::move(second);
  }

  cluster& cluster_;
  const training_options& options_;
  const training_course& course_;
  const std::string run_;
  bool told_ = false, left_ = false;
  std::mutex ended_guard_;
  std::vector<std::int32_t> ended_;  ///< ranks, in the order in which their last parts ended
};

}  // namespace detail
DTASK_END
