// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "dtask/base/message_of.hpp"
#include "dtask/cli/detail/command_line.hpp"
#include "dtask/cli/detail/end_signals.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/node/coordinator.hpp"
#include "dtask/process/cookie.hpp"

DTASK_BEGIN
namespace detail {

/// The port for scripts: the file appears whole.
inline void write_port_file(const std::string& path, const std::string& port) {
  const std::string draft = path + ".new";
  errno = 0;
  std::FILE* const out = std::fopen(draft.c_str(), "we");
  const bool written = out != nullptr && std::fprintf(out, "%s\n", port.c_str()) > 0;
  if ((out != nullptr && std::fclose(out) != 0) || !written)
    throw error(errc::io_error, "cannot write the port file: " + std::string(std::strerror(errno)), draft,
                "check --port-file");
  if (std::rename(draft.c_str(), path.c_str()) != 0)
    throw error(errc::io_error, "cannot write the port file: " + std::string(std::strerror(errno)), path,
                "check --port-file");
}

}  // namespace detail

DTASK_INLINE int coordinator_role(int argc, const char* const* argv) {
  const std::string program = detail::short_name(argv[0]);
  CLI::App app("Accepts jobs from clients and places them on workers.", program);
  std::string listen = "127.0.0.1:7700", port_file;
  coordinator_options options;
  app.add_option<std::string>("--listen", listen, "where clients and workers connect; port 0: any free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option<std::string>("--port-file", port_file, "write the port there once it listens, for scripts")
      ->type_name("FILE");
  app.add_flag("--open-to-all", options.beyond_loopback,
               "allow an address that other machines reach. There is no authentication: whoever reaches the port can "
               "run jobs and read results");
  detail::add_seconds(app, "--heartbeat", options.heartbeat, "how often peers must be heard from");
  detail::add_seconds(app, "--suspect-after", options.suspect_after, "silence after which a worker gets no new jobs");
  detail::add_seconds(app, "--lost-after", options.lost_after,
                      "silence after which a worker is lost and its jobs are placed again");
  detail::add_seconds(app, "--reattach-within", options.reattach_within,
                      "a worker whose connection broke may come back this long and keep its jobs");
  detail::add_seconds(app, "--session-grace", options.session_grace,
                      "a client whose connection broke may come back this long and keep its jobs");
  detail::add_seconds(app, "--hello-within", options.hello_within,
                      "a connection that has not said hello for this long is closed");
  detail::add_seconds(app, "--drain-within", options.drain_within, "an orderly end waits this long for jobs");
  app.add_flag("--send-home", options.send_home,
               "an orderly end sends the workers home, instead of leaving them to the next coordinator");
  detail::add_bytes(app, "--queue-bytes", options.queue_bytes, 64 << 10,
                    "memory for all jobs; above it new ones are answered 'overloaded'");
  detail::add_bytes(app, "--session-bytes", options.session_bytes, 64 << 10,
                    "the same for the jobs of one client, which waits when it is used up; one argument must fit in");
  detail::add_number(app, "--max-jobs", options.max_jobs, {1, 64 << 20},
                     "jobs at once; above it new ones are answered 'overloaded'");
  detail::add_bytes(app, "--payload-bytes", options.limits.payload, 1024, "the largest argument or result of a job");
  detail::add_bytes(app, "--broadcast-bytes", options.broadcast_bytes, 0, "memory for broadcast values");
  detail::add_polling(app, options.polling);
  detail::add_log_level(app, log_level::info);
  app.footer(detail::exit_code_help());
  if (const auto end = detail::parse(app, argc, argv)) return *end;
  try {
    options.cookie = take_cookie();
    detail::end_signals signals;
    coordinator c(listen, options);
    const auto hearing = signals.hear([&c](int signal, unsigned count) {
      if (count == 1)
        c.drain();
      else if (count == 2)
        c.stop();
      else
        std::_Exit(exit_code::by_signal + signal);
    });
    const std::string url = c.url();
    if (!port_file.empty()) detail::write_port_file(port_file, url.substr(url.rfind(':') + 1));
    log(log_level::info, "listening", url);
    if (options.beyond_loopback)
      log(log_level::warning, "open_to_all",
          "no authentication: whoever reaches " + url + " can run jobs and read results");
    c.wait();
    return exit_code::success;
  } catch (const error& e) {
    detail::complain(program, message_of(e));
    return e.code() == errc::io_error ? exit_code::usage : detail::exit_code_of(e.code());
  } catch (...) {
    return detail::explain(program, std::current_exception());
  }
}

DTASK_END
