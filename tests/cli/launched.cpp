// SPDX-License-Identifier: BSL-1.0
// A program that the launchers' tests start: what it sees of its ranks, and how it ends.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dtask/main.hpp>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::string variable_of(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value != nullptr ? value : "-";
}
unsigned long long square(unsigned n) { return 1ull * n * n; }
int runs_for_ever() {
  for (volatile bool on = true; on;) {
  }
  return 0;
}
using variable_job = dtask::function_job<"variable/1", &variable_of, dtask::pure>;
using square_job = dtask::function_job<"square/1", &square, dtask::pure>;
using endless_job = dtask::function_job<"endless/1", &runs_for_ever, dtask::pure>;
using jobs = dtask::registry<variable_job, square_job, endless_job>;

void say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}
dtask::task<> say_sum(dtask::cluster* c) {
  auto squares =
      c->map<square_job>(std::views::iota(0u, 1000u) | std::views::transform([](unsigned n) { return std::tuple(n); }));
  unsigned long long sum = 0;
  while (auto s = co_await squares.next()) sum += s->value();
  say("sum " + std::to_string(sum));
}
/// The workers by name, with their process and their slots.
dtask::task<> say_ranks(dtask::cluster* c) {
  const dtask::cluster_status found = co_await c->status();
  std::vector<std::string> lines;
  for (const dtask::worker_status& w : found.workers)
    lines.push_back(w.name + " pid " + std::to_string(w.pid) + " slots " + std::to_string(w.slots));
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) say(line);
  say("workers " + std::to_string(lines.size()));
}
dtask::task<> await_workers(dtask::cluster* c, std::size_t count) {
  for (;;) {
    const dtask::cluster_status found = co_await c->status();
    if (found.workers.size() == count) co_return;
    co_await dtask::sleep_for(std::chrono::milliseconds(5));
  }
}

dtask::task<int> run(dtask::cluster* c, std::string what, std::string name) {
  auto ranks = say_ranks(c);
  co_await std::move(ranks);
  if (what == "fail") throw std::runtime_error("the body fails");
  if (what == "variable") {
    std::set<std::string> values;
    for (int i = 0; i < 50; ++i) values.insert(co_await c->call<variable_job>(name));
    for (const std::string& v : values) say(name + "=" + v);
  }
  if (what == "lose") {
    // Until somebody kills the other one.
    auto fewer = await_workers(c, 1);
    co_await std::move(fewer);
    say("one is lost");
  }
  if (what == "wait") {
    auto never = await_workers(c, 0);
    co_await std::move(never);
  }
  if (what == "endless") {
    const auto hasty = c->with({.deadline = std::chrono::milliseconds(300)});
    auto one = hasty.try_call<endless_job>();
    auto other = hasty.try_call<endless_job>();
    auto both = dtask::when_all(std::move(one), std::move(other));
    co_await std::move(both);
    say("both run on");
    co_return 0;
  }
  auto sum = say_sum(c);
  co_await std::move(sum);
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string what = "sum", name;
  const auto options = [&](CLI::App& app) {
    app.add_option<std::string>("--do", what);
    app.add_option<std::string>("--variable", name);
  };
  return dtask::main<jobs>(argc, argv, options, [&](dtask::cluster& c) { return run(&c, what, name); });
}
