// SPDX-License-Identifier: BSL-1.0
#pragma once
// A program that a test starts: its output is captured, every wait is bounded, and it never outlives the test.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace faults {

/// How a program ended.
struct ending {
  int code = -1;   ///< exit code, -1 when a signal ended it
  int signal = 0;  ///< the signal that ended it, 0 when it left by itself
};

/// No wait of these tests is longer: a test that needs more hangs.
inline constexpr std::chrono::seconds patience{60};

struct process_options {
  std::size_t address_space = 0;  ///< bytes of RLIMIT_AS for the program; 0: as the test's own
  std::size_t open_files = 0;     ///< RLIMIT_NOFILE for the program; 0: as the test's own
};

/// A started program. Destroying it kills it (SIGKILL, by its own pid) and collects it. All functions may be called
/// from any thread.
class process {
 public:
  using options = process_options;
  enum stream { out = 0, err = 1 };

  explicit process(std::vector<std::string> command, options with = {}) : command_(std::move(command)) {
    std::array<std::array<int, 2>, 2> pipes{};
    for (auto& p : pipes)
      if (::pipe2(p.data(), O_CLOEXEC) != 0) fail("pipe2");
    std::vector<char*> argv;
    for (std::string& a : command_) argv.push_back(a.data());
    argv.push_back(nullptr);
    // fork, not posix_spawn: the child asks for its own death with ours, which no spawn attribute can say. Between fork
    // and exec only functions that are safe after a fork in a program with threads.
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(127);
      const int nothing = ::open("/dev/null", O_RDONLY);
      ::dup2(nothing, 0);
      ::dup2(pipes[0][1], 1);
      ::dup2(pipes[1][1], 2);
      limit(RLIMIT_AS, with.address_space);
      limit(RLIMIT_NOFILE, with.open_files);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      ::close(pipes[i][1]);
      in_[i] = pipes[i][0];
      ::fcntl(in_[i], F_SETFL, O_NONBLOCK);
    }
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (pidfd_ < 0) fail("pidfd_open");  // the child ends with this process
    reader_ = std::thread([this] { watch(); });
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() {
    signal(SIGKILL);
    reader_.join();
    for (int fd : in_) ::close(fd);
    ::close(pidfd_);
  }

  pid_t pid() const noexcept { return pid_; }
  std::string name() const {
    return command_.front().substr(command_.front().rfind('/') + 1) +
           (command_.size() > 1 ? " " + command_[1] : std::string());
  }

  /// Sends a signal to this very process; nothing when it has ended (its number may belong to another one by then).
  void signal(int number) { ::syscall(SYS_pidfd_send_signal, pidfd_, number, nullptr, 0); }

  /// How it ended; nullopt when it has not within `bound`.
  std::optional<ending> wait(std::chrono::milliseconds bound = patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, bound, [this] { return ending_ && drained_; });
    return drained_ ? ending_ : std::nullopt;
  }
  bool running() {
    std::lock_guard lock(mutex_);
    return !ending_;
  }

  /// Waits until `text` stands in what the program wrote from byte `from` on; false when it ended without it or the
  /// time is over.
  bool wait_for(stream which, std::string_view text, std::chrono::milliseconds bound = patience, std::size_t from = 0) {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return text_[which].find(text, from) != std::string::npos; };
    changed_.wait_for(lock, bound, [&] { return there() || drained_; });
    return there();
  }
  /// Waits until `text` has been written `count` times.
  bool wait_for_count(stream which, std::string_view text, std::size_t count,
                      std::chrono::milliseconds bound = patience) {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return occurrences(text_[which], text) >= count; };
    changed_.wait_for(lock, bound, [&] { return there() || drained_; });
    return there();
  }
  /// Everything written so far; after `wait`, everything.
  std::string text(stream which) {
    std::lock_guard lock(mutex_);
    return text_[which];
  }
  std::vector<std::string> lines(stream which) {
    std::vector<std::string> all;
    const std::string whole = text(which);
    for (std::size_t at = 0; at < whole.size();) {
      const std::size_t end = std::min(whole.find('\n', at), whole.size());
      all.push_back(whole.substr(at, end - at));
      at = end + 1;
    }
    return all;
  }
  /// For a failing assertion: who it was and what it said.
  std::string report() { return "[" + name() + "]\nstdout:\n" + text(out) + "stderr:\n" + text(err); }

  /// A figure of /proc/PID/status in bytes, such as VmHWM (peak of resident memory) or VmRSS; 0 when the process is
  /// gone.
  std::size_t memory(std::string_view what) const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.compare(0, what.size(), what) == 0 && line[what.size()] == ':')
        return std::strtoull(line.c_str() + what.size() + 1, nullptr, 10) * 1024;
    return 0;
  }
  std::size_t peak_memory() const { return memory("VmHWM"); }
  std::size_t resident_memory() const { return memory("VmRSS"); }
  /// Seconds of CPU that it has used.
  double cpu_seconds() const {
    std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
    std::string line;
    std::getline(stat, line);
    const std::size_t after_name = line.rfind(')');
    if (after_name == std::string::npos) return 0;
    unsigned long long user = 0, system = 0;
    if (std::sscanf(line.c_str() + after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                    &system) != 2)
      return 0;
    return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }

  static std::size_t occurrences(std::string_view text, std::string_view what) {
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++n;
    return n;
  }

 private:
  [[noreturn]] static void fail(const char* call) { throw std::system_error(errno, std::generic_category(), call); }
  static void limit(decltype(RLIMIT_AS) what, std::size_t value) {
    if (value == 0) return;
    rlimit both{};
    ::getrlimit(what, &both);
    both.rlim_cur = value;
    ::setrlimit(what, &both);
  }

  /// Collects output and the end. Runs until the program has ended and its pipes are empty (not until they are closed:
  /// a grandchild may hold them).
  void watch() {
    std::array<pollfd, 3> fds{pollfd{in_[0], POLLIN, 0}, pollfd{in_[1], POLLIN, 0}, pollfd{pidfd_, POLLIN, 0}};
    for (;;) {
      ::poll(fds.data(), fds.size(), -1);
      const bool ended = fds[2].revents != 0;
      for (std::size_t i = 0; i < 2; ++i)
        if (fds[i].fd >= 0 && !read_available(i)) fds[i].fd = -1;
      if (!ended) continue;
      std::lock_guard lock(mutex_);
      siginfo_t how{};
      ::waitid(P_PIDFD, static_cast<id_t>(pidfd_), &how, WEXITED);
      ending_ = how.si_code == CLD_EXITED ? ending{how.si_status, 0} : ending{-1, how.si_status};
      drained_ = true;
      changed_.notify_all();
      return;
    }
  }
  /// False at the end of the pipe.
  bool read_available(std::size_t i) {
    for (std::array<char, 65536> buffer;;) {
      const ssize_t n = ::read(in_[i], buffer.data(), buffer.size());
      if (n == 0) return false;
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      std::lock_guard lock(mutex_);
      text_[i].append(buffer.data(), static_cast<std::size_t>(n));
      changed_.notify_all();
    }
  }

  std::vector<std::string> command_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::array<int, 2> in_{-1, -1};
  std::thread reader_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::string, 2> text_;
  std::optional<ending> ending_;
  bool drained_ = false;
};

}  // namespace faults
