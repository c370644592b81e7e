// SPDX-License-Identifier: BSL-1.0
// A cluster of real processes behind a proxy that hurts: every job has one outcome, no worker ends but by its own
// death, and nothing is kept. DTASK_TRIAL_SEEDS=N runs N seeds instead of 3, DTASK_TRIAL_FIRST=N begins with another
// one.
#include "hurting_proxy.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "faults/site.hpp"

using namespace faults;
using namespace std::chrono_literals;
using dtask_test::hurt;

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

/// How often each name stands in the file.
std::map<std::string, int> marks(const std::string& file) {
  std::map<std::string, int> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) ++out[line];
  return out;
}

void trial(hurt how, std::uint64_t seed) {
  constexpr int count = 120;
  constexpr std::size_t workers = 3;
  site s;
  dtask_test::hurting_proxy proxy(s.port(), seed, how);
  s.through = proxy.url();
  for (std::size_t w = 0; w < workers; ++w) s.add_worker({"--slots", "2"}, false);
  const std::string file = s.folder.file("marks");
  command what{"--marks", file, "--retries", "1000"};
  for (int i = 0; i < count; ++i)
    for (const char* kind : {"mark:again", "mark_once:once"})
      what.insert(what.end(), {"--job", kind + std::to_string(i)});
  process& marking = s.add_client(what);
  process& sending = s.add_client({"--payloads", "150", "--most", "1048576", "--seed", std::to_string(seed), "--gate",
                                   s.gate(), "--retries", "1000"});
  s.open_gate();
  REQUIRE_MESSAGE(sending.wait_for(process::out, "finished"), sending.report() << s.coordinator().report());
  const std::optional<ending> end = marking.wait();
  REQUIRE_MESSAGE(end, marking.report() << s.coordinator().report());
  CHECK_MESSAGE(sending.text(process::out).find("bad") == std::string::npos, sending.report());

  std::map<std::string, int> executed = marks(file);
  std::set<std::string> ended;
  for (const answer& a : site::answers(marking)) {
    CHECK_MESSAGE(ended.insert(a.job).second, a.job << " ended twice");
    const std::string name = a.job.substr(a.job.find(':') + 1);
    if (name.starts_with("again")) {
      CHECK_MESSAGE(a.code == "ok", a.job << ": " << a.code << ' ' << a.rest);
      CHECK(executed[name] >= 1);
    } else {
      CHECK_MESSAGE((a.code == "ok" || a.code == "worker_lost"), a.job << ": " << a.code << ' ' << a.rest);
      CHECK_MESSAGE(executed[name] <= 1, name << " ran " << executed[name] << " times");
      if (a.code == "ok") CHECK(executed[name] == 1);
    }
  }
  CHECK_MESSAGE(ended.size() == 2 * count, marking.report());

  MESSAGE("mode ", static_cast<int>(how), ", seed ", seed, ": hurt ", proxy.hurts(), " times");
  CHECK(proxy.hurts() != 0);  // else nothing was tried
  proxy.calm();
  std::string status;
  const auto at_rest = [&] {
    status = s.status();
    return process::occurrences(status, "\"state\":\"up\"") == workers &&
           process::occurrences(status, "\"memory\":{\"blocks\":0,") == workers + 1 &&
           process::occurrences(status, "\"arguments\":0,\"results\":0,\"broadcasts\":0") == workers + 1;
  };
  bool rests = at_rest();
  for (const auto until = std::chrono::steady_clock::now() + 30s; !rests && std::chrono::steady_clock::now() < until;) {
    std::this_thread::sleep_for(100ms);
    rests = at_rest();
  }
  CHECK_MESSAGE(rests, status);
  for (const auto& w : s.workers()) CHECK_MESSAGE(w->running(), w->report());
  std::ofstream(s.gate() + ".end") << "end\n";
  CHECK(sending.wait());
}

}  // namespace

TEST_CASE("links that are cut, halved, frozen or chopped: every job one outcome, every worker there, nothing kept") {
  const std::uint64_t first = from_environment("DTASK_TRIAL_FIRST", 1);
  const std::uint64_t seeds = from_environment("DTASK_TRIAL_SEEDS", 3);
  for (std::uint64_t seed = first; seed < first + seeds; ++seed)
    for (const hurt how : {hurt::cut, hurt::half, hurt::freeze, hurt::small}) {
      INFO("DTASK_TRIAL_FIRST=", seed, " DTASK_TRIAL_SEEDS=1, mode ", static_cast<int>(how));
      trial(how, seed);
    }
}
