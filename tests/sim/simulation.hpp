// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client_process.hpp"
#include "coordinator_process.hpp"
#include "dtask/sim/world.hpp"
#include "worker_process.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

/// A whole simulated cluster and its books: one coordinator's host, workers and clients on hosts of their own, and the
/// steps of time.
///
/// Processes that ended stay here as shells until the end, so that references to them stay valid. Thread safety: none.
class simulation {
 public:
  static constexpr host_id coordinator_host = 0;

  explicit simulation(std::uint64_t seed, const network_traits& traits = {}, std::FILE* trace_to = nullptr)
      : world_(seed, book_, traits, trace_to), book_(world_.clock, world_.log) {}

  world& in() noexcept { return world_; }
  ledger& book() noexcept { return book_; }
  network& net() noexcept { return world_.net; }
  time_point now() const noexcept { return world_.clock.now(); }
  host_id new_host() noexcept { return ++last_host_; }

  /// Starts the coordinator, or a new one after the old one ended.
  coordinator_process& start_coordinator(const control::coordinator_options& options) {
    world_.net.machine_back(coordinator_host);
    coordinators_.push_back(std::make_unique<coordinator_process>(world_, book_, coordinator_host, options));
    coordinators_.back()->check_every(check_every_);
    return *coordinators_.back();
  }
  worker_process& start_worker(const worker_process::setting& how, host_id host) {
    world_.net.machine_back(host);
    workers_.push_back(std::make_unique<worker_process>(world_, book_, host, how));
    return *workers_.back();
  }
  worker_process& start_worker(const worker_process::setting& how) { return start_worker(how, new_host()); }
  client_process& start_client(const client_process::setting& how) {
    clients_.push_back(std::make_unique<client_process>(world_, book_, new_host(), how));
    return *clients_.back();
  }

  /// The coordinator that was started last. Precondition: there was one.
  coordinator_process& coordinator() noexcept { return *coordinators_.back(); }
  bool coordinator_up() const noexcept { return !coordinators_.empty() && coordinators_.back()->alive(); }
  const std::vector<std::unique_ptr<worker_process>>& workers() const noexcept { return workers_; }
  const std::vector<std::unique_ptr<client_process>>& clients() const noexcept { return clients_; }
  std::vector<worker_process*> living_workers() const {
    std::vector<worker_process*> out;
    for (const auto& w : workers_)
      if (w->alive()) out.push_back(w.get());
    return out;
  }
  std::vector<client_process*> living_clients() const {
    std::vector<client_process*> out;
    for (const auto& c : clients_)
      if (c->alive()) out.push_back(c.get());
    return out;
  }
  /// How many of the coordinator's turns there are from one look at its whole state to the next.
  void check_every(unsigned turns) {
    check_every_ = turns;
    for (const auto& c : coordinators_) c->check_every(turns);
  }

  /// Steps until `done()` or until `within` has passed, or until something was violated. Returns `done()`.
  template <class Done>
  bool run_until(Done done, duration within) {
    const time_point limit = now() + within;
    while (!done()) {
      if (!sound() || world_.clock.next() > limit || !step()) {
        if (sound()) world_.clock.run_until(limit);
        return done();
      }
    }
    return true;
  }
  void run_for(duration time) {
    run_until([] { return false; }, time);
  }
  /// Whether nothing was violated so far.
  bool sound() const noexcept { return book_.violations().empty() && world_.net.faults().empty(); }
  /// All that was violated, one line each.
  std::vector<std::string> violations() const {
    std::vector<std::string> all = book_.violations();
    all.insert(all.end(), world_.net.faults().begin(), world_.net.faults().end());
    return all;
  }
  std::uint64_t steps() const noexcept { return steps_; }

 private:
  bool step() {
    ++steps_;
    if (now() >= next_stuck_) {
      next_stuck_ = now() + std::chrono::seconds(1);
      world_.net.end_stuck_links();
    }
    if (now() != instant_) {
      instant_ = now();
      at_instant_ = 0;
    } else if (++at_instant_ > 200'000) {
      book_.violated("time stands still: more than 200,000 steps at one instant");
    }
    return world_.clock.step();
  }

  world world_;
  ledger book_;
  host_id last_host_ = coordinator_host;
  unsigned check_every_ = 1;
  std::uint64_t steps_ = 0;
  time_point next_stuck_{};
  time_point instant_{};
  std::uint64_t at_instant_ = 0;
  std::vector<std::unique_ptr<coordinator_process>> coordinators_;
  std::vector<std::unique_ptr<worker_process>> workers_;
  std::vector<std::unique_ptr<client_process>> clients_;
};

}  // namespace harness
