// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/number.hpp"
#include "dtask/cli/detail/explain.hpp"
#include "dtask/cli/detail/standard_streams.hpp"
#include "dtask/cli/exit_code.hpp"

DTASK_BEGIN
namespace detail {

/// The line of `--help` about exit codes; `more` are the role's own.
inline std::string exit_code_help(const std::string& more = {}) {
  return "Exit codes: 0 success, 1 failed, 2 usage, 3 the cluster failed" + more + ".";
}

/// What was asked for instead of a run, with the exit code for it.
inline int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return exit_code::success;
}

/// The first step of every role: holds the standard streams, sees to the end by terminate, parses. An exit code where
/// the program is to end now: 0 after help, 2 with one line after a mistake.
inline std::optional<int> parse(CLI::App& app, int argc, const char* const* argv) {
  hold_standard_streams();
  orderly_terminate::install(app.get_name());
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return print(app.help());
  } catch (const CLI::CallForAllHelp&) {
    return print(app.help({}, CLI::AppFormatMode::All));
  } catch (const CLI::CallForVersion& version) {
    return print(message_of(version) + "\n");
  } catch (const CLI::Success&) {
    return exit_code::success;
  } catch (const CLI::ParseError& mistake) {
    complain(app.get_name(), message_of(mistake) + ": see " + app.get_name() + " --help");
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

/// From `least` to `most`.
template <class T>
struct number_range {
  T least, most;
};
/// An option that is a number, and no conversion of CLI11's: that one takes -1 for the largest number, 010 for 8 and
/// nan for a number within any range, and reads and writes as the locale says. `kind` and `unit` stand in the mistake.
template <class T>
CLI::Option* add_number_of(CLI::App& app, const std::string& name, T usual, number_range<T> in, const std::string& kind,
                           const std::string& unit, const std::string& what, std::function<void(T)> take) {
  const auto text_of = [](T number) {
    if constexpr (std::is_floating_point_v<T>)
      return number_text(number);
    else
      return std::to_string(number);
  };
  return app
      .add_option_function<std::string>(
          name, [take = std::move(take)](const std::string& text) { take(read_number<T>(text).value()); }, what)
      ->default_str(text_of(usual))
      ->check([in, mistake = " is no " + kind + " from " + text_of(in.least) + " to " + text_of(in.most) +
                             unit](const std::string& text) {
        const auto number = read_number<T>(text);
        const bool good = number && *number >= in.least && *number <= in.most;
        return good ? std::string() : "'" + text + "'" + mistake;
      });
}

/// A count.
template <std::unsigned_integral T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value, number_range<std::type_identity_t<T>> in,
                        const std::string& what) {
  return add_number_of<T>(app, name, value, in, "number", {}, what, [&value](T number) { value = number; })
      ->type_name("N:[" + std::to_string(in.least) + ".." + std::to_string(in.most) + "]");
}
/// An option in seconds, with fractions.
inline CLI::Option* add_seconds(CLI::App& app, const std::string& name, duration& value, const std::string& what) {
  using seconds = std::chrono::duration<double>;
  return add_number_of<double>(
             app, name, seconds(value).count(), {0.001, 31536000.0}, "time", " seconds", what,
             [&value](double number) { value = std::chrono::duration_cast<duration>(seconds(number)); })
      ->type_name("SECONDS");
}
/// An option in bytes, from `least` on. Sums of a few of these do not overflow.
inline void add_bytes(CLI::App& app, const std::string& name, std::uint64_t& value, std::uint64_t least,
                      const std::string& what) {
  add_number_of<std::uint64_t>(app, name, value, {least, std::uint64_t{1} << 60}, "number of bytes", {}, what,
                               [&value](std::uint64_t number) { value = number; })
      ->type_name("BYTES");
}
inline void add_polling(CLI::App& app, duration& value) {
  add_number_of<std::uint32_t>(
      app, "--polling", 0, {0, 1000}, "number of microseconds", {},
      "how long the thread of the links looks for events before it sleeps, where nobody else wants its core: "
      "shortens round trips, costs a core",
      [&value](std::uint32_t us) { value = std::chrono::microseconds(us); })
      ->type_name("MICROSECONDS:[0..1000]");
}
inline std::optional<log_level> read_log_level(std::string_view word) {
  for (const log_level level :
       {log_level::debug, log_level::info, log_level::warning, log_level::error, log_level::off})
    if (word == to_string(level)) return level;
  return std::nullopt;
}
inline void add_log_level(CLI::App& app, log_level usual) {
  set_log_level(usual);
  app.add_option_function<std::string>(
         "--log", [](const std::string& word) { set_log_level(read_log_level(word).value()); },
         "what is logged to stderr: this level and above")
      ->type_name("LEVEL:{debug,info,warning,error,off}")
      ->default_str(std::string(to_string(usual)))
      ->check([](const std::string& word) {
        return read_log_level(word) ? std::string() : "'" + word + "' is none of debug, info, warning, error, off";
      });
}

}  // namespace detail
DTASK_END
