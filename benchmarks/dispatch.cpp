// SPDX-License-Identifier: BSL-1.0
// What a job costs between processes: throughput of a burst, one round trip, a large payload's way, the CPU time of a
// large string against that of bytes, and the coordinator's memory per queued job. Client (this process), coordinator
// and worker are three processes on loopback TCP. The raw Asio references run on the same path in the same run, in
// turns with dtask.
//
// usage: dtask_bench_dispatch [burst] [round_trip] [large] [text] [memory]      (default: all)
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../tests/faults/process.hpp"
#include "dtask/dtask.hpp"
#include "figure.hpp"
#include "raw_echo.hpp"
#include "raw_round_trip.hpp"

namespace {

using faults::process;
using bench_clock = std::chrono::steady_clock;

constexpr std::size_t block = std::size_t{64} << 20;
constexpr std::size_t text_size = 100'000'000;
constexpr std::size_t burst_jobs = 100'000, queued_jobs = 1'000'000;

void nothing() {}
dtask::bytes echo(dtask::bytes data) { return data; }
std::string echo_text(std::string text) { return text; }
using nothing_job = dtask::function_job<"bench/nothing/1", &nothing, dtask::pure>;
using echo_job = dtask::function_job<"bench/echo/1", &echo, dtask::pure>;
using echo_text_job = dtask::function_job<"bench/echo.text/1", &echo_text, dtask::pure>;
using jobs = dtask::registry<nothing_job, echo_job, echo_text_job>;

std::string self() {
  std::array<char, 4096> path{};
  const ssize_t n = ::readlink("/proc/self/exe", path.data(), path.size());
  return std::string(path.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
}
double seconds_since(bench_clock::time_point begin) {
  return std::chrono::duration<double>(bench_clock::now() - begin).count();
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "dispatch: %s\n", why.c_str());
  std::exit(1);
}

/// The port that a raw process prints as its first line.
std::uint16_t told_port(process& p) {
  if (!p.wait_for(process::out, "\n")) give_up("a raw process did not tell its port\n" + p.report());
  return static_cast<std::uint16_t>(std::stoi(p.text(process::out)));
}

/// A coordinator of dtask and its worker, both this program.
struct cluster_processes {
  process coordinator{{self(), "coordinator"}};
  std::uint16_t port = told_port(coordinator);
  std::optional<process> worker;

  std::string url() const { return "tcp://127.0.0.1:" + std::to_string(port); }
  void add_worker() { worker.emplace(std::vector<std::string>{self(), "worker", std::to_string(port)}); }
};

// ---- throughput of a burst ----

dtask::task<void> burst(dtask::cluster& c) {
  std::vector<double> rates;
  for (int round = 0; round < 5; ++round) {
    const auto begin = bench_clock::now();
    std::vector<dtask::task<void>> calls;
    calls.reserve(burst_jobs);
    for (std::size_t i = 0; i < burst_jobs; ++i) calls.push_back(c.call<nothing_job>());
    co_await dtask::when_all(std::move(calls));
    rates.push_back(static_cast<double>(burst_jobs) / seconds_since(begin));
    std::fprintf(stderr, "  burst %d: %.0f jobs/s\n", round + 1, rates.back());
  }
  bench::print({"no-op jobs, 100,000 at once", bench::median(rates), "jobs/s", "", 0});
}

// ---- one round trip ----

dtask::task<void> round_trip(dtask::cluster& c) {
  process relay({self(), "raw-relay", "65536"});
  const std::uint16_t relay_port = told_port(relay);
  process worker({self(), "raw-round-trip-worker", std::to_string(relay_port)});
  if (!worker.wait_for(process::out, "\n")) give_up("the raw worker did not connect\n" + worker.report());
  process server({self(), "raw-ping-pong"});
  bench::raw::round_trip_client relayed(relay_port, true), one_hop(told_port(server), false);

  constexpr std::size_t count = 2000;
  std::vector<double> ours, raw, direct;
  for (int round = 0; round < 9; ++round) {
    std::vector<double> times;
    times.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto begin = bench_clock::now();
      co_await c.call<nothing_job>();
      times.push_back(seconds_since(begin) * 1e6);
    }
    ours.push_back(bench::median(times));
    raw.push_back(bench::median(relayed.measure(count)));
    direct.push_back(bench::median(one_hop.measure(count)));
    std::fprintf(stderr, "  round trip %d: dtask %.1f us, raw relay %.1f us, one hop %.1f us (p50 of %zu)\n", round + 1,
                 ours.back(), raw.back(), direct.back(), count);
  }
  bench::print({"one no-op job, round trip p50", bench::median(ours), "us", "raw Asio client - relay - worker",
                bench::median(raw)});
  bench::print({"one no-op job, round trip p50 (one hop)", bench::median(ours), "us", "raw Asio ping-pong, one hop",
                bench::median(direct)});
}

