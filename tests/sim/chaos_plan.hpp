// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "client_process.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/options.hpp"
#include "dtask/sim/network_traits.hpp"
#include "dtask/sim/random_source.hpp"
#include "virtual_job.hpp"
#include "worker_process.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

enum class fault : std::uint8_t {
  break_link,
  break_host,
  partition,
  freeze_worker,
  freeze_client,
  freeze_coordinator,
  kill_worker,
  kill_all_workers,
  drain_worker,
  slow_worker,
  kill_coordinator,
  end_coordinator,
  kill_client,
  close_client,
};
inline constexpr std::uint8_t fault_kinds = 14;

/// The shape of one random simulation, drawn from its seed: how large, how fast, how tight, and what goes wrong.
class chaos_plan {
 public:
  explicit chaos_plan(random_source& draw) {
    calm = draw.chance(0.2);
    fault_time = draw.time(std::chrono::seconds(3), std::chrono::seconds(40));
    fault_interval = draw.time(std::chrono::milliseconds(400), std::chrono::seconds(8));
    join_within = draw.chance(0.5) ? duration::zero() : fault_time / 2;
    workers = draw.between32(1, 5);
    clients = draw.between32(1, 3);
    calls = static_cast<std::uint32_t>(draw.spread(4, 90)) / clients + 1;
    calls_again = draw.chance(0.3) ? draw.between32(1, 60) : 0;
    broadcasts = draw.chance(0.5) ? draw.between32(1, 10) : 0;
    burst = draw.chance(0.5) ? 0.7 : 0.1;
    big = draw.chance(0.25);
    huge = big && draw.chance(0.1);
    if (!calm)
      for (std::uint8_t kind = 0; kind < fault_kinds; ++kind)
        if (draw.chance(0.35)) faults.push_back(static_cast<fault>(kind));
    draw_network(draw);
    slow = network.bytes_per_second != 0 || network.latency_max > std::chrono::milliseconds(10);
    huge = huge && !slow;
    draw_options(draw);
    // What a job may do besides answering.
    misbehaving = draw.chance(0.6) ? 0.15 : 0;
    poison = !calm && draw.chance(0.3) ? 0.06 : 0;
    long_jobs = draw.chance(0.4) ? 0.06 : 0.01;
  }

