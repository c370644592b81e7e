// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/result.hpp"
#include "dtask/process/parts/child_process.hpp"

DTASK_BEGIN
namespace detail {

/// How worker processes are started.
struct launch_plan {
  std::string program;                   ///< path
  std::vector<std::string> arguments;    ///< without the program; `{}` in one stands for the number of the process
  std::vector<std::string> environment;  ///< `NAME=value`, in place of what is inherited; `{}` as above
  std::vector<std::string> without;      ///< names of variables that are not inherited
  std::uint32_t count = 1;
  duration first_pause = std::chrono::milliseconds(
      100);  ///< before a process is started again; doubles up to the longest while it keeps dying young
  duration longest_pause = std::chrono::seconds(5);
};

/// Starts processes and keeps their number: each has its standard error passed on and its end reported, and gets a
/// successor after a pause.
///
/// A child holds the read end of a pipe (its standard input) whose write end only this process has: when this process
/// ends, in whatever way, the children read the end of it and go. Works on a thread of its own; the destructor ends the
/// children, waits at most `patience` before it kills them, and as long again for their ends.
class process_supervisor {
 public:
  /// How a process ended: `killed by signal 9 (Killed)`, with the tail of its standard error. Called on the
  /// supervisor's thread.
  using ended = std::function<void(std::uint32_t pid, std::string how)>;

  /// Throws `error(io_error)`: no descriptor, thread or process is left, or the system cannot hold processes by
  /// descriptors. None of its processes lives then.
  process_supervisor(launch_plan plan, ended report) : plan_(std::move(plan)), report_(std::move(report)) {
    if (error bad = child_process::unsupported()) throw bad;
    if (::pipe2(wake_, O_CLOEXEC) != 0) throw no_pipe(errno);
    children_.resize(plan_.count);
    error bad;
    for (std::uint32_t i = 0; i < plan_.count && !bad; ++i) {
      children_[i].number = i;
      bad = start(children_[i]);
    }
    if (!bad) {
      try {
        thread_ = std::thread([this] { run(); });
      } catch (const std::system_error& e) {
        bad = error(errc::io_error, "cannot start a thread: " + e.code().message(), "spawn://",
                    "raise the limits of this user (ulimit -a), or end other programs");
      }
    }
    if (!bad) return;
    for (child& c : children_) end_now(c);
    ::close(wake_[0]);
    ::close(wake_[1]);
    throw bad;
  }
  process_supervisor(const process_supervisor&) = delete;
  process_supervisor& operator=(const process_supervisor&) = delete;
  ~process_supervisor() {
    ending_.store(true);
    const char byte = 0;
    [[maybe_unused]] const auto written = ::write(wake_[1], &byte, 1);
    thread_.join();
    ::close(wake_[0]);
    ::close(wake_[1]);
  }

  /// The processes that live now.
  std::vector<std::uint32_t> pids() const {
    const std::lock_guard hold(guard_);
    std::vector<std::uint32_t> all;
    for (const child& c : children_)
      if (c.process) all.push_back(c.process.pid());
    return all;
  }

 private:
  static constexpr std::size_t tail_bytes = 2048;
  static constexpr duration patience = std::chrono::seconds(3);

  struct child {
    std::uint32_t number = 0;
    child_process process;
    int lifeline = -1;  // write end
    int errors = -1;    // read end of its standard error
    std::string tail;
    time_point born{};
    time_point again{};  // when it is started next, where there is no process
    duration pause{};
  };

  static time_point now() { return std::chrono::time_point_cast<duration>(clock_type::now()); }

  static error no_pipe(int why) {
    return error(errc::io_error, "cannot make a pipe: " + std::string(std::strerror(why)), "spawn://",
                 "raise the limit of open files (ulimit -n), or start fewer processes");
  }
  error start(child& c) {
    int lifeline[2], errors[2];
    if (::pipe2(lifeline, O_CLOEXEC) != 0) return no_pipe(errno);
    if (::pipe2(errors, O_CLOEXEC) != 0) {
      const int why = errno;
      ::close(lifeline[0]);
      ::close(lifeline[1]);
      return no_pipe(why);
    }
    const auto numbered = [&c](std::vector<std::string> words) {
      for (std::string& word : words)
        if (const auto at = word.find("{}"); at != std::string::npos) word.replace(at, 2, std::to_string(c.number));
      return words;
    };
    const std::vector<std::string> words = numbered(plan_.arguments);
    auto started =
        child_process::start(plan_.program, words, environment_with(numbered(plan_.environment), plan_.without),
                             {.input = lifeline[0], .errors = errors[1]});
    ::close(lifeline[0]);
    ::close(errors[1]);
    if (!started) {
      ::close(lifeline[1]);
      ::close(errors[0]);
      return started.error();
    }
    const std::lock_guard hold(guard_);
    c.process = std::move(started).value();
    c.lifeline = lifeline[1];
    c.errors = errors[0];
    ::fcntl(c.errors, F_SETFL, O_NONBLOCK);
    c.tail.clear();
    c.born = now();
    return {};
  }

