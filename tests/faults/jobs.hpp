// SPDX-License-Identifier: BSL-1.0
#pragma once
// The jobs of faults_app: one for each thing that may go wrong in a worker.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/main.hpp"

namespace faults {

/// Writes one line into a named pipe, whole or not at all.
inline void tell(const std::string& pipe, std::string line) {
  line += '\n';
  const int fd = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  if (::write(fd, line.data(), line.size()) < 0) std::abort();
  ::close(fd);
}

/// Says that it runs, then waits until the file `gate` exists or it is told to stop.
struct visit {
  std::string name;
  std::string events;
  std::string gate;
};

template <class Context>
dtask::task<std::string> wait_at_gate(Context& ctx, visit v) {
  const std::string who = v.name + " " + std::to_string(ctx.attempt()) + " " + std::to_string(::getpid());
  tell(v.events, "started " + who);
  for (;;) {
    if (::access(v.gate.c_str(), F_OK) == 0) break;
    try {
      co_await dtask::sleep_for(std::chrono::milliseconds(5));
    } catch (...) {
      tell(v.events, "stopped " + who);
      throw;
    }
  }
  co_return v.name;
}

struct hold : dtask::job<"hold/1", dtask::idempotent> {
  dtask::task<std::string> operator()(dtask::job_context& ctx, visit v) { return wait_at_gate(ctx, std::move(v)); }
};
/// The same, which must not run twice.
struct hold_once : dtask::job<"hold_once/1", dtask::at_most_once> {
  dtask::task<std::string> operator()(dtask::job_context& ctx, visit v) { return wait_at_gate(ctx, std::move(v)); }
};
/// Ignores every wish to stop and keeps its thread.
struct deaf : dtask::job<"deaf/1", dtask::at_most_once> {
  dtask::task<std::string> operator()(dtask::job_context& ctx, visit v) {
    tell(v.events, "started " + v.name + " " + std::to_string(ctx.attempt()) + " " + std::to_string(::getpid()));
    while (::access(v.gate.c_str(), F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    co_return v.name;
  }
};

/// Waits at the gate and then tells what the broadcast `word` holds: its size and its letter, or `torn` where the
/// letters differ.
struct recite : dtask::job<"recite/1", dtask::idempotent> {
  explicit recite(dtask::worker_context& w) : word_(w.blob("word")) {}
  dtask::task<std::string> operator()(dtask::job_context& ctx, visit v) {
    auto waiting = wait_at_gate(ctx, std::move(v));
    co_await std::move(waiting);
    const std::string_view text = word_.view();
    const bool whole = !text.empty() && text.find_first_not_of(text.front()) == std::string_view::npos;
    co_return std::to_string(text.size()) + (whole ? std::string(1, text.front()) : "torn");
  }

 private:
  dtask::bytes word_;
};

#ifdef FAULTS_OTHER_TYPES
inline int echo(int n) { return n; }
#else
inline std::string echo(std::string text) { return text; }
#endif
/// Takes what can be nested and counted wrongly.
inline std::uint64_t count_words(std::vector<std::vector<std::string>> lists) {
  std::uint64_t words = 0;
  for (const auto& list : lists) words += list.size();
  return words;
}
inline std::string throws_error(std::string message) { throw std::runtime_error(message); }
inline std::string aborts(std::string events) {
  tell(events, "started abort 0 " + std::to_string(::getpid()));
  std::abort();
}
inline dtask::bytes large(std::uint64_t size) { return dtask::mutable_bytes(static_cast<std::size_t>(size)).freeze(); }

/// Appends a line to a file for each execution, and takes its time.
inline std::string mark(std::string file, std::string name) {
  const std::string line = name + "\n";
  const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0 || ::write(fd, line.data(), line.size()) < 0) std::abort();
  ::close(fd);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return name;
}

/// So many bytes, all of them the last one of the argument.
inline dtask::bytes stretch(dtask::bytes from, std::uint64_t size) {
  dtask::mutable_bytes out(static_cast<std::size_t>(size));
  if (size != 0) std::memset(out.data(), from.empty() ? 0 : static_cast<int>(from[from.size() - 1]), out.size());
  return std::move(out).freeze();
}

/// A value whose own code refuses to be encoded.
struct sealed {
  std::string text;
  template <class Archive>
  void save(Archive&) const {
    if (!text.empty()) throw std::logic_error("sealed: " + text);
  }
  template <class Archive>
  void load(Archive&) {}
};
inline sealed seal(std::string text) { return {text}; }

using echo_job = dtask::function_job<"echo/1", &echo, dtask::idempotent>;
using count_job = dtask::function_job<"count_words/1", &count_words, dtask::idempotent>;
using throws_job = dtask::function_job<"throws/1", &throws_error, dtask::idempotent>;
using aborts_job = dtask::function_job<"aborts/1", &aborts, dtask::idempotent>;
using aborts_once_job = dtask::function_job<"aborts_once/1", &aborts, dtask::at_most_once>;
using large_job = dtask::function_job<"large/1", &large, dtask::idempotent>;
using mark_job = dtask::function_job<"mark/1", &mark, dtask::idempotent>;
using mark_once_job = dtask::function_job<"mark_once/1", &mark, dtask::at_most_once>;
using stretch_job = dtask::function_job<"stretch/1", &stretch, dtask::idempotent>;
using seal_job = dtask::function_job<"seal/1", &seal, dtask::idempotent>;

using jobs = dtask::registry<hold, hold_once, deaf, recite, echo_job, count_job, throws_job, aborts_job,
                             aborts_once_job, large_job, mark_job, mark_once_job, stretch_job, seal_job>;

}  // namespace faults
