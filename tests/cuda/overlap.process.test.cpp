// SPDX-License-Identifier: BSL-1.0
// The program examples/overlap as people start it.
#if defined(DTASK_TEST_WITH_OVERLAP)
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "faults/process.hpp"
#include "program.hpp"

namespace {

using faults::process;

struct run_result {
  int code = -1;
  std::vector<std::string> lines;
  std::string errors;
};
run_result run(const std::vector<std::string>& words) {
  std::vector<std::string> command{(dtask_test::build_dir() / "examples" / "overlap" / "overlap").string()};
  command.insert(command.end(), words.begin(), words.end());
  process p(command);
  const auto end = p.wait(std::chrono::seconds(120));
  REQUIRE_MESSAGE(end.has_value(), p.report());
  return {end->code, p.lines(process::out), p.text(process::err)};
}

}  // namespace

TEST_CASE("overlap program: both times, on the CPU and on what the machine has") {
  for (const bool cpu : {true, false}) {
    const run_result got = run(cpu ? std::vector<std::string>{"--passes", "2", "--device", "cpu"}
                                   : std::vector<std::string>{"--passes", "2"});
    CAPTURE(got.errors);
    CHECK(got.code == 0);
    REQUIRE(got.lines.size() >= 3);
    // Without a device it says so first.
    const bool says_so = got.lines[0].starts_with("on the CPU: ");
    CHECK(got.lines.size() == (says_so ? 4 : 3));
    CHECK((!cpu || !says_so));
    const auto* line = &got.lines[says_so ? 1 : 0];
    CHECK(line[0].starts_with("one after the other "));
    CHECK(line[1].starts_with("together "));
    CHECK(line[1].ends_with(cpu || says_so ? "on two threads of the CPU" : "on two streams"));
    CHECK(line[2].starts_with("ratio "));
  }
}

TEST_CASE("overlap program: what cannot be used is one line, and exit code 2") {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--passes", "0"}, {"--passes", "many"}, {"--unknown"}, {"--device", "fpga"}, {"--device", "cuda:99"}}) {
    const run_result got = run(words);
    CHECK(got.code == 2);
    CHECK(got.lines.empty());
    if (words[0] == "--device") {
      CHECK(got.errors.find(words[1]) != std::string::npos);
      CHECK(std::count(got.errors.begin(), got.errors.end(), '\n') == 1);
    }
  }
}
#endif
