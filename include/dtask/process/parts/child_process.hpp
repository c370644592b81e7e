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
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"

extern char** environ;

DTASK_BEGIN
namespace detail {

/// The variables of this process with `more` (`NAME=value`) put in place of those that have the same name: of two
/// entries with one name a program may read either. Without those that `less` names.
inline std::vector<std::string> environment_with(std::span<const std::string> more,
                                                 std::span<const std::string> less = {}) {
  std::vector<std::string> all(more.begin(), more.end());
  for (char** e = environ; e != nullptr && *e != nullptr; ++e) {
    const std::string_view inherited = *e;
    const std::string_view name = inherited.substr(0, inherited.find('='));
    bool replaced = std::find(less.begin(), less.end(), name) != less.end();
    for (const std::string& m : more)
      replaced = replaced || (m.size() > name.size() && m.starts_with(name) && m[name.size()] == '=');
    if (!replaced) all.emplace_back(inherited);
  }
  return all;
}

/// A process that this one started, held by a descriptor: its number belongs to another process as soon as it has ended
/// and somebody, or the system where SIGCHLD is ignored, has taken its status. So the number is only told, and never
/// signalled or waited for.
///
/// Destroying it lets the process go; it is neither ended nor waited for. Not thread-safe.
class child_process {
 public:
  /// The descriptors that it gets as its standard input and standard error; both close on exec here.
  struct streams {
    int input = -1;
    int errors = -1;
  };

  /// None.
  child_process() = default;
  child_process(child_process&& from) noexcept
      : pid_(std::exchange(from.pid_, 0)), descriptor_(std::exchange(from.descriptor_, -1)) {}
  child_process& operator=(child_process&& from) noexcept {
    if (this != &from) {
      let_go();
      pid_ = std::exchange(from.pid_, 0);
      descriptor_ = std::exchange(from.descriptor_, -1);
    }
    return *this;
  }
  ~child_process() { let_go(); }

  /// Whether this system can hold processes: the three calls that it takes are tried on this process.
  static error unsupported() {
    const auto missing = [](const char* call) {
      return error(
          errc::io_error,
          "this system cannot hold a process by a descriptor (" + std::string(call) + ": " + std::strerror(errno) + ")",
          "spawn://", "use Linux 5.4 or newer and a sandbox that allows this call, or local:// or tcp://");
    };
    const int self = open_descriptor(::getpid());
    // Too few descriptors say nothing about the system; starting one fails soon enough.
    if (self < 0) return errno == EMFILE || errno == ENFILE ? error() : missing("pidfd_open");
    error bad;
    siginfo_t nothing{};
    if (::syscall(SYS_pidfd_send_signal, self, 0, nullptr, 0) != 0)
      bad = missing("pidfd_send_signal");
    else if (::waitid(by_descriptor, static_cast<id_t>(self), &nothing, WEXITED | WNOHANG | WNOWAIT) != 0 &&
             errno != ECHILD)
      bad = missing("waitid");
    ::close(self);
    return bad;
  }

  /// Starts `program` with `arguments` (without its own name) and exactly the variables `environment`, in a process
  /// group of its own and with no signal blocked. Errors: `io_error`, and nothing was started.
  static result<child_process> start(const std::string& program, std::span<const std::string> arguments,
                                     std::span<const std::string> environment, streams with) {
    std::vector<std::string> words{program}, variables(environment.begin(), environment.end());
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv, envp;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    for (std::string& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);

    // A place for its descriptor, so that there is none too few once it runs.
    const int place = ::fcntl(with.input, F_DUPFD_CLOEXEC, 0);
    if (place < 0) return not_started(program, errno);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, with.input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, with.errors, STDERR_FILENO);
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
    const int failed = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    ::close(place);
    if (failed != 0) return not_started(program, failed);
    return hold(pid);
  }

  /// Holds a child that was just started. Where it has ended and its status was taken before that, its number may
  /// already be another's: what is no child of this process is not held, and counts as ended.
  static result<child_process> hold(pid_t pid) {
    child_process held;
    held.pid_ = pid;
    held.descriptor_ = open_descriptor(pid);
    // Another thread took the last descriptor in between. The child is left to the end of its standard input.
    if (held.descriptor_ < 0 && errno != ESRCH)
      return error(errc::io_error, "cannot hold a process: " + std::string(std::strerror(errno)),
                   "process " + std::to_string(pid), "raise the limits of this user (ulimit -a)");
    siginfo_t nothing{};
    if (held.descriptor_ >= 0 &&
        ::waitid(by_descriptor, static_cast<id_t>(held.descriptor_), &nothing, WEXITED | WNOHANG | WNOWAIT) != 0)
      ::close(std::exchange(held.descriptor_, -1));
    return held;
  }

  /// Whether there is one whose end was not yet taken.
  explicit operator bool() const noexcept { return pid_ > 0; }
  /// Its number, for people and for comparing with what it says itself.
  std::uint32_t pid() const noexcept { return static_cast<std::uint32_t>(pid_); }
  /// What `poll` finds readable once it has ended; -1 where it ended before it was held.
  int descriptor() const noexcept { return descriptor_; }
  /// Sends it a signal; nothing where it has ended.
  void signal(int number) noexcept {
    if (descriptor_ >= 0) ::syscall(SYS_pidfd_send_signal, descriptor_, number, nullptr, 0);
  }

  /// How it ended, in words, once: afterwards there is none. Nothing while it runs.
  std::optional<std::string> take_end() {
    if (pid_ <= 0) return std::nullopt;
    if (descriptor_ >= 0) {
      pollfd ended{descriptor_, POLLIN, 0};
      if (::poll(&ended, 1, 0) <= 0) return std::nullopt;
    }
    std::string how = end_in_words();
    let_go();
    return how;
  }

 private:
  static constexpr idtype_t by_descriptor = static_cast<idtype_t>(3);  // P_PIDFD, which older headers lack

  static int open_descriptor(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }
  static error not_started(const std::string& program, int why) {
    const bool limits = why == EMFILE || why == ENFILE || why == EAGAIN || why == ENOMEM;
    return error(
        errc::io_error, "cannot start a worker process: " + std::string(std::strerror(why)), program,
        limits ? "raise the limits of this user (ulimit -a), or start fewer" : "check the command for spawn://");
  }
  std::string end_in_words() const {
    siginfo_t how{};
    // One that is traced is its tracer's first: some patience, and no more.
    for (int look = 0; descriptor_ >= 0 && look < 20; ++look) {
      const int looked = ::waitid(by_descriptor, static_cast<id_t>(descriptor_), &how, WEXITED | WNOHANG);
      if (looked == 0 && how.si_pid != 0) {
        if (how.si_code == CLD_EXITED) return "ended with exit code " + std::to_string(how.si_status);
        return "killed by signal " + std::to_string(how.si_status) + " (" + ::strsignal(how.si_status) + ")";
      }
      if (looked != 0 && errno != EINTR) break;
      ::poll(nullptr, 0, 5);
    }
    return "ended, and how is not known: this program ignores SIGCHLD, or something else in it waits for all children";
  }
  void let_go() noexcept {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
    pid_ = 0;
  }

  pid_t pid_ = 0;
  int descriptor_ = -1;
};

}  // namespace detail
DTASK_END