  worker_process::setting worker(random_source& draw, std::uint32_t index) const {
    worker_process::setting s;
    s.slots = draw.between32(1, 4);
    s.jobs = {type("work/1", 1)};
    // The first worker knows everything; the others perhaps not.
    if (index == 0 || draw.chance(0.5)) s.jobs.push_back(type("rare/1", 2));
    s.jobs.push_back(type("odd/1", 3));
    s.slowness = draw.chance(0.2) ? 4 : 1;
    s.options.limits = limits(draw);
    // So little that what was fetched has to make room for what is fetched.
    if (tight && draw.chance(0.5)) s.options.broadcast_bytes = draw.spread(2'000, std::uint64_t{1} << 20);
    s.options.redial_max = draw.time(std::chrono::milliseconds(100), std::chrono::seconds(1));
    // So little that a drain stops jobs, as they are then placed elsewhere.
    if (draw.chance(0.3)) s.options.drain_within = draw.time(duration::zero(), std::chrono::seconds(3));
    return s;
  }
  client_process::setting client(random_source& draw) const {
    client_process::setting s;
    s.jobs = {type("rare/1", 2), type("work/1", 1), type("odd/1", 4), type("never/1", 5)};
    s.options.limits = limits(draw);
    if (tight) s.options.unsent_bytes = draw.spread(600, std::uint64_t{1} << 20);
    return s;
  }
  client_process::wish wish(random_source& draw) {
    client_process::wish w;
    w.type = draw.chance(0.15) ? 0 : 1;
    const std::uint64_t kind = draw.below(10);
    w.effect_class = kind < 3 ? effect::at_most_once : kind < 7 ? effect::idempotent : effect::pure;
    w.watch = draw.chance(0.3);
    w.retry.retries = draw.between32(0, 4);
    w.retry.backoff = draw.time(std::chrono::milliseconds(1), std::chrono::milliseconds(draw.chance(0.5) ? 5 : 200));
    w.retry.on_exception = draw.chance(0.3);
    w.no_worker_after = draw.chance(0.1) ? draw.time(std::chrono::milliseconds(500), std::chrono::seconds(10))
                                         : std::chrono::seconds(60);
    w.job.runs = draw.chance(long_jobs) ? draw.time(std::chrono::milliseconds(500), std::chrono::seconds(5))
                                        : duration(static_cast<std::int64_t>(draw.spread(1'000, 100'000'000)));
    if (big && draw.chance(0.2)) w.job.argument_bytes = draw.spread(1000, std::uint64_t{2} << 20);
    if (big && draw.chance(0.2)) w.job.result_bytes = draw.spread(1000, std::uint64_t{2} << 20);
    if (huge && draw.chance(0.05))
      (draw.chance(0.5) ? w.job.argument_bytes : w.job.result_bytes) =
          draw.between(std::uint64_t{9} << 20, std::uint64_t{20} << 20);
    if (draw.chance(0.1))
      w.deadline = draw.time(std::chrono::milliseconds(1), std::chrono::seconds(8));
    else if (draw.chance(0.05))
      w.deadline = no_deadline;
    if (draw.chance(0.08)) w.cancel_after = draw.time(duration::zero(), std::chrono::seconds(2));
    if (draw.chance(misbehaving)) misbehave(w, draw);
    if (draw.chance(poison)) {
      w.job.does = draw.chance(0.5) ? behaviour::kill_worker : behaviour::kill_at_first;
      if (draw.chance(0.5)) w.retry.retries = draw.between32(4, 16);
      w.job.times = draw.between32(1, 2);
    }
    if (broadcasts != 0 && draw.chance(0.4))
      w.job.fetches = draw.between32(1, static_cast<std::uint32_t>(std::size(value_names)));
    work += std::min<duration>(w.job.runs, std::chrono::seconds(30)) * (w.retry.retries + 1);
    return w;
  }
  std::size_t broadcast_size(random_source& draw) const {
    return static_cast<std::size_t>(draw.spread(10, big ? std::uint64_t{1} << 20 : 50'000));
  }

  /// How long after the last fault all calls have ended: a minute to notice and repair what was broken, and twice the
  /// work on one slot, if it is not done before; and a coordinator may just have begun to drain.
  duration bound() const { return std::chrono::seconds(90) + coordinator.drain_within + 2 * work; }

  bool calm = false;
  duration fault_time{};
  duration fault_interval{};
  duration join_within{};
  std::uint32_t workers = 1;
  std::uint32_t clients = 1;
  std::uint32_t calls = 10;
  std::uint32_t calls_again = 0;
  std::uint32_t broadcasts = 0;
  double burst = 0;
  bool big = false;
  bool huge = false;
  bool tight = false;
  bool slow = false;  ///< small messages may wait long behind large payloads
  bool small_frames = false;
  std::vector<fault> faults;
  network_traits network;
  control::coordinator_options coordinator;

 private:
  static wire::job_type type(const char* name, std::uint64_t schema) {
    return {name, schema, "virtual_job -> virtual_result #" + std::to_string(schema)};
  }

  void draw_network(random_source& draw) {
    if (draw.chance(0.25)) {
      network.latency_min = std::chrono::milliseconds(5);
      network.latency_max = std::chrono::milliseconds(80);
      network.jitter = std::chrono::milliseconds(20);
      network.window_min = std::size_t{256} << 10;
    }
    if (draw.chance(0.15)) network.bytes_per_second = draw.between(5'000'000, 50'000'000);
    if (draw.chance(0.3)) network.tiny_reads = 0.3;
    network.stuck_link_ends = draw.time(std::chrono::seconds(6), std::chrono::seconds(40));
  }
  void draw_options(random_source& draw) {
    if (draw.chance(0.3)) coordinator.prefetch_max = draw.chance(0.5) ? 0 : 2;
    if (draw.chance(0.3)) coordinator.prefetch_min = draw.between32(0, 8);
    coordinator.prefetch_min = std::min(coordinator.prefetch_min, coordinator.prefetch_max);
    if (draw.chance(0.3)) coordinator.prefetch_time = draw.time(duration::zero(), std::chrono::milliseconds(200));
    if (draw.chance(0.3)) coordinator.reattach_within = draw.time(duration::zero(), std::chrono::seconds(4));
    if (draw.chance(0.5)) coordinator.drain_within = draw.time(duration::zero(), std::chrono::seconds(30));
    coordinator.send_home = draw.chance(0.3);
    small_frames = draw.chance(0.3);
    tight = draw.chance(0.2);
    if (tight) {
      coordinator.queue_bytes = draw.chance(0.5) ? draw.between(4000, 20'000)
                                                 : draw.between(std::uint64_t{256} << 10, std::uint64_t{4} << 20);
      coordinator.session_bytes = coordinator.queue_bytes / draw.between(1, 4);
      coordinator.result_bytes = draw.between(std::uint64_t{128} << 10, std::uint64_t{4} << 20);
      if (draw.chance(0.2)) coordinator.max_jobs = draw.between32(2, 30);
      coordinator.broadcast_bytes = draw.between(std::uint64_t{64} << 10, std::uint64_t{4} << 20);
    }
    coordinator.limits = limits(draw);
  }
  wire::limits limits(random_source& draw) const {
    wire::limits l;
    if (!small_frames) return l;
    l.frame_body = draw.between32(128u << 10, 256u << 10);
    l.frame_blobs = draw.between32(64u << 10, 128u << 10);
    l.transfers = draw.between32(1, 8);
    return l;
  }
  void misbehave(client_process::wish& w, random_source& draw) {
    switch (draw.below(7)) {
      case 0:
        w.job.does = behaviour::fail;
        break;
      case 1:
        w.job.does = behaviour::fail_at_first;
        w.job.times = draw.between32(1, 3);
        break;
      case 2:
        w.job.does = behaviour::ignore_stop;
        if (draw.chance(0.3)) {
          w.job.runs = std::chrono::hours(2);
          w.deadline = draw.time(std::chrono::milliseconds(100), std::chrono::seconds(10));
        } else {
          w.job.runs = draw.time(std::chrono::milliseconds(10), std::chrono::seconds(12));
          if (draw.chance(0.5)) w.cancel_after = draw.time(duration::zero(), std::chrono::seconds(2));
        }
        break;
      case 3:
        w.job.does = behaviour::cannot_encode;
        break;
      case 4:  // runs until its deadline
        w.job.runs = std::chrono::hours(2);
        w.deadline = draw.time(std::chrono::milliseconds(10), std::chrono::seconds(6));
        break;
      case 5:
        w.type = 2;
        w.cannot_run = errc::schema_mismatch;
        break;
      default:
        w.type = 3;
        w.cannot_run = errc::no_worker;
        w.no_worker_after = draw.time(std::chrono::milliseconds(500), std::chrono::seconds(5));
        break;
    }
  }

 public:
  duration work{};  ///< of all wishes so far, on one slot

 private:
  double misbehaving = 0;
  double poison = 0;
  double long_jobs = 0;
};

}  // namespace harness