  bool any_lives() const {
    return std::any_of(children_.begin(), children_.end(), [](const child& c) { return bool(c.process); });
  }
  void run() {
    while (!ending_.load()) {
      wait_for_events(next_start());
      for (child& c : children_) look_after(c);
      for (child& c : children_) {
        if (c.process || c.again > now() || ending_.load()) continue;
        if (error bad = start(c)) {
          log(log_level::error, "worker_not_started", bad.what());
          c.again = deadline_after(now(), plan_.longest_pause);
        }
      }
    }
    for (child& c : children_) hang_up(c);
    see_them_end();
    if (!any_lives()) return;
    for (child& c : children_) c.process.signal(SIGKILL);
    see_them_end();
    // Not even killed: the system holds it, for instance at a disk that does not answer.
    for (child& c : children_) {
      if (c.process)
        log(log_level::error, "process_left_behind", std::to_string(c.process.pid()) + " was killed and has not ended");
      close_files(c);
    }
  }
  void see_them_end() {
    const time_point give_up = deadline_after(now(), patience);
    while (any_lives() && now() < give_up) {
      wait_for_events(give_up);
      for (child& c : children_) look_after(c);
    }
  }
  time_point next_start() const {
    time_point first = never;
    for (const child& c : children_)
      if (!c.process) first = std::min(first, c.again);
    return first;
  }
  /// Sleeps until something happens to a child, or this is to end, or `until`.
  void wait_for_events(time_point until) {
    watched_.clear();
    if (!ending_.load()) watched_.push_back({wake_[0], POLLIN, 0});
    for (child& c : children_) {
      if (!c.process) continue;
      // Ended before it was held: nothing will tell of it.
      if (c.process.descriptor() < 0) return;
      watched_.push_back({c.process.descriptor(), POLLIN, 0});
      if (c.errors >= 0) watched_.push_back({c.errors, POLLIN, 0});
    }
    int timeout = -1;
    if (until != never) {
      // In pieces, since the time left need not fit into an int of milliseconds.
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::max(until - now(), duration::zero()));
      timeout = static_cast<int>(std::min<std::int64_t>(left.count(), 3'600'000));
    }
    ::poll(watched_.data(), watched_.size(), timeout);
  }
  void look_after(child& c) {
    if (!c.process) return;
    pass_on(c);
    reap(c);
  }
  /// Its standard error goes to ours; the tail is kept for the report of its end.
  void pass_on(child& c) {
    char some[4096];
    for (;;) {
      if (c.errors < 0) return;
      const ssize_t n = ::read(c.errors, some, sizeof some);
      if (n < 0) return;
      if (n == 0) {
        ::close(std::exchange(c.errors, -1));
        return;
      }
      const auto size = static_cast<std::size_t>(n);
      [[maybe_unused]] const auto written = ::write(STDERR_FILENO, some, size);
      c.tail.append(some, size);
      if (c.tail.size() > tail_bytes) c.tail.erase(0, c.tail.size() - tail_bytes);
    }
  }
  void reap(child& c) {
    const std::uint32_t pid = c.process.pid();
    std::string how;
    {
      const std::lock_guard hold(guard_);
      auto end = c.process.take_end();
      if (!end) return;
      how = std::move(*end);
    }
    pass_on(c);
    while (!c.tail.empty() && (c.tail.back() == '\n' || c.tail.back() == ' ')) c.tail.pop_back();
    if (!c.tail.empty()) how += "; its last words: " + c.tail;
    close_files(c);
    const duration lived = now() - c.born;
    c.pause = lived > plan_.longest_pause ? plan_.first_pause
                                          : std::clamp(c.pause * 2, plan_.first_pause, plan_.longest_pause);
    c.again = deadline_after(now(), c.pause);
    if (!ending_.load()) report_(pid, std::move(how));
  }
  static void hang_up(child& c) {
    if (c.lifeline >= 0) ::close(std::exchange(c.lifeline, -1));
  }
  static void close_files(child& c) {
    hang_up(c);
    if (c.errors >= 0) ::close(std::exchange(c.errors, -1));
  }
  static void end_now(child& c) {
    c.process.signal(SIGKILL);
    if (c.process.descriptor() >= 0) {
      pollfd ended{c.process.descriptor(), POLLIN, 0};
      ::poll(&ended, 1, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count()));
    }
    c.process.take_end();
    close_files(c);
  }

  const launch_plan plan_;
  const ended report_;
  mutable std::mutex guard_;  // of the processes, whose numbers others ask for
  std::vector<child> children_;
  std::vector<pollfd> watched_;
  int wake_[2] = {-1, -1};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace detail
DTASK_END
