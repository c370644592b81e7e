// SPDX-License-Identifier: BSL-1.0
#include "simulation.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sim = dtask::sim;
namespace control = dtask::control;
using dtask::effect;
using dtask::errc;
using namespace std::chrono_literals;

// One coordinator, some workers and a client on a quiet local network; each test breaks one thing and says what has to
// come of it. The ledger judges at every step besides.
namespace {

struct scene {
  explicit scene(std::uint32_t workers = 2, std::uint32_t slots = 2, const control::coordinator_options& options = {},
                 const sim::network_traits& traits = {})
      : all(7, traits), coordinator_options(options) {
    all.start_coordinator(options);
    worker.jobs = {{"work/1", 1, "a -> b"}};
    worker.slots = slots;
    for (std::uint32_t i = 0; i < workers; ++i) all.start_worker(worker);
    harness::client_process::setting how;
    how.jobs = worker.jobs;
    client = &all.start_client(how);
    all.run_for(1s);
  }
  ~scene() {
    for (const std::string& v : all.violations()) CHECK_MESSAGE(false, v);
  }
  static harness::client_process::wish wish(effect e = effect::idempotent, dtask::duration runs = 10ms) {
    harness::client_process::wish w;
    w.effect_class = e;
    w.job.runs = runs;
    return w;
  }
  std::uint64_t call(const harness::client_process::wish& w) {
    const std::uint64_t number = all.book().next_job();
    client->call(w);
    REQUIRE(all.book().next_job() == number + 1);
    return number;
  }
  std::vector<std::uint64_t> calls(std::size_t count, const harness::client_process::wish& w) {
    std::vector<std::uint64_t> out;
    while (out.size() < count) out.push_back(call(w));
    return out;
  }
  bool all_end(dtask::duration within) {
    return all.run_until([this] { return all.book().open_calls() == 0; }, within);
  }
  const harness::call_entry& of(std::uint64_t job) const {
    return *const_cast<harness::simulation&>(all).book().call_of(job);
  }
  std::size_t count(const std::vector<std::uint64_t>& jobs, errc code) const {
    std::size_t n = 0;
    for (const std::uint64_t j : jobs) n += of(j).ended && of(j).code == code;
    return n;
  }
  std::size_t executions() { return all.book().executions().size(); }
  harness::worker_process& worker_at(std::size_t i) { return *all.workers()[i]; }

  harness::simulation all;
  control::coordinator_options coordinator_options;
  harness::worker_process::setting worker;
  harness::client_process* client = nullptr;
};

}  // namespace

TEST_CASE("cluster: every job of every effect class runs once and is answered") {
  scene s;
  std::vector<std::uint64_t> jobs;
  for (const effect e : {effect::at_most_once, effect::idempotent, effect::pure})
    for (const std::uint64_t j : s.calls(50, s.wish(e))) jobs.push_back(j);
  CHECK(s.all_end(10s));
  CHECK(s.count(jobs, errc::ok) == 150);
  CHECK(s.executions() == 150);
}

TEST_CASE("cluster: both workers get their share") {
  scene s(2, 2);
  s.calls(100, s.wish());
  CHECK(s.all_end(10s));
  std::size_t first = 0;
  for (const harness::execution_entry& e : s.all.book().executions()) first += e.worker == s.worker_at(0).id();
  CHECK(first > 30);
  CHECK(first < 70);
}

TEST_CASE("cluster: the coordinator is killed and back within 10 s") {
  scene s;
  const auto again = s.calls(20, s.wish(effect::idempotent, 1s));
  const auto once = s.calls(4, s.wish(effect::at_most_once, 1s));
  s.all.run_for(1500ms);
  const std::size_t done = s.count(again, errc::ok) + s.count(once, errc::ok);
  s.all.coordinator().kill(true, false);
  s.all.run_for(5s);
  s.all.start_coordinator(s.coordinator_options);
  CHECK(s.all_end(60s));
  CHECK(s.count(again, errc::ok) == 20);
  CHECK(s.count(once, errc::ok) + s.count(once, errc::coordinator_lost) == 4);
  CHECK(s.count(once, errc::coordinator_lost) >= 1);
  CHECK(done < 24);
  CHECK(s.client->online());
  CHECK(!s.client->resumed());
}