// ---- a large payload there and back ----

dtask::task<void> large(dtask::cluster& c) {
  process relay({self(), "raw-relay", std::to_string(bench::raw::relay_buffer)});
  const std::uint16_t port = told_port(relay);
  process worker({self(), "raw-echo-worker", std::to_string(port), std::to_string(block)});
  if (!worker.wait_for(process::out, "\n")) give_up("the raw worker did not connect\n" + worker.report());
  bench::raw::echo_client raw(port, block);

  dtask::mutable_bytes filling(block);
  std::memset(filling.data(), 7, filling.size());
  const dtask::bytes payload = std::move(filling).freeze();
  const auto rate = [](double seconds) { return 2.0 * static_cast<double>(block) / seconds / 1e9; };
  std::vector<double> ours, theirs;
  for (int round = -1; round < 11; ++round) {
    const auto begin = bench_clock::now();
    const dtask::bytes back = co_await c.call<echo_job>(payload);
    const double seconds = seconds_since(begin);
    if (back.size() != block || back.data()[0] != std::byte{7} || back.data()[block - 1] != std::byte{7})
      give_up("other bytes came back");
    const double reference = raw.round_trip();
    if (reference < 0) give_up("the raw echo failed");
    if (round < 0) continue;  // pools and page tables fill
    ours.push_back(rate(seconds));
    theirs.push_back(rate(reference));
    std::fprintf(stderr, "  64 MiB %d: dtask %.2f GB/s, raw %.2f GB/s\n", round + 1, ours.back(), theirs.back());
  }
  bench::print(
      {"64 MiB to a worker and back", bench::median(ours), "GB/s", "raw Asio, same path", bench::median(theirs)});
}

// ---- a large string there and back, in CPU time ----

/// CPU milliseconds, user and system, of this process, the coordinator and the worker so far.
double cpu_ms(const cluster_processes& it) {
  double sum = 0;
  for (const pid_t pid : {::getpid(), it.coordinator.pid(), it.worker->pid()}) {
    clockid_t clock{};
    std::timespec t{};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0) give_up("no CPU clock of a process");
    sum += static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
  }
  return sum;
}
dtask::task<void> text(dtask::cluster& c, const cluster_processes& it) {
  const std::string kept(text_size, 't');
  std::string given = kept;
  const dtask::bytes plain = dtask::bytes::copy(kept);
  std::vector<double> moved, copied, theirs;
  for (int round = -1; round < 11; ++round) {
    const double begin = cpu_ms(it);
    given = co_await c.call<echo_text_job>(std::move(given));
    const double after_moved = cpu_ms(it);
    std::string back = co_await c.call<echo_text_job>(kept);
    const double after_copied = cpu_ms(it);
    dtask::bytes same = co_await c.call<echo_job>(plain);
    const double end = cpu_ms(it);
    if (given != kept || back != kept || same != plain) give_up("another text came back");
    if (round < 0) continue;  // pools and page tables fill
    moved.push_back(after_moved - begin);
    copied.push_back(after_copied - after_moved);
    theirs.push_back(end - after_copied);
    std::fprintf(stderr, "  100 MB of text %d: moved %.0f ms, copied %.0f ms, bytes %.0f ms of CPU\n", round + 1,
                 moved.back(), copied.back(), theirs.back());
  }
  bench::print({"100 MB of std::string to a worker and back, moved", bench::median(moved), "ms CPU",
                "the same as dtask::bytes", bench::median(theirs)});
  bench::print({"100 MB of std::string to a worker and back, copied", bench::median(copied), "ms CPU",
                "the same as dtask::bytes", bench::median(theirs)});
}

