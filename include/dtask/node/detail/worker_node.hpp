// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/device_name.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/control/worker_state.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/node/detail/attempt_host.hpp"
#include "dtask/node/detail/dialing_driver.hpp"
#include "dtask/node/detail/job_runner.hpp"
#include "dtask/node/detail/mailbox.hpp"
#include "dtask/task/one_shot.hpp"

DTASK_BEGIN
namespace detail {

inline std::vector<wire::job_type> job_types(std::span<const job_entry> entries) {
  std::vector<wire::job_type> types;
  for (const job_entry& e : entries) types.push_back({std::string(e.name), e.schema, e.signature});
  return types;
}

/// The worker's machine with its link and its jobs. All members on the node's thread.
class worker_node final : public std::enable_shared_from_this<worker_node>,
                          dialing_driver<worker_node, control::worker_state, control::worker_action> {
  using base = dialing_driver<worker_node, control::worker_state, control::worker_action>;
  friend base;
  friend base::driver;

 public:
  worker_node(net::executor where, std::span<const job_entry> entries, control::identity who,
              const control::worker_options& options, dialer dial, std::uint64_t seed)
      : base(where, std::move(dial)),
        machine_(who, options, seed),
        ends_(std::make_shared<mailbox<attempt_end>>(where)),
        questions_(std::make_shared<mailbox<fetch_letter>>(where)) {
    codec_limits limits;
    limits.payload = options.limits.payload;
    limits.blobs = options.limits.blobs;
    name_ = who.name;
    device_ = worker_device(options.device);
    slots_ = who.slots;
    entries_ = entries;
    limits_ = limits;
  }

  /// Starts the threads of the jobs; before `start`, on any thread. Throws std::system_error where there are too few.
  void prepare() {
    // One wake-up for all jobs that end before it is followed.
    fetch_sender fetches = [questions = questions_, weak = weak_from_this()](fetch_letter letter) {
      return questions->put(std::move(letter), [weak] {
        if (const auto self = weak.lock()) self->read_questions();
      });
    };
    runner_ = std::make_shared<job_runner>(entries_, name_, device_, slots_, limits_, std::move(fetches),
                                           [ends = ends_, weak = weak_from_this()](attempt_end end) {
                                             ends->put(std::move(end), [weak] {
                                               if (const auto self = weak.lock()) self->jobs_ended();
                                             });
                                           });
  }
  void start() {
    machine_.start(now());
    settle();
  }
  void drain() {
    if (down_) return;
    machine_.drain(now());
    settle();
  }
  void stop() {
    if (down_) return;
    machine_.stop(now());
    settle();
  }
  /// Called once, on the node's thread, when the machine has ended and its last words have been written.
  void when_ended(std::function<void(control::exit)> f) { ended_ = std::move(f); }
  /// Ends everything without a word; nothing happens here any more. What runs the jobs comes back: `job_runner::retire`
  /// takes it, on another thread.
  std::shared_ptr<job_runner> take_down() {
    down_ = true;
    silence();
    static_cast<void>(ends_->close());
    end_fetches();
    stop_dialing();
    take_links();
    ended_ = nullptr;
    for (auto& [job, running] : running_) running->stop.request_stop();
    running_.clear();
    return std::move(runner_);
  }

 private:
  using base::act;
  void act(control::run_job& a) {
    auto which = std::make_shared<running_attempt>(std::move(a));
    const auto blobs = blobs_.find(which->what.session);
    if (blobs != blobs_.end()) which->blobs = blobs->second;
    running_.insert_or_assign(which->what.job, which);
    ready_.push_back(std::move(which));
  }
  void act(control::stop_job& a) {
    const auto at = running_.find(a.job);
    if (at != running_.end() && at->second->what.fence == a.fence) at->second->stop.request_stop(a.why);
  }
  void act(control::blob_available& a) {
    auto& table = blobs_[a.session];
    table = blob_table::with(table, std::move(a.name), std::move(a.value), a.number);
  }
  void act(control::blob_announced& a) {
    auto& table = blobs_[a.session];
    table = blob_table::announcing(table, std::move(a.name), a.number);
  }
  void act(control::blob_withdrawn& a) {
    auto& table = blobs_[a.session];
    table = blob_table::without(table, a.name);
  }
  void act(control::fetched& a) {
    const auto at = fetches_.find(a.request);
    if (at == fetches_.end()) return;
    const std::shared_ptr<pending_fetch> which = std::move(at->second);
    fetches_.erase(at);
    if (a.why.code != errc::ok) {
      which->done.set_in(wakes_, result<blob>(error(a.why.code, a.why.message, a.why.place, a.why.remedy)));
      return;
    }
    const auto table = blobs_.find(a.session);
    blob_source::found found = table == blobs_.end() ? blob_source::found() : table->second->find(a.name);
    which->done.set_in(wakes_, result<blob>(blob{std::move(found.value), found.version}));
  }
  void act(control::session_ended& a) {
    blobs_.erase(a.session);
    if (runner_) runner_->end_session(a.session);
  }
  void act(control::exit& a) { exit_ = std::move(a); }

  void settled() {
    wakes_.flush();
    if (!ready_.empty()) {
      // A job that kills its process must have been reported as started. Its thread wakes up meanwhile.
      for (auto& which : ready_) runner_->start(which);
      flush_links();
      for (auto& which : ready_) which->report();
      ready_.clear();
    }
    if (!exit_ || links() != 0 || !ended_) return;
    silence();
    std::exchange(ended_, nullptr)(*exit_);
  }
  void read_questions() {
    questions_->take(asked_);
    for (fetch_letter& letter : asked_) {
      pending_fetch& which = *letter.which;
      if (letter.forget) {
        if (fetches_.erase(which.request) != 0) machine_.forget_fetch(which.request);
        continue;
      }
      which.request = ++last_fetch_;
      fetches_.emplace(which.request, letter.which);
      machine_.fetch(which.request, which.session, which.name, now());
    }
    asked_.clear();
    settle();
  }
  /// Nobody answers them any more.
  void end_fetches() {
    const auto fail = [this](pending_fetch& which) {
      which.done.set_in(wakes_, result<blob>(error(errc::cancelled, "the worker has ended", name_)));
    };
    for (fetch_letter& letter : questions_->close())
      if (!letter.forget) fail(*letter.which);
    for (auto& [request, which] : std::exchange(fetches_, {})) fail(*which);
    wakes_.flush();
  }
  void jobs_ended() {
    ends_->take(arrived_);
    const time_point when = now();
    for (attempt_end& end : arrived_) {
      const auto at = running_.find(end.which->what.job);
      if (at != running_.end() && at->second == end.which) running_.erase(at);
      machine_.job_finished(end.which->what.job, end.which->what.fence, std::move(end.why), std::move(end.value), when);
    }
    arrived_.clear();
    settle();
  }

  control::worker_state machine_;
  std::string name_;
  std::string device_;
  std::uint32_t slots_ = 0;
  std::span<const job_entry> entries_;
  codec_limits limits_;
  std::shared_ptr<job_runner> runner_;
  std::shared_ptr<mailbox<attempt_end>> ends_;
  std::vector<attempt_end> arrived_;
  std::shared_ptr<mailbox<fetch_letter>> questions_;
  std::vector<fetch_letter> asked_;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_fetch>> fetches_;
  std::uint64_t last_fetch_ = 0;
  wake_batch wakes_;
  std::vector<std::shared_ptr<running_attempt>> ready_;
  std::unordered_map<std::uint64_t, std::shared_ptr<running_attempt>> running_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const blob_table>> blobs_;
  std::optional<control::exit> exit_;
  std::function<void(control::exit)> ended_;
  bool down_ = false;
};

}  // namespace detail
DTASK_END