TEST_CASE("cluster: the coordinator never comes back") {
  scene s;
  const auto again = s.calls(20, s.wish(effect::idempotent, 1s));
  const auto once = s.calls(4, s.wish(effect::at_most_once, 1s));
  s.all.run_for(500ms);
  s.all.coordinator().kill(true, false);
  CHECK(s.all_end(s.client->options().coordinator_wait + 200ms));
  CHECK(s.count(again, errc::coordinator_lost) == 20);
  CHECK(s.count(once, errc::coordinator_lost) == 4);
  // Workers without a coordinator end by themselves.
  CHECK(s.all.run_until([&] { return s.all.living_workers().empty(); }, s.worker.options.unreachable_after + 5s));
  CHECK(s.worker_at(0).exited() == control::exit_reason::unreachable);
}

TEST_CASE("cluster: the coordinator's machine falls silent and never comes back") {
  scene s;
  const auto jobs = s.calls(8, s.wish(effect::idempotent, 1s));
  s.all.run_for(500ms);
  s.all.coordinator().kill(true, true);
  CHECK(s.all_end(s.client->options().coordinator_wait + 10s));
  CHECK(s.count(jobs, errc::coordinator_lost) == 8);
}

TEST_CASE("cluster: a worker is frozen for 6 s; what it says late is fenced") {
  scene s(1, 1);
  const std::uint64_t job = s.call(s.wish(effect::idempotent, 2s));
  s.all.run_for(1s);
  REQUIRE(s.executions() == 1);
  s.worker_at(0).freeze();
  harness::worker_process& other = s.all.start_worker(s.worker);
  s.all.run_for(5500ms);
  REQUIRE(s.executions() == 2);  // placed again on the other one
  s.worker_at(0).thaw();         // its result is older than the other's
  CHECK(s.all_end(10s));
  CHECK(s.of(job).code == errc::ok);
  CHECK(s.all.book().executions()[1].worker == other.id());
  s.all.run_for(5s);
  CHECK(s.executions() == 2);
}

TEST_CASE("cluster: a job that may not run twice ends worker_lost with its worker") {
  scene s(2, 1);
  const auto jobs = s.calls(2, s.wish(effect::at_most_once, 5s));
  s.all.run_for(1s);
  REQUIRE(s.executions() == 2);
  s.worker_at(0).kill(true, false);
  CHECK(s.all_end(20s));
  CHECK(s.count(jobs, errc::worker_lost) == 1);
  CHECK(s.count(jobs, errc::ok) == 1);
  CHECK(s.executions() == 2);
}

TEST_CASE("cluster: a partition shorter than the lease costs nothing") {
  scene s;
  const auto jobs = s.calls(12, s.wish(effect::at_most_once, 1s));
  s.all.run_for(500ms);
  for (const auto& w : s.all.workers()) {
    s.all.book().disturbed();
    s.all.net().block(w->host(), harness::simulation::coordinator_host);
    s.all.net().block(harness::simulation::coordinator_host, w->host());
  }
  s.all.run_for(4s);
  s.all.net().unblock_all();
  CHECK(s.all_end(20s));
  CHECK(s.count(jobs, errc::ok) == 12);
  CHECK(s.executions() == 12);
}

TEST_CASE("cluster: a partition longer than the lease: the jobs run elsewhere, the worker comes back") {
  scene s(2, 1);
  const auto jobs = s.calls(4, s.wish(effect::pure, 2s));
  s.all.run_for(500ms);
  s.all.book().disturbed();
  s.all.net().block(s.worker_at(0).host(), harness::simulation::coordinator_host);  // one way only
  s.all.run_for(8s);
  s.all.net().unblock_all();
  CHECK(s.all_end(30s));
  CHECK(s.count(jobs, errc::ok) == 4);
  s.all.run_for(5s);
  CHECK(s.all.coordinator().report().workers.size() == 2);
}