// ---- memory per queued job ----

dtask::task<void> take_all(dtask::cluster& c) {
  dtask::map_options all;
  all.order = dtask::unordered;
  all.window = queued_jobs;
  all.no_worker_after = std::chrono::minutes(10);
  const std::vector<std::tuple<>> items(queued_jobs);
  auto out = c.map<nothing_job>(items, all);
  while (auto end = co_await out.next()) {
  }
}
dtask::task<void> fill_and_weigh(dtask::scope& running, dtask::cluster& c, process& coordinator, double& bytes) {
  const std::size_t before = coordinator.resident_memory();
  dtask::spawn(running, take_all, std::ref(c));
  const auto end = bench_clock::now() + std::chrono::minutes(2);
  for (std::uint64_t queued = 0; queued < queued_jobs;) {
    if (bench_clock::now() > end) give_up("only " + std::to_string(queued) + " jobs were queued in two minutes");
    co_await dtask::sleep_for(std::chrono::milliseconds(50));
    const auto report = co_await c.status();
    queued = report.queued;
  }
  bytes = static_cast<double>(coordinator.resident_memory() - before) / static_cast<double>(queued_jobs);
}

/// A coordinator of its own without a worker: everything stays queued.
dtask::task<void> memory() {
  cluster_processes without_worker;
  auto c = co_await dtask::cluster::connect<jobs>(without_worker.url());
  double bytes = 0;
  co_await dtask::with_scope(fill_and_weigh, std::ref(c), std::ref(without_worker.coordinator), std::ref(bytes));
  co_await c.close();
  bench::print({"coordinator memory per queued no-op job (1,000,000)", bytes, "bytes", "", 0});
}

dtask::task<void> measure(const std::set<std::string>& wanted) {
  const auto asked = [&wanted](const char* name) { return wanted.empty() || wanted.count(name) != 0; };
  cluster_processes it;
  it.add_worker();
  auto c = co_await dtask::cluster::connect<jobs>(it.url());
  if (asked("burst")) co_await burst(c);
  if (asked("round_trip")) co_await round_trip(c);
  if (asked("large")) co_await large(c);
  if (asked("text")) co_await text(c, it);
  co_await c.close();
  if (asked("memory")) co_await memory();
}

int run_coordinator() {
  dtask::coordinator it;
  const std::string url = it.url();
  std::printf("%s\n", url.substr(url.rfind(':') + 1).c_str());
  std::fflush(stdout);
  it.wait();
  return 0;
}
int run_worker(std::uint16_t port) {
  dtask::worker it("tcp://127.0.0.1:" + std::to_string(port), jobs::entries());
  it.wait();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return argc > i ? std::strtoul(argv[i], nullptr, 10) : 0; };
  if (role == "raw-relay") return bench::raw::run_relay(number(2));
  if (role == "raw-round-trip-worker") return bench::raw::run_round_trip_worker(static_cast<std::uint16_t>(number(2)));
  if (role == "raw-ping-pong") return bench::raw::run_ping_pong_server();
  if (role == "raw-echo-worker") return bench::raw::run_echo_worker(static_cast<std::uint16_t>(number(2)), number(3));
  if (role == "coordinator") return run_coordinator();
  if (role == "worker") return run_worker(static_cast<std::uint16_t>(number(2)));

  const std::set<std::string> wanted(argv + std::min(argc, 1), argv + argc);
  dtask::work_pool pool(1);
  dtask::sync_wait(pool, measure(wanted));
  return 0;
}
