// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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
#include <thread>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"

extern char** environ;

DTASK_BEGIN
namespace detail {

/// How worker processes are started.
struct launch_plan {
  std::string program;                   ///< path
  std::vector<std::string> arguments;    ///< without the program; `{}` in one stands for the number of the process
  std::vector<std::string> environment;  ///< `NAME=value`, beside what is inherited
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
/// children and waits at most `patience` for each before it kills.
class process_supervisor {
 public:
  /// How a process ended: `killed by signal 9 (Killed)`, with the tail of its standard error. Called on the
  /// supervisor's thread.
  using ended = std::function<void(std::uint32_t pid, std::string how)>;

  process_supervisor(launch_plan plan, ended report) : plan_(std::move(plan)), report_(std::move(report)) {
    if (::pipe2(wake_, O_CLOEXEC) != 0)
      throw error(errc::io_error, std::string("cannot make a pipe: ") + std::strerror(errno));
    children_.resize(plan_.count);
    for (std::uint32_t i = 0; i < plan_.count; ++i) {
      children_[i].number = i;
      if (error bad = start(children_[i])) {
        for (child& c : children_) end_now(c);
        ::close(wake_[0]);
        ::close(wake_[1]);
        throw bad;
      }
    }
    thread_ = std::thread([this] { run(); });
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
      if (c.pid > 0) all.push_back(static_cast<std::uint32_t>(c.pid));
    return all;
  }

 private:
  static constexpr std::size_t tail_bytes = 2048;
  static constexpr duration patience = std::chrono::seconds(3);

  struct child {
    std::uint32_t number = 0;
    pid_t pid = 0;
    int pidfd = -1;
    int lifeline = -1;  // write end
    int errors = -1;    // read end of its standard error
    std::string tail;
    time_point born{};
    time_point again{};  // when it is started next, where pid is 0
    duration pause{};
  };

  static time_point now() { return std::chrono::time_point_cast<duration>(clock_type::now()); }

