// SPDX-License-Identifier: BSL-1.0
// The generic tool: it needs no job types, so one binary serves any program.
#include <cstdio>
#include <dtask/cli/coordinator_role.hpp>
#include <dtask/cli/exit_code.hpp>
#include <dtask/cli/status_role.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace {
constexpr const char* usage =
    "usage: dtask coordinator [--listen HOST:PORT] [--port-file FILE] ...   places jobs of clients on workers\n"
    "       dtask status [--on tcp://HOST:PORT] [--json]                    shows workers, slots, jobs and bytes\n"
    "       dtask version\n"
    "Each has a --help of its own.\n";
}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  const std::string name = "dtask " + std::string(role);
  std::vector<const char*> rest{name.c_str()};
  if (argc > 2) rest.insert(rest.end(), argv + 2, argv + argc);
  const int count = static_cast<int>(rest.size());
  if (role == "coordinator") return dtask::coordinator_role(count, rest.data());
  if (role == "status") return dtask::status_role(count, rest.data());
  if (role == "version" || role == "--version") {
    std::printf("dtask %s\n", DTASK_VERSION_STRING);
    return dtask::exit_code::success;
  }
  if (role == "--help" || role == "-h" || role == "help") {
    std::fputs(usage, stdout);
    return dtask::exit_code::success;
  }
  std::fprintf(stderr, "dtask: %s: see dtask --help\n",
               role.empty() ? "say what to do" : ("unknown command '" + std::string(role) + "'").c_str());
  return dtask::exit_code::usage;
}
