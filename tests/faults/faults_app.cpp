// SPDX-License-Identifier: BSL-1.0
// The program that the fault tests start in every role. As a client it submits all `--job KIND:ARGUMENT` at once and
// prints one line for each end as it comes: outcome KIND:ARGUMENT ok attempts=1 value=... worker=... outcome
// KIND:ARGUMENT CODE attempts=1 type=... message=... place=... what=... Exit code: 0 when all ended with `ok`, else 1;
// that of dtask::main where the cluster failed, and with `--strict` where a job did.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "jobs.hpp"

using namespace std::chrono_literals;

namespace {

struct request {
  std::string events, gate, marks, broadcast;
  std::vector<std::string> jobs;
  long deadline_ms = 30'000, no_worker_ms = 30'000;
  unsigned retries = 3;
  std::uint64_t payloads = 0, most = std::uint64_t{16} << 20, seed = 1;
  bool strict = false;
};

std::string shown(const std::string& text) { return text; }
[[maybe_unused]] std::string shown(int n) { return std::to_string(n); }
std::string shown(const dtask::bytes& data) { return std::to_string(data.size()) + "_bytes"; }
std::string shown(const faults::sealed& value) { return value.text; }

template <class Job, class... Arguments>
dtask::task<void> ask(dtask::cluster& c, const request& what, const std::string& job, unsigned& bad,
                      Arguments... arguments) {
  dtask::call_options options;
  options.deadline = std::chrono::milliseconds(what.deadline_ms);
  options.no_worker_after = std::chrono::milliseconds(what.no_worker_ms);
  options.retries = what.retries;
  auto view = c.with(options);
  auto end = co_await view.template try_call<Job>(std::move(arguments)...);
  if (end.has_value()) {
    const std::string value = shown(end.value());
    std::printf("outcome %s ok attempts=%u value=%s worker=%s\n", job.c_str(), end.attempts(), value.c_str(),
                end.worker().c_str());
  } else {
    const dtask::remote_error& why = end.error();
    std::printf("outcome %s %s attempts=%u type=%s message=%s place=%s what=%s\n", job.c_str(),
                std::string(dtask::to_string(why.code())).c_str(), why.attempts(), why.type().c_str(),
                why.message().c_str(), why.place().c_str(), why.what());
    ++bad;
    if (what.strict) throw why;
  }
  std::fflush(stdout);
}

/// More than fits in one frame.
dtask::bytes word_of(char letter) {
  dtask::mutable_bytes word(3u << 20);
  std::memset(word.data(), letter, word.size());
  return std::move(word).freeze();
}

/// Arguments and results of random sizes up to `most`, each order of magnitude as likely as the others; every result is
/// checked.
dtask::task<void> send_payloads(dtask::cluster& c, std::uint64_t count, std::uint64_t most, std::uint64_t seed,
                                unsigned& bad) {
  std::mt19937_64 draw(seed);
  const auto any_size = [&draw, most] {
    const std::uint64_t below = (most >> (draw() % static_cast<std::uint64_t>(std::bit_width(most)))) + 1;
    return draw() % below;
  };
  std::vector<std::pair<char, std::uint64_t>> wanted;
  auto arguments = std::views::iota(std::uint64_t{0}, count) | std::views::transform([&](std::uint64_t n) {
                     dtask::mutable_bytes block(static_cast<std::size_t>(any_size()));
                     if (!block.empty()) std::memset(block.data(), static_cast<int>(n % 127), block.size());
                     const std::uint64_t size = any_size();
                     wanted.emplace_back(block.empty() ? '\0' : static_cast<char>(n % 127), size);
                     return std::make_tuple(std::move(block).freeze(), size);
                   });
  auto results = c.map<faults::stretch_job>(std::move(arguments), {.window = 6, .deadline = 300s, .retries = 100});
  std::size_t at = 0;
  while (auto one = co_await results.next()) {
    const auto [letter, size] = wanted[at++];
    const bool good = one->has_value() && one->value().size() == size &&
                      one->value().view().find_first_not_of(letter) == std::string_view::npos;
    if (good) continue;
    ++bad;
    std::printf("bad payload %zu: %s\n", at - 1, one->has_value() ? "not what was asked for" : one->error().what());
  }
  if (at != count) ++bad;
}

dtask::task<void> wait_for_file(const std::string& name) {
  while (::access(name.c_str(), F_OK) != 0) co_await dtask::sleep_for(5ms);
}

/// Some payloads, `warm`, the gate, all of them, `finished`, the second gate.
dtask::task<void> payload_rounds(dtask::cluster& c, const request& what, unsigned& bad) {
  co_await send_payloads(c, 60, what.most, what.seed + 1, bad);
  std::puts("warm");
  std::fflush(stdout);
  co_await wait_for_file(what.gate);
  co_await send_payloads(c, what.payloads, what.most, what.seed, bad);
  std::puts("finished");
  std::fflush(stdout);
  const std::string end = what.gate + ".end";
  co_await wait_for_file(end);
}

dtask::task<void> ask_all(dtask::scope& all, dtask::cluster& c, const request& what, unsigned& bad) {
  if (what.payloads != 0) co_await payload_rounds(c, what, bad);
  if (!what.broadcast.empty()) {
    dtask::bytes word = word_of(what.broadcast.front());
    co_await c.broadcast("word", std::move(word));
  }
  for (const std::string& job : what.jobs) {
    const std::string kind = job.substr(0, job.find(':')), argument = job.substr(job.find(':') + 1);
    const faults::visit visit{argument, what.events, what.gate};
    const auto cluster = std::ref(c);
    const auto request = std::cref(what);
    const auto name = std::cref(job);
    const auto count = std::ref(bad);
    if (kind == "hold")
      dtask::spawn(all, ask<faults::hold, faults::visit>, cluster, request, name, count, visit);
    else if (kind == "hold_once")
      dtask::spawn(all, ask<faults::hold_once, faults::visit>, cluster, request, name, count, visit);
    else if (kind == "deaf")
      dtask::spawn(all, ask<faults::deaf, faults::visit>, cluster, request, name, count, visit);
    else if (kind == "recite")
      dtask::spawn(all, ask<faults::recite, faults::visit>, cluster, request, name, count, visit);
#ifdef FAULTS_OTHER_TYPES
    else if (kind == "echo")
      dtask::spawn(all, ask<faults::echo_job, int>, cluster, request, name, count, 1);
#else
    else if (kind == "echo")
      dtask::spawn(all, ask<faults::echo_job, std::string>, cluster, request, name, count, argument);
#endif
    else if (kind == "throws")
      dtask::spawn(all, ask<faults::throws_job, std::string>, cluster, request, name, count, argument);
    else if (kind == "aborts")
      dtask::spawn(all, ask<faults::aborts_job, std::string>, cluster, request, name, count, argument);
    else if (kind == "aborts_once")
      dtask::spawn(all, ask<faults::aborts_once_job, std::string>, cluster, request, name, count, argument);
    else if (kind == "large")
      dtask::spawn(all, ask<faults::large_job, std::uint64_t>, cluster, request, name, count, std::stoull(argument));
    else if (kind == "mark")
      dtask::spawn(all, ask<faults::mark_job, std::string, std::string>, cluster, request, name, count, what.marks,
                   argument);
    else if (kind == "mark_once")
      dtask::spawn(all, ask<faults::mark_once_job, std::string, std::string>, cluster, request, name, count, what.marks,
                   argument);
    else if (kind == "seal")
      dtask::spawn(all, ask<faults::seal_job, std::string>, cluster, request, name, count, argument);
    else
      throw dtask::error(dtask::errc::invalid_argument, "no job kind '" + kind + "'");
  }
  co_await all.join();
}

}  // namespace

int main(int argc, char** argv) {
  request what;
  return dtask::main<faults::jobs>(
      argc, argv,
      [&what](CLI::App& app) {
        app.add_option("--job", what.jobs);
        app.add_option("--events", what.events);
        app.add_option("--gate", what.gate);
        app.add_option("--marks", what.marks, "where the jobs mark and mark_once leave a line for each execution");
        app.add_option("--broadcast", what.broadcast);
        app.add_option("--deadline-ms", what.deadline_ms);
        app.add_option("--no-worker-ms", what.no_worker_ms);
        app.add_option("--retries", what.retries);
        app.add_option("--payloads", what.payloads, "so many, of random sizes, both ways");
        app.add_option("--most", what.most, "bytes of one of them");
        app.add_option("--seed", what.seed);
        app.add_flag("--strict", what.strict, "end with the first error");
      },
      [&what](dtask::cluster& c) -> dtask::task<int> {
        unsigned bad = 0;
        co_await dtask::with_scope(ask_all, std::ref(c), std::cref(what), std::ref(bad));
        co_return bad == 0 ? 0 : 1;
      });
}
