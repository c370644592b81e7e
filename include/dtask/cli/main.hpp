#pragma once
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/cli/coordinator_role.hpp"
#include "dtask/cli/detail/command_line.hpp"
#include "dtask/cli/detail/end_signals.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/cli/worker_role.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/node/cluster_of.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// Connects, runs the body, closes. What the body or the connection throws goes through.
template <class Registry, class Body>
task<int> run_on(work_pool& pool, std::string url, cluster_options options, Body& body) {
  auto connecting = cluster::connect<Registry>(pool, url, options);
  cluster_of<Registry> c(co_await std::move(connecting));
  std::exception_ptr failed;
  int code = exit_code::success;
  try {
    auto running = body(c);
    if constexpr (std::is_void_v<typename decltype(running)::value_type>) co_await std::move(running);
    else code = co_await std::move(running);
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

template <class Registry, class Options, class Body>
int run_role(int argc, const char* const* argv, Options& more, Body& body) {
  const std::string program = short_name(argv[0]);
  CLI::App app(program, program);
  std::string url = "local://";
  cluster_options options;
  app.add_option("--on", url, "the cluster: local://N (this process, N slots), spawn://N (N worker processes of this program), tcp://HOST:PORT (a coordinator)")->type_name("URL")->capture_default_str();
  app.add_option("--spawn-slots", options.slots, "with spawn://: jobs that each worker process runs at once")->capture_default_str()->check(CLI::Range(1u, 4096u))->group("Cluster");
  add_seconds(app, "--connect-within", options.client.connect_within, "give up without a connection after this long");
  add_seconds(app, "--coordinator-wait", options.client.coordinator_wait, "when the coordinator is gone, wait this long for it to come back");
  add_log_level(app, log_level::warning);
  app.footer("Other roles of this program:\n  " + program + " worker --connect tcp://HOST:PORT   runs jobs for a coordinator\n  " + program +
             " coordinator [--listen HOST:PORT]   places jobs of clients on workers\nEach has a --help of its own.");
  more(app);
  if (const auto end = parse(app, argc, argv)) return *end;

  stop_source stop;
  std::atomic<int> ended_by{0};
  end_signals signals([&](int signal, unsigned count) {
    if (count > 1) std::_Exit(exit_code::by_signal + signal);
    ended_by.store(signal);
    stop.request_stop();
  });
  options.name = program;
  options.command = "/proc/self/exe";
  try {
    work_pool& pool = work_pool::shared();
    environment env;
    env.stop = &stop;
    const int code = sync_wait(pool, run_on<Registry>(pool, url, options, body), env);
    return ended_by.load() != 0 ? exit_code::by_signal + ended_by.load() : code;
  } catch (...) {
    if (const int signal = ended_by.load()) {
      complain(program, "interrupted; its jobs were cancelled");
      return exit_code::by_signal + signal;
    }
    return explain(program, std::current_exception());
  }
}

}  // namespace detail

/// One program in every role: `app [--on URL] ...` runs `body(c)` with a `cluster&` (or `cluster_of<jobs>&`, which finds an unregistered job at compile time), a task of int (the exit code) or void; `app worker --connect tcp://HOST:PORT` and `app coordinator` are the others.
/// `options`, a function `void(CLI::App&)`, adds options of the program's own to the role run.
///
/// The body runs on `work_pool::shared()`. SIGINT and SIGTERM stop it: its jobs are cancelled on the workers, and the exit code is 128 + the signal; a second one ends the process at once.
/// What the body throws is printed in one line. Exit codes: `exit_code`. Nothing listens outside loopback unless the coordinator is told `--open-to-all`.
template <class Registry, class Options, class Body>
int main(int argc, char** argv, Options options, Body body) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "worker" || role == "coordinator") {
    // The role stands in the program's name in messages and help.
    const std::string name = detail::short_name(argv[0]) + " " + std::string(role);
    std::vector<const char*> rest{name.c_str()};
    rest.insert(rest.end(), argv + 2, argv + argc);
    const int count = static_cast<int>(rest.size());
    return role == "worker" ? worker_role(count, rest.data(), Registry::entries()) : coordinator_role(count, rest.data());
  }
  return detail::run_role<Registry>(argc, argv, options, body);
}
template <class Registry, class Body>
int main(int argc, char** argv, Body body) {
  return dtask::main<Registry>(argc, argv, detail::no_options(), std::move(body));
}

DTASK_END
