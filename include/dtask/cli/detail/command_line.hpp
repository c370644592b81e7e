// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/log.hpp"
#include "dtask/cli/detail/explain.hpp"
#include "dtask/cli/detail/standard_streams.hpp"
#include "dtask/cli/exit_code.hpp"

DTASK_BEGIN
namespace detail {

/// The line of `--help` about exit codes; `more` are the role's own.
inline std::string exit_code_help(const std::string& more = {}) {
  return "Exit codes: 0 success, 1 failed, 2 usage, 3 the cluster failed" + more + ".";
}

/// The first step of every role: holds the standard streams, sees to the end by terminate, parses. An exit code where
/// the program is to end now: 0 after help, 2 with one line after a mistake.
inline std::optional<int> parse(CLI::App& app, int argc, const char* const* argv) {
  hold_standard_streams();
  orderly_terminate::install(app.get_name());
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& mistake) {
    complain(app.get_name(), std::string(mistake.what()) + ": see " + app.get_name() + " --help");
    return exit_code::usage;
  }
  return std::nullopt;
}

/// The name under which a program was started, without its folder.
inline std::string short_name(const char* path) {
  const std::string name = path != nullptr ? path : "dtask";
  const auto slash = name.rfind('/');
  return slash == std::string::npos ? name : name.substr(slash + 1);
}

/// An option in seconds, with fractions.
inline void add_seconds(CLI::App& app, const std::string& name, duration& value, const std::string& what) {
  const double shown = std::chrono::duration<double>(value).count();
  app.add_option_function<double>(
         name,
         [&value](double seconds) {
           value = std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
         },
         what)
      ->type_name("SECONDS")
      ->default_str(CLI::detail::to_string(shown))
      // Not CLI::Range, which takes nan for a number within it.
      ->check([](const std::string& text) {
        double seconds = 0;
        const bool good = CLI::detail::lexical_cast(text, seconds) && seconds >= 0.001 && seconds <= 31536000.0;
        return good ? std::string() : "'" + text + "' is no time from 0.001 to 31536000 seconds";
      });
}
/// An option in bytes, from `least` on.
inline void add_bytes(CLI::App& app, const std::string& name, std::uint64_t& value, std::uint64_t least,
                      const std::string& what) {
  // Not a number of CLI11's, which takes -1 for the largest one. Sums of a few of these do not overflow.
  const auto read = [least](const std::string& text, std::uint64_t& number) {
    const auto end = text.data() + text.size();
    const auto [stopped, bad] = std::from_chars(text.data(), end, number);
    return bad == std::errc() && stopped == end && number >= least && number <= std::uint64_t{1} << 60;
  };
  app.add_option_function<std::string>(
         name, [&value, read](const std::string& text) { read(text, value); }, what)
      ->type_name("BYTES")
      ->default_str(std::to_string(value))
      ->check([read, least](const std::string& text) {
        std::uint64_t number = 0;
        return read(text, number) ? std::string()
                                  : "'" + text + "' is no number of bytes from " + std::to_string(least) + " to " +
                                        std::to_string(std::uint64_t{1} << 60);
      });
}
inline void add_polling(CLI::App& app, duration& value) {
  app.add_option_function<std::uint32_t>(
         "--polling", [&value](std::uint32_t us) { value = std::chrono::microseconds(us); },
         "how long the thread of the links looks for events before it sleeps, where nobody else wants its core: "
         "shortens round trips, costs a core")
      ->type_name("MICROSECONDS")
      ->default_str("0")
      ->check(CLI::Range(0u, 1000u));
}
inline void add_log_level(CLI::App& app, log_level usual) {
  set_log_level(usual);
  app.add_option_function<std::string>(
         "--log",
         [](const std::string& word) {
           for (const log_level level :
                {log_level::debug, log_level::info, log_level::warning, log_level::error, log_level::off})
             if (word == to_string(level)) set_log_level(level);
         },
         "what is logged to stderr: this level and above")
      ->type_name("LEVEL")
      ->default_str(std::string(to_string(usual)))
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
}

}  // namespace detail
DTASK_END
