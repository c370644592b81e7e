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

#include "dtask/base/config.hpp"
#include "dtask/sim/client_node.hpp"
#include "dtask/sim/coordinator_node.hpp"
#include "dtask/sim/worker_node.hpp"
#include "dtask/sim/world.hpp"

DTASK_BEGIN
namespace sim {

/// A whole simulated cluster: one coordinator's host, workers and clients on hosts of their own, and the steps of time.
///
/// Processes that ended stay here as shells until the end, so that references to them stay valid. Thread safety: none.
class cluster {
 public:
  static constexpr host_id coordinator_host = 0;

  explicit cluster(std::uint64_t seed, const network_traits& traits = {}, std::FILE* trace_to = nullptr)
      : world_(seed, traits, trace_to) {}

  world& in() noexcept { return world_; }
  ledger& book() noexcept { return world_.book; }
  network& net() noexcept { return world_.net; }
  time_point now() const noexcept { return world_.clock.now(); }
  host_id new_host() noexcept { return ++last_host_; }

  /// Starts the coordinator, or a new one after the old one ended.
  coordinator_node& start_coordinator(const control::coordinator_options& options) {
    world_.net.machine_back(coordinator_host);
    coordinators_.push_back(std::make_unique<coordinator_node>(world_, coordinator_host, options));
    coordinators_.back()->check_every(check_every_);
    return *coordinators_.back();
  }
  worker_node& start_worker(const worker_node::setting& how, host_id host) {
    world_.net.machine_back(host);
    workers_.push_back(std::make_unique<worker_node>(world_, host, how));
    return *workers_.back();
  }
  worker_node& start_worker(const worker_node::setting& how) { return start_worker(how, new_host()); }
  client_node& start_client(const client_node::setting& how) {
    clients_.push_back(std::make_unique<client_node>(world_, new_host(), how));
    return *clients_.back();
  }

  /// The coordinator that was started last. Precondition: there was one.
  coordinator_node& coordinator() noexcept { return *coordinators_.back(); }
  bool coordinator_up() const noexcept { return !coordinators_.empty() && coordinators_.back()->alive(); }
  const std::vector<std::unique_ptr<worker_node>>& workers() const noexcept { return workers_; }
  const std::vector<std::unique_ptr<client_node>>& clients() const noexcept { return clients_; }
  std::vector<worker_node*> living_workers() const {
    std::vector<worker_node*> out;
    for (const auto& w : workers_)
      if (w->alive()) out.push_back(w.get());
    return out;
  }
  std::vector<client_node*> living_clients() const {
    std::vector<client_node*> out;
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
  bool sound() const noexcept { return world_.book.violations().empty() && world_.net.faults().empty(); }
  /// All that was violated, one line each.
  std::vector<std::string> violations() const {
    std::vector<std::string> all = world_.book.violations();
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
      world_.book.violated("time stands still: more than 200,000 steps at one instant");
    }
    return world_.clock.step();
  }

  world world_;
  host_id last_host_ = coordinator_host;
  unsigned check_every_ = 1;
  std::uint64_t steps_ = 0;
  time_point next_stuck_{};
  time_point instant_{};
  std::uint64_t at_instant_ = 0;
  std::vector<std::unique_ptr<coordinator_node>> coordinators_;
  std::vector<std::unique_ptr<worker_node>> workers_;
  std::vector<std::unique_ptr<client_node>> clients_;
};

}  // namespace sim
DTASK_END
