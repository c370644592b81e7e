// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "dtask/base/message_of.hpp"
#include "dtask/base/number.hpp"
#include "dtask/cli/detail/command_line.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/node/query_status.hpp"
#include "dtask/process/cookie.hpp"
#include "dtask/task/sync_wait.hpp"

DTASK_BEGIN
namespace detail {

inline std::string seconds_text(duration d) { return number_text(std::chrono::duration<double>(d).count(), 1) + " s"; }
inline std::string bytes_text(std::uint64_t n) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(n);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return number_text(value, unit == 0 ? 0 : 1) + " " + units[unit];
}
inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (u < 0x20 || u >= 0x7f) {
      // Names come from other processes: what is no ASCII is shown byte by byte, so that the line is always valid JSON.
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", u);
      out += code;
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}
inline std::string memory_text(const memory_use& m) {
  return "blocks " + bytes_text(m.blocks) + ", idle " + bytes_text(m.idle) + ", links " + bytes_text(m.links) +
         ", resident " + bytes_text(m.resident);
}
inline std::string pad(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

}  // namespace detail

DTASK_INLINE std::string status_table(const cluster_status& r) {
  using detail::bytes_text;
  const auto n = [](std::uint64_t v) { return std::to_string(v); };
  std::string out = "coordinator up " + detail::seconds_text(r.up) + ", clients " + n(r.clients) + ", workers " +
                    n(r.workers.size()) + "\n";
  out += "jobs: queued " + n(r.queued) + ", assigned " + n(r.assigned) + ", running " + n(r.running) +
         ", waiting to retry " + n(r.waiting_retry) + "\n";
  out += "ended: succeeded " + n(r.succeeded) + ", failed " + n(r.failed) + ", cancelled " + n(r.cancelled) +
         "; placed again " + n(r.placed_again) + "\n";
  out += "bytes: payloads " + bytes_text(r.payload_bytes) + " of " + bytes_text(r.payload_limit) + ", results " +
         bytes_text(r.result_bytes) + ", broadcasts " + bytes_text(r.broadcast_bytes) + " of " +
         bytes_text(r.broadcast_limit) + "\n";
  out += "memory: " + detail::memory_text(r.memory) + "\n";
  if (r.workers.empty()) return out;
  out += detail::pad("worker", 32) + detail::pad("pid", 9) + detail::pad("state", 10) + detail::pad("slots", 7) +
         detail::pad("lost", 6) + detail::pad("running", 9) + detail::pad("ahead", 7) + detail::pad("done", 10) +
         detail::pad("silent", 8) + detail::pad("blocks", 12) + detail::pad("idle", 12) + "resident\n";
  for (const worker_status& w : r.workers) {
    out += detail::pad(escaped(w.host + "/" + w.name, 64), 31) + " " + detail::pad(n(w.pid), 9) +
           detail::pad(escaped(w.state, 16), 10) + detail::pad(n(w.slots), 7) + detail::pad(n(w.lost_slots), 6) +
           detail::pad(n(w.running), 9) + detail::pad(n(w.prefetched), 7) + detail::pad(n(w.done), 10) +
           detail::pad(detail::seconds_text(w.silent), 8) + detail::pad(bytes_text(w.memory.blocks), 12) +
           detail::pad(bytes_text(w.memory.idle), 12) + bytes_text(w.memory.resident) + "\n";
  }
  return out;
}

DTASK_INLINE std::string status_json(const cluster_status& r) {
  std::string out;
  const auto number = [&out](const char* key, std::uint64_t v) {
    if (out.back() != '{') out += ",";
    out += "\"";
    out += key;
    out += "\":" + std::to_string(v);
  };
  const auto text = [&out](const char* key, std::string_view v) {
    if (out.back() != '{') out += ",";
    out += "\"";
    out += key;
    out += "\":" + detail::json_string(v);
  };
  const auto ms = [](duration d) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
  };
  const auto memory = [&](const memory_use& m) {
    out += ",\"memory\":{";
    number("blocks", m.blocks);
    number("idle", m.idle);
    number("links", m.links);
    number("arguments", m.arguments);
    number("results", m.results);
    number("broadcasts", m.broadcasts);
    number("resident", m.resident);
    out += "}";
  };
  out = "{";
  number("up_ms", ms(r.up));
  number("epoch", r.epoch);
  number("clients", r.clients);
  out += ",\"jobs\":{";
  number("queued", r.queued);
  number("assigned", r.assigned);
  number("running", r.running);
  number("waiting_retry", r.waiting_retry);
  number("succeeded", r.succeeded);
  number("failed", r.failed);
  number("cancelled", r.cancelled);
  number("placed_again", r.placed_again);
  out += "},\"bytes\":{";
  number("payloads", r.payload_bytes);
  number("payload_limit", r.payload_limit);
  number("results", r.result_bytes);
  number("broadcasts", r.broadcast_bytes);
  number("broadcast_limit", r.broadcast_limit);
  out += "}";
  memory(r.memory);
  out += ",\"workers\":[";
  for (std::size_t i = 0; i < r.workers.size(); ++i) {
    const worker_status& w = r.workers[i];
    out += i == 0 ? "{" : ",{";
    number("id", w.id);
    text("name", w.name);
    text("host", w.host);
    number("pid", w.pid);
    text("state", w.state);
    number("slots", w.slots);
    number("lost_slots", w.lost_slots);
    number("running", w.running);
    number("prefetched", w.prefetched);
    number("done", w.done);
    number("silent_ms", ms(w.silent));
    memory(w.memory);
    out += "}";
  }
  return out + "]}";
}

DTASK_INLINE int status_role(int argc, const char* const* argv) {
  const std::string program = detail::short_name(argv[0]);
  CLI::App app("Shows what a coordinator counts.", program);
  std::string url = "tcp://127.0.0.1:7700";
  bool json = false;
  duration within = std::chrono::seconds(5);
  app.add_option<std::string>("--on", url, "the coordinator: tcp://HOST:PORT")->type_name("URL")->capture_default_str();
  app.add_flag("--json", json, "one line of JSON");
  detail::add_seconds(app, "--within", within, "give up without an answer after this long, the connection included");
  detail::add_log_level(app, log_level::warning);
  app.footer(detail::exit_code_help());
  if (const auto end = detail::parse(app, argc, argv)) return *end;
  try {
    cluster_options options;
    options.client.connect_within = within;
    options.client.status_within = within;
    options.cookie = take_cookie();
    const cluster_status report = sync_wait(query_status(url, options));
    const std::string text = json ? status_json(report) + "\n" : status_table(report);
    std::fputs(text.c_str(), stdout);
    detail::flush_stdout();
    return exit_code::success;
  } catch (const error& e) {
    detail::complain(program, message_of(e));
    // Here it is the coordinator that has no time.
    return e.code() == errc::deadline_exceeded ? exit_code::cluster : detail::exit_code_of(e.code());
  } catch (...) {
    return detail::explain(program, std::current_exception());
  }
}

DTASK_END
