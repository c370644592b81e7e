// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/cli/coordinator_role.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/cli/worker_role.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/node/cluster_of.hpp"
#include "dtask/task/task.hpp"

namespace CLI {
class App;
}

DTASK_BEGIN
namespace detail {

/// Connects, runs the body, closes. What the body or the connection throws goes through.
template <class Registry, class Body>
task<int> run_on(scheduler& pool, std::string url, cluster_options options, Body& body) {
  auto connecting = cluster::connect<Registry>(pool, url, options);
  cluster_of<Registry> c(co_await std::move(connecting));
  std::exception_ptr failed;
  int code = exit_code::success;
  try {
    auto running = body(c);
    if constexpr (std::is_void_v<typename decltype(running)::value_type>)
      co_await std::move(running);
    else
      code = co_await std::move(running);
  } catch (...) {
    failed = std::current_exception();
  }
  co_await c.close();
  if (failed) std::rethrow_exception(failed);
  co_return code;
}

struct no_options {
  void operator()(CLI::App&) const noexcept {}
};

/// Reads the options, runs `run` on the shared pool, ends it on signals, explains what it throws. Returns the exit
/// code.
int run_role(int argc, const char* const* argv, const std::function<void(CLI::App&)>& more,
             const std::function<task<int>(scheduler&, std::string, cluster_options)>& run);

}  // namespace detail

/// One program in every role: `app [--on URL] ...` runs `body(c)` with a `cluster&` (or `cluster_of<jobs>&`, which
/// finds an unregistered job at compile time), a task of int (the exit code) or void; `app worker --connect
/// tcp://HOST:PORT` and `app coordinator` are the others. `options`, a function `void(CLI::App&)`, adds options of the
/// program's own to the role run.
///
/// The body runs on `work_pool::shared()`. SIGINT and SIGTERM stop it: its jobs are cancelled on the workers, and the
/// exit code is 128 + the signal; a second one ends the process at once. What the body throws is printed in one line.
/// Exit codes: `exit_code`. Nothing listens outside loopback unless the coordinator is told `--open-to-all`.
template <class Registry, class Options, class Body>
int main(int argc, char** argv, Options options, Body body) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "worker" || role == "coordinator") {
    // The role stands in the program's name in messages and help.
    const std::string name = std::string(argv[0]) + " " + std::string(role);
    std::vector<const char*> rest{name.c_str()};
    rest.insert(rest.end(), argv + 2, argv + argc);
    const int count = static_cast<int>(rest.size());
    return role == "worker" ? worker_role(count, rest.data(), Registry::entries())
                            : coordinator_role(count, rest.data());
  }
  return detail::run_role(argc, argv, std::ref(options),
                          [&body](scheduler& pool, std::string url, cluster_options given) {
                            return detail::run_on<Registry>(pool, std::move(url), given, body);
                          });
}
template <class Registry, class Body>
int main(int argc, char** argv, Body body) {
  return dtask::main<Registry>(argc, argv, detail::no_options(), std::move(body));
}

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/cli/impl/run_role.ipp"
#endif