  error start(child& c) {
    int lifeline[2], errors[2];
    if (::pipe2(lifeline, O_CLOEXEC) != 0)
      return error(errc::io_error, std::string("cannot make a pipe: ") + std::strerror(errno));
    if (::pipe2(errors, O_CLOEXEC) != 0) {
      const int why = errno;
      ::close(lifeline[0]);
      ::close(lifeline[1]);
      return error(errc::io_error, std::string("cannot make a pipe: ") + std::strerror(why));
    }
    std::vector<std::string> words{plan_.program};
    for (std::string word : plan_.arguments) {
      if (const auto at = word.find("{}"); at != std::string::npos) word.replace(at, 2, std::to_string(c.number));
      words.push_back(std::move(word));
    }
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> more = plan_.environment;
    std::vector<char*> envp;
    for (char** e = environ; e != nullptr && *e != nullptr; ++e) envp.push_back(*e);
    for (std::string& e : more) envp.push_back(e.data());
    envp.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, lifeline[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // Its own process group: Ctrl-C on the terminal reaches the parent alone, which ends its children in order.
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    for (const int s : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) sigaddset(&usual, s);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
    pid_t pid = 0;
    const int failed = ::posix_spawn(&pid, plan_.program.c_str(), &actions, &attributes, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    ::close(lifeline[0]);
    ::close(errors[1]);
    if (failed != 0) {
      ::close(lifeline[1]);
      ::close(errors[0]);
      return error(errc::io_error, "cannot start a worker process: " + std::string(std::strerror(failed)),
                   plan_.program, "check the command for spawn://");
    }
    const std::lock_guard hold(guard_);
    c.pid = pid;
    c.pidfd = open_pidfd(pid);
    c.lifeline = lifeline[1];
    c.errors = errors[0];
    ::fcntl(c.errors, F_SETFL, O_NONBLOCK);
    c.tail.clear();
    c.born = now();
    return {};
  }
  static int open_pidfd([[maybe_unused]] pid_t pid) {
#ifdef SYS_pidfd_open
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
#else
    return -1;
#endif
  }

  void run() {
    bool told = false;
    time_point give_up = never;
    std::vector<pollfd> watched;
    for (;;) {
      if (ending_.load() && !std::exchange(told, true)) {
        for (child& c : children_) hang_up(c);
        give_up = deadline_after(now(), patience);
      }
      if (told && std::none_of(children_.begin(), children_.end(), [](const child& c) { return c.pid > 0; })) break;
      time_point wake = give_up;
      bool blind = false;
      watched.assign(1, pollfd{wake_[0], POLLIN, 0});
      for (child& c : children_) {
        if (c.pid > 0) {
          if (c.errors >= 0) watched.push_back({c.errors, POLLIN, 0});
          if (c.pidfd >= 0)
            watched.push_back({c.pidfd, POLLIN, 0});
          else
            blind = true;
        } else if (!told) {
          wake = std::min(wake, c.again);
        }
      }
      int timeout = -1;
      if (wake != never)
        timeout = static_cast<int>(
            std::chrono::ceil<std::chrono::milliseconds>(std::max(wake - now(), duration::zero())).count());
      // Without process descriptors the ends of processes are looked for.
      if (blind && (timeout < 0 || timeout > 50)) timeout = 50;
      if (told) watched.erase(watched.begin());
      ::poll(watched.data(), watched.size(), timeout);
      for (child& c : children_) {
        if (c.pid <= 0) continue;
        pass_on(c);
        reap(c, told);
      }
      if (told) {
        if (now() >= give_up) {
          for (child& c : children_)
            if (c.pid > 0) ::kill(c.pid, SIGKILL);
          give_up = deadline_after(now(), patience);
        }
        continue;
      }
      for (child& c : children_) {
        if (c.pid > 0 || c.again > now()) continue;
        if (error bad = start(c)) {
          log(log_level::error, "worker_not_started", bad.what());
          c.again = deadline_after(now(), plan_.longest_pause);
        }
      }
    }
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
  void reap(child& c, bool told) {
    int status = 0;
    if (::waitpid(c.pid, &status, WNOHANG) != c.pid) return;
    pass_on(c);
    const auto pid = static_cast<std::uint32_t>(c.pid);
    std::string how = in_words(status);
    while (!c.tail.empty() && (c.tail.back() == '\n' || c.tail.back() == ' ')) c.tail.pop_back();
    if (!c.tail.empty()) how += "; its last words: " + c.tail;
    close_files(c);
    const duration lived = now() - c.born;
    c.pause = lived > plan_.longest_pause ? plan_.first_pause
                                          : std::clamp(c.pause * 2, plan_.first_pause, plan_.longest_pause);
    c.again = deadline_after(now(), c.pause);
    {
      const std::lock_guard hold(guard_);
      c.pid = 0;
    }
    if (!told) report_(pid, std::move(how));
  }
  static std::string in_words(int status) {
    if (WIFSIGNALED(status))
      return "killed by signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) + ")";
    return "ended with exit code " + std::to_string(WEXITSTATUS(status));
  }
  static void hang_up(child& c) {
    if (c.lifeline >= 0) ::close(std::exchange(c.lifeline, -1));
  }
  static void close_files(child& c) {
    hang_up(c);
    if (c.pidfd >= 0) ::close(std::exchange(c.pidfd, -1));
    if (c.errors >= 0) ::close(std::exchange(c.errors, -1));
  }
  static void end_now(child& c) {
    if (c.pid > 0) {
      ::kill(c.pid, SIGKILL);
      ::waitpid(c.pid, nullptr, 0);
    }
    close_files(c);
  }

  const launch_plan plan_;
  const ended report_;
  mutable std::mutex guard_;  // of pid, which others ask for
  std::vector<child> children_;
  int wake_[2] = {-1, -1};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace detail
DTASK_END
