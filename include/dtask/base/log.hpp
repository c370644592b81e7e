// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// How much an event matters, in rising order.
enum class log_level : std::uint8_t {
  debug,    ///< details
  info,     ///< what belongs to the ordinary course: joined, resumed
  warning,  ///< what the library gets over: a peer that is silent, refused or gone
  error,    ///< what is lost, or should not happen
  off,      ///< as a threshold: no event at all
};

/// The name of the level, as it is written in C++; "unknown" for a value that is none.
constexpr std::string_view to_string(log_level level) noexcept {
  switch (level) {
    case log_level::debug:
      return "debug";
    case log_level::info:
      return "info";
    case log_level::warning:
      return "warning";
    case log_level::error:
      return "error";
    case log_level::off:
      return "off";
  }
  return "unknown";
}

/// Text made safe for one line of a log or a terminal: control bytes, DEL, backslash and bytes outside ASCII become
/// `\xNN`, `\n`, `\t` or `\\`; cut after `limit` bytes.
inline std::string escaped(std::string_view text, std::size_t limit = 512) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size() < limit ? text.size() : limit);
  for (const char c : text) {
    if (out.size() >= limit) return out.append("...");
    const auto u = static_cast<unsigned char>(c);
    if (c == '\n')
      out.append("\\n");
    else if (c == '\t')
      out.append("\\t");
    else if (c == '\\')
      out.append("\\\\");
    else if (u < 0x20 || u >= 0x7f)
      out.append("\\x").append(1, digits[u >> 4]).append(1, digits[u & 15]);
    else
      out.push_back(c);
  }
  return out;
}

/// Where the library's events go: one call per event, one line each, already escaped.
///
/// The default sink writes lines of level warning and above to stderr. Set another with `set_log_sink`; the level with
/// `set_log_level`. A sink is called from any thread, one call at a time; it must neither throw nor log.
using log_sink = void (*)(log_level level, std::string_view line, void* user) noexcept;

namespace detail {
struct log_target {
  log_sink sink;
  void* user;
};
inline void log_to_stderr(log_level level, std::string_view line, void*) noexcept {
  std::timespec now{};
  std::timespec_get(&now, TIME_UTC);
  std::tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  // One call, so that lines of several threads and processes do not mix.
  std::fprintf(stderr, "%02d:%02d:%02d.%03ld %.*s %.*s\n", parts.tm_hour, parts.tm_min, parts.tm_sec,
               now.tv_nsec / 1000000, static_cast<int>(to_string(level).size()), to_string(level).data(),
               static_cast<int>(line.size()), line.data());
}
inline std::atomic<log_level> log_threshold{log_level::warning};
inline std::mutex log_guard;
inline log_target log_current{&log_to_stderr, nullptr};
}  // namespace detail

/// Events below `level` are not formatted at all.
inline void set_log_level(log_level level) noexcept { detail::log_threshold.store(level, std::memory_order_relaxed); }
/// Whether events of this level are handed to the sink. Thread-safe.
inline bool log_enabled(log_level level) noexcept {
  return level >= detail::log_threshold.load(std::memory_order_relaxed);
}

/// Replaces the sink for the whole process; nullptr brings the default back. `user` is handed to each call and must
/// outlive the last.
inline void set_log_sink(log_sink sink, void* user = nullptr) {
  const std::lock_guard hold(detail::log_guard);
  detail::log_current = sink ? detail::log_target{sink, user} : detail::log_target{&detail::log_to_stderr, nullptr};
}

/// One event. `event` is a fixed name (`worker_lost`), `text` free text that is escaped here. Thread-safe; costs one
/// relaxed load when the level is off.
inline void log(log_level level, std::string_view event, std::string_view text) {
  if (!log_enabled(level)) return;
  std::string line(event);
  if (!text.empty()) line.append(" ").append(escaped(text));
  // Called under the lock, so that after set_log_sink returns no thread is inside the old sink.
  const std::lock_guard hold(detail::log_guard);
  detail::log_current.sink(level, line, detail::log_current.user);
}

DTASK_END