TEST_CASE("cluster: a worker whose link breaks comes back and keeps its jobs") {
  scene s(1, 2);
  const auto jobs = s.calls(6, s.wish(effect::at_most_once, 1s));
  s.all.run_for(500ms);
  s.all.book().disturbed();
  s.all.net().break_all(s.worker_at(0).host());
  CHECK(s.all_end(20s));
  CHECK(s.count(jobs, errc::ok) == 6);
  CHECK(s.executions() == 6);
}

TEST_CASE("cluster: a client whose link breaks resumes its session within 10 s") {
  scene s;
  const auto jobs = s.calls(30, s.wish(effect::at_most_once, 500ms));
  s.all.run_for(1200ms);
  s.all.book().disturbed();
  s.all.net().block(s.client->host(), harness::simulation::coordinator_host);
  s.all.net().break_all(s.client->host());
  s.all.run_for(3s);
  s.all.net().unblock_all();
  CHECK(s.all_end(30s));
  CHECK(s.count(jobs, errc::ok) == 30);
  CHECK(s.executions() == 30);
  CHECK(s.client->resumed());
}

TEST_CASE("cluster: the jobs of a client that dies are cancelled after the grace of its session") {
  scene s(1, 1);
  s.calls(5, s.wish(effect::idempotent, 1h));
  s.all.run_for(1s);
  s.client->kill(true, false);
  s.all.run_for(s.coordinator_options.session_grace + 2s);
  CHECK(s.worker_at(0).running() == 0);
  s.all.coordinator().check_empty();
}

TEST_CASE("cluster: a client that closes cancels its jobs on the workers at once") {
  scene s(1, 2);
  const auto jobs = s.calls(5, s.wish(effect::idempotent, 1h));
  s.all.run_for(1s);
  REQUIRE(s.worker_at(0).running() == 2);
  s.client->close();
  CHECK(s.all.run_until([&] { return s.client->closed(); }, 1s));
  CHECK(s.count(jobs, errc::cancelled) == 5);
  s.all.run_for(1s);
  CHECK(s.worker_at(0).running() == 0);
  s.all.coordinator().check_empty();
}

TEST_CASE("cluster: all workers die, new ones take over") {
  scene s(3, 2);
  const auto jobs = s.calls(30, s.wish(effect::idempotent, 1s));
  s.all.run_for(1500ms);
  for (const auto& w : s.all.workers()) w->kill(true, false);
  s.all.run_for(3s);
  for (int i = 0; i < 2; ++i) s.all.start_worker(s.worker);
  CHECK(s.all_end(60s));
  CHECK(s.count(jobs, errc::ok) == 30);
}

TEST_CASE("cluster: all workers die and none comes: no_worker after the stated time") {
  scene s(2, 1);
  auto w = s.wish(effect::idempotent, 1s);
  w.no_worker_after = 5s;
  const auto jobs = s.calls(6, w);
  s.all.run_for(500ms);
  for (const auto& each : s.all.workers()) each->kill(true, false);
  // Counted from when the workers are given up: reattach_within after their links broke.
  CHECK(s.all_end(5s + s.coordinator_options.reattach_within + 500ms));
  CHECK(s.count(jobs, errc::no_worker) == 6);
}

TEST_CASE("cluster: a poison job is quarantined, the good ones finish") {
  scene s(3, 2);
  auto bad = s.wish();
  bad.job.does = harness::behaviour::kill_worker;
  bad.retry.retries = 10;
  const std::uint64_t poison = s.call(bad);
  const auto good = s.calls(40, s.wish(effect::idempotent, 200ms));
  // Dead workers are replaced, as a launcher does.
  std::size_t dead = 0;
  const bool ended = s.all.run_until(
      [&] {
        std::size_t now_dead = 0;
        for (const auto& w : s.all.workers()) now_dead += !w->alive();
        for (; dead < now_dead; ++dead) s.all.start_worker(s.worker);
        return s.all.book().open_calls() == 0;
      },
      60s);
  CHECK(ended);
  CHECK(s.of(poison).code == errc::quarantined);
  CHECK(s.of(poison).executions == s.coordinator_options.quarantine_after_deaths);
  CHECK(s.count(good, errc::ok) == 40);
}

