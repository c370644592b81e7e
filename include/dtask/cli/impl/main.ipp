// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/cli/coordinator_role.hpp"
#include "dtask/cli/detail/command_line.hpp"
#include "dtask/cli/detail/end_signals.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/cli/worker_role.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/sync_wait.hpp"

DTASK_BEGIN
namespace detail {

// Templates, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<int> after_body(task<> body) {
  co_await std::move(body);
  co_return exit_code::success;
}
/// Connects, runs the body, closes. What the body or the connection throws goes through.
template <class = void>
task<int> run_on(task<cluster> connecting, program_body& body) {
  cluster& c = body.keep(co_await std::move(connecting));
  std::exception_ptr failed;
  int code = exit_code::success;
  try {
    auto running = body.run();
    code = co_await std::move(running);
  } catch (...) {
    failed = std::current_exception();
  }
  co_await c.close();
  if (failed) std::rethrow_exception(failed);
  co_return code;
}

DTASK_INLINE task<int> succeed_after(task<> body) { return after_body(std::move(body)); }

DTASK_INLINE int run_role(int argc, const char* const* argv, std::span<const job_entry> jobs,
                          const std::function<void(CLI::App&)>& more, program_body& body) {
  const std::string program = short_name(argv[0]);
  CLI::App app(program, program);
  std::string url = "local://";
  cluster_options options;
  app.add_option<std::string>(
         "--on", url,
         "the cluster: local://N (this process, N slots), spawn://N (N worker processes of this program), "
         "tcp://HOST:PORT (a coordinator)")
      ->type_name("URL")
      ->capture_default_str();
  add_number(app, "--spawn-slots", options.slots, {1, 4096},
             "with spawn://: jobs that each worker process runs at once")
      ->group("Cluster");
  add_seconds(app, "--connect-within", options.client.connect_within, "give up without a connection after this long");
  add_seconds(app, "--coordinator-wait", options.client.coordinator_wait,
              "when the coordinator is gone, wait this long for it to come back");
  add_polling(app, options.polling);
  add_log_level(app, log_level::warning);
  app.footer("Other roles of this program:\n  " + program +
             " worker --connect tcp://HOST:PORT   runs jobs for a coordinator\n  " + program +
             " coordinator [--listen HOST:PORT]   places jobs of clients on workers\nEach has a --help of its own.\n" +
             exit_code_help(", 128 + n ended by signal n (130: Ctrl-C)"));
  more(app);
  if (const auto end = parse(app, argc, argv)) return *end;

  stop_source stop;
  std::atomic<int> ended_by{0};
  options.name = program;
  options.command = "/proc/self/exe";
  try {
    end_signals signals;
    const auto hearing = signals.hear([&](int signal, unsigned count) {
      if (count > 1) std::_Exit(exit_code::by_signal + signal);
      ended_by.store(signal);
      stop.request_stop();
    });
    work_pool& pool = work_pool::shared();
    environment env;
    env.stop = &stop;
    const int code = sync_wait(pool, run_on(cluster::connect_with(url, options, jobs), body), env);
    if (ended_by.load() != 0) return exit_code::by_signal + ended_by.load();
    // A result that nobody can read is no success.
    if (code == exit_code::success) flush_stdout();
    return code;
  } catch (...) {
    if (const int signal = ended_by.load()) {
      complain(program, "interrupted; its jobs were cancelled");
      return exit_code::by_signal + signal;
    }
    return explain(program, std::current_exception());
  }
}

DTASK_INLINE int run_program(int argc, const char* const* argv, std::span<const job_entry> jobs,
                             const std::function<void(CLI::App&)>& more, program_body& body) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role != "worker" && role != "coordinator") return run_role(argc, argv, jobs, more, body);
  // The role stands in the program's name in messages and help.
  const std::string name = std::string(argv[0]) + " " + std::string(role);
  std::vector<const char*> rest{name.c_str()};
  rest.insert(rest.end(), argv + 2, argv + argc);
  const int count = static_cast<int>(rest.size());
  return role == "worker" ? worker_role(count, rest.data(), jobs) : coordinator_role(count, rest.data());
}

}  // namespace detail
DTASK_END
