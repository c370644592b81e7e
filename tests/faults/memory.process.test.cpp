// SPDX-License-Identifier: BSL-1.0
// What payloads leave behind in the processes of a cluster.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "hurting_proxy.hpp"
#include "site.hpp"

using namespace faults;
using namespace std::chrono_literals;

namespace {

std::uint64_t seed() {
  const char* const text = std::getenv("DTASK_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}
/// Whether it holds within the 10 s in which idle memory goes back, and some for a busy machine.
bool soon(const std::function<bool()>& holds) {
  for (const auto until = std::chrono::steady_clock::now() + 30s; std::chrono::steady_clock::now() < until;) {
    if (holds()) return true;
    std::this_thread::sleep_for(250ms);
  }
  return false;
}
/// The coordinator and both workers hold no block, used or idle, no argument and no result.
bool holds_nothing(const std::string& status) {
  return process::occurrences(status, "\"memory\":{\"blocks\":0,\"idle\":0,") == 3 &&
         process::occurrences(status, "\"arguments\":0,\"results\":0,\"broadcasts\":0") == 3;
}

}  // namespace

TEST_CASE("500 payloads of random sizes both ways, with breaks: no process keeps memory of them") {
  INFO("DTASK_SEED=", seed());
  site s;
  dtask_test::hurting_proxy proxy(s.port(), seed());
  s.through = proxy.url();
  s.add_worker();
  s.add_worker();
  process& client =
      s.add_client({"--payloads", "500", "--most", "33554432", "--seed", std::to_string(seed()), "--gate", s.gate()});
  REQUIRE_MESSAGE(client.wait_for(process::out, "warm"), client.report());
  REQUIRE_MESSAGE(soon([&] { return holds_nothing(s.status()); }), s.status());
  const std::vector<std::reference_wrapper<process>> all{s.coordinator(), *s.workers()[0], *s.workers()[1], client};
  std::vector<std::size_t> before;
  for (process& p : all) before.push_back(p.resident_memory());

  s.open_gate();
  for (int breaks = 0; breaks < 20 && !client.wait_for(process::out, "finished", 150ms); ++breaks) proxy.cut_all();
  REQUIRE_MESSAGE(client.wait_for(process::out, "finished"), client.report());
  CHECK(proxy.hurts() != 0);
  CHECK_MESSAGE(client.text(process::out).find("bad") == std::string::npos, client.report());

  CHECK_MESSAGE(soon([&] { return holds_nothing(s.status()); }), s.status());
  for (std::size_t i = 0; i < all.size(); ++i) {
    process& p = all[i];
    const std::size_t most = before[i] + (std::size_t{64} << 20);
    CHECK_MESSAGE(soon([&] { return p.resident_memory() <= most; }),
                  p.name() << " has " << (p.resident_memory() >> 20) << " MiB, and had " << (before[i] >> 20));
  }
  std::ofstream(s.gate() + ".end") << "end\n";
  const std::optional<ending> end = client.wait();
  REQUIRE(end);
  CHECK_MESSAGE(end->code == 0, client.report());
}