TEST_CASE("cluster: a 64 MiB argument passes while heartbeats and small jobs go on") {
  sim::network_traits slow;
  slow.bytes_per_second = 8'000'000;  // more than lost_after for the argument alone
  slow.window_min = slow.window_max = 256u << 10;
  scene s(1, 2, {}, slow);
  auto large = s.wish(effect::idempotent, 10ms);
  large.job.argument_bytes = 64u << 20;
  const std::uint64_t big = s.call(large);
  s.all.run_for(1s);
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t small = s.call(s.wish());
    s.all.run_for(1200ms);
    CHECK(s.of(small).code == errc::ok);
    CHECK(s.of(small).ended);
  }
  CHECK(!s.of(big).ended);
  CHECK(s.all_end(60s));
  CHECK(s.of(big).code == errc::ok);
  CHECK(s.executions() == 6);
  CHECK(s.all.coordinator().report().workers.size() == 1);
  // The link holds what its high-water mark allows, not the argument.
  CHECK(s.client->most_unsent_bytes() < (12u << 20));
  CHECK(s.all.coordinator().most_unsent_bytes() < (12u << 20));
}

TEST_CASE("cluster: a 64 MiB result passes, too") {
  sim::network_traits slow;
  slow.bytes_per_second = 40'000'000;
  scene s(1, 2, {}, slow);
  auto large = s.wish(effect::pure, 10ms);
  large.job.result_bytes = 64u << 20;
  const std::uint64_t big = s.call(large);
  CHECK(s.all_end(60s));
  CHECK(s.of(big).code == errc::ok);
  CHECK(s.all.coordinator().most_unsent_bytes() < (12u << 20));
}

TEST_CASE(
    "cluster: a broadcast reaches every worker before the jobs that were submitted after it, and those who join late") {
  scene s(2, 1);
  s.client->broadcast("weights", 3u << 20);
  s.all.run_for(2s);
  REQUIRE(s.client->open_broadcasts() == 0);
  s.calls(20, s.wish(effect::idempotent, 200ms));  // the ledger checks what each one sees
  s.all.run_for(500ms);
  s.all.start_worker(s.worker);
  s.client->broadcast("weights", 1000);
  s.calls(20, s.wish(effect::idempotent, 200ms));
  CHECK(s.all_end(30s));
  CHECK(s.executions() == 40);
}

TEST_CASE("cluster: a worker that drains finishes what it runs, gives the rest back, and costs no second run") {
  scene s(2, 2);
  const auto jobs = s.calls(60, s.wish(effect::idempotent, 100ms));
  s.all.run_for(250ms);
  s.worker_at(0).drain();
  CHECK(s.all_end(30s));
  CHECK(s.count(jobs, errc::ok) == 60);
  CHECK(s.executions() == 60);
  CHECK(s.all.run_until([&] { return !s.worker_at(0).alive(); }, 5s));
  CHECK(s.worker_at(0).exited() == control::exit_reason::drained);
}

TEST_CASE("cluster: deadlines end jobs that wait, that run, and that ignore being stopped") {
  scene s(1, 1);
  auto running = s.wish(effect::idempotent, 1h);
  running.deadline = 2s;
  auto waiting = s.wish(effect::idempotent, 1h);
  waiting.deadline = 1s;
  const std::uint64_t a = s.call(running), b = s.call(waiting);
  CHECK(s.all_end(3s));
  CHECK(s.of(a).code == errc::deadline_exceeded);
  CHECK(s.of(b).code == errc::deadline_exceeded);
  CHECK(s.executions() == 1);
  auto deaf = s.wish(effect::idempotent, 1h);
  deaf.job.does = harness::behaviour::ignore_stop;
  deaf.deadline = 1s;
  const std::uint64_t c = s.call(deaf);
  CHECK(s.all_end(2s));
  CHECK(s.of(c).code == errc::deadline_exceeded);
  // Its only slot is lost, so the worker ends with its own code.
  CHECK(s.all.run_until([&] { return !s.worker_at(0).alive(); }, s.worker.options.abandon_after + 2s));
  CHECK(s.worker_at(0).exited() == control::exit_reason::no_slots);
}

