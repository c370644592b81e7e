// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "dtask/cli/detail/command_line.hpp"
#include "dtask/cli/detail/end_signals.hpp"
#include "dtask/cli/detail/worker_end.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/node/worker.hpp"
#include "dtask/process/cookie.hpp"
#include "dtask/process/spawned.hpp"

DTASK_BEGIN

DTASK_INLINE int worker_role(int argc, const char* const* argv, std::span<const job_entry> jobs) {
  take_spawned();
  const std::string program = detail::short_name(argv[0]);
  CLI::App app("Runs jobs for a coordinator until it is told to leave.", program);
  std::string url, name, device;
  bool until_stdin_ends = false;
  worker_options options;
  app.add_option<std::string>("--connect", url, "the coordinator: tcp://HOST:PORT")->required()->type_name("URL");
  detail::add_number(app, "--slots", options.slots, {0, 4096}, "jobs at once; 0: one per core");
  app.add_option<std::string>(
         "--name", name,
         "the name of this worker in results and in the status; default: the program's with the process id")
      ->type_name("WORD");
  app.add_option<std::string>("--device", device,
                              "what jobs compute on that ask: cpu, cuda:N, or cuda for one by the rank of this worker "
                              "on its machine; default: DTASK_DEVICE, else cpu")
      ->type_name("DEVICE");
  app.add_flag(
      "--until-stdin-ends", until_stdin_ends,
      "leave when standard input ends: the way in which spawn:// ties a worker to the process that started it");
  detail::add_seconds(app, "--abandon-after", options.abandon_after,
                      "a job that ignores stop for this long is abandoned, and its slot is lost");
  detail::add_seconds(app, "--unreachable-after", options.unreachable_after, "end without a coordinator for this long");
  detail::add_seconds(app, "--drain-within", options.drain_within, "an orderly end waits this long for running jobs");
  detail::add_bytes(app, "--payload-bytes", options.limits.payload, 1024, "the largest argument or result of a job");
  detail::add_bytes(app, "--broadcast-bytes", options.broadcast_bytes, 0, "memory for broadcast values");
  detail::add_bytes(app, "--result-bytes", options.result_bytes, 1,
                    "no job starts while results of so many bytes wait for their clients");
  detail::add_polling(app, options.polling);
  detail::add_log_level(app, log_level::info);
  app.footer(detail::exit_code_help(", 4 all slots are held by jobs that ignore stop"));
  if (const auto end = detail::parse(app, argc, argv)) return *end;
  try {
    options.name = name;
    options.device = device;
    options.cookie = take_cookie();
    detail::end_signals signals;
    worker w(url, jobs, options);
    const auto hearing = signals.hear([&w](int signal, unsigned count) {
      if (count == 1)
        w.drain();
      else if (count == 2)
        w.stop();
      else
        std::_Exit(exit_code::by_signal + signal);
    });
    if (until_stdin_ends) {
      // Held by a descriptor, since numbers are given anew. Without one (-1) its end is not seen.
      const int parent = static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0));
      // Not joined: it ends with the process at the latest. Should anything keep the worker then, it does not keep the
      // process.
      std::thread([&w, parent] {
        char some[256];
        while (::read(STDIN_FILENO, some, sizeof some) > 0) {
        }
        w.stop();
        // Nobody wants what runs here where the parent has ended: jobs that do not hear that are given up.
        std::this_thread::sleep_for(std::chrono::seconds(1));
        // Where it waits for this process: as long as `retire` takes at most, shorter than spawn:// does before it
        // kills.
        pollfd ended{parent, POLLIN, 0};
        ::poll(&ended, 1, 1500);
        std::_Exit(exit_code::cluster);
      }).detach();
    }
    const int code = detail::explain_end(w.wait(), program);
    const bool clean = w.retire();
    // The thread that waits for the end of standard input, and those of jobs left behind, must not see this function's
    // objects die.
    if (!clean || until_stdin_ends) {
      std::fflush(nullptr);
      std::_Exit(code);
    }
    return code;
  } catch (...) {
    return detail::explain(program, std::current_exception());
  }
}

DTASK_END