TEST_CASE("cluster: cancelling ends queued and running calls") {
  scene s(1, 1);
  const auto jobs = s.calls(3, s.wish(effect::idempotent, 1h));
  s.all.run_for(500ms);
  for (const std::uint64_t j : jobs) s.client->cancel(s.of(j).call);
  CHECK(s.all_end(2s));
  CHECK(s.count(jobs, errc::cancelled) == 3);
  CHECK(s.worker_at(0).running() == 0);
}

TEST_CASE("cluster: a job that throws is answered, and run again only where its policy says so") {
  scene s;
  auto fails = s.wish();
  fails.job.does = harness::behaviour::fail;
  const std::uint64_t a = s.call(fails);
  auto recovers = s.wish();
  recovers.job.does = harness::behaviour::fail_at_first;
  recovers.job.times = 2;
  recovers.retry.on_exception = true;
  const std::uint64_t b = s.call(recovers);
  CHECK(s.all_end(10s));
  CHECK(s.of(a).code == errc::job_failed);
  CHECK(s.of(a).executions == 1);
  CHECK(s.of(b).code == errc::ok);
  CHECK(s.of(b).executions == 3);
}

TEST_CASE("cluster: an orderly end leaves nothing behind") {
  control::coordinator_options options;
  options.send_home = true;
  scene s(2, 2, options);
  s.calls(20, s.wish());
  CHECK(s.all_end(10s));
  s.client->close();
  CHECK(s.all.run_until([&] { return s.client->closed(); }, 2s));
  s.all.run_for(1s);
  s.all.coordinator().check_empty();
  s.all.coordinator().drain();
  CHECK(s.all.run_until([&] { return s.all.coordinator().stopped() && s.all.living_workers().empty(); }, 5s));
  s.all.run_for(5s);
  CHECK(s.all.net().open_ends() == "");
}

TEST_CASE("cluster: links that break right after each welcome are not dialed without a pause") {
  scene s;
  s.all.book().disturbed();
  const dtask::time_point before = s.all.now();
  for (int i = 0; i < 40; ++i) {
    const std::uint64_t times = s.client->times_online();
    s.all.net().break_all(s.client->host());
    REQUIRE(s.all.run_until([&] { return s.client->times_online() > times; }, 2s));
  }
  CHECK(s.all.now() - before > 20s);
  // One that lasts is dialed at once when it breaks.
  s.all.run_for(2s);
  const std::uint64_t times = s.client->times_online();
  s.all.net().break_all(s.client->host());
  CHECK(s.all.run_until([&] { return s.client->times_online() > times; }, 20ms));
}

TEST_CASE("cluster: workers forget the session of a client that has gone, though their links broke as it went") {
  scene s;
  for (int away = 0; away < 2; ++away) {
    const auto jobs = s.calls(4, s.wish());
    CHECK(s.all_end(10s));
    CHECK(s.worker_at(0).open_sessions() + s.worker_at(1).open_sessions() == 2);
    s.all.book().disturbed();
    // Away when it ends, or told on a link that breaks with the news on it.
    if (away == 0) s.all.net().break_all(s.worker_at(0).host());
    s.client->close();
    REQUIRE(s.all.run_until([&] { return s.all.coordinator().report().clients == 0; }, 5s));
    for (std::size_t i = 0; i < 2; ++i) s.all.net().break_all(s.worker_at(i).host());
    s.all.run_for(5s);
    for (std::size_t i = 0; i < 2; ++i) CHECK(s.worker_at(i).open_sessions() == 0);
    harness::client_process::setting how;
    how.jobs = s.worker.jobs;
    s.client = &s.all.start_client(how);
    s.all.run_for(1s);
  }
}
