// SPDX-License-Identifier: BSL-1.0
#include "children.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "dtask/base/error.hpp"

extern char** environ;

namespace recognise {

namespace {
[[noreturn]] void fail(const char* what, int cause) {
  throw dtask::error(dtask::errc::io_error, std::string(what) + ": " + std::strerror(cause), {},
                     "check the limits of this user (ulimit -a)");
}
/// Whether `environment` has a value of its own for the variable of `inherited`.
bool is_set_by(const std::vector<std::string>& environment, std::string_view inherited) {
  const std::string_view name = inherited.substr(0, inherited.find('=') + 1);
  return std::any_of(environment.begin(), environment.end(),
                     [name](const std::string& own) { return own.starts_with(name); });
}
}  // namespace

child::child(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::vector<std::string> words{self}, variables = environment;
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv, envp;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  for (std::string& v : variables) envp.push_back(v.data());
  for (char** e = environ; *e != nullptr; ++e)
    if (!is_set_by(environment, *e)) envp.push_back(*e);
  envp.push_back(nullptr);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("cannot make a pipe", errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  const int failed = ::posix_spawn(&pid_, self.c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[0]);
  int cause = failed;
  if (failed == 0) {
    process_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    siginfo_t nothing{};
    if (process_ < 0)
      cause = errno;
    else if (::waitid(P_PIDFD, static_cast<id_t>(process_), &nothing, WEXITED | WNOHANG | WNOWAIT) != 0)
      cause = ESRCH;  // no child of ours: it has ended, somebody took its status, and its number is another's by now
  }
  if (cause == 0) {
    input_ = ends[1];
    return;
  }
  if (process_ >= 0) ::close(process_);
  ::close(ends[1]);  // which ends a child that could not be held
  fail("cannot start a process", cause);
}

child::child(child&& from) noexcept
    : pid_(from.pid_), process_(std::exchange(from.process_, -1)), input_(std::exchange(from.input_, -1)) {}

child::~child() {
  kill();
  if (input_ >= 0) ::close(input_);
}

void child::kill() { end_by(SIGKILL, 10'000); }

void child::end(int seconds) {
  end_by(SIGTERM, seconds * 1000);
  kill();
}

// By the descriptor, never by the number: that is another process's as soon as this one has ended and somebody, or the
// system where SIGCHLD is ignored, has taken its status.
void child::end_by(int signal, int milliseconds) {
  if (process_ < 0) return;
  ::syscall(SYS_pidfd_send_signal, process_, signal, nullptr, 0);
  pollfd ended{process_, POLLIN, 0};
  int events = 0;
  do events = ::poll(&ended, 1, milliseconds);
  while (events < 0 && errno == EINTR);
  if (events <= 0) return;
  siginfo_t how{};
  ::waitid(P_PIDFD, static_cast<id_t>(process_), &how, WEXITED | WNOHANG);
  ::close(std::exchange(process_, -1));
}

void child::wait_for_file(const std::string& path, int seconds) const {
  const int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (watch < 0) fail("cannot watch a folder", errno);
  // Watched before it is looked for: it cannot appear unseen between the two.
  ::inotify_add_watch(watch, std::filesystem::path(path).parent_path().c_str(), IN_MOVED_TO | IN_CLOSE_WRITE);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  const char* wrong = nullptr;
  while (wrong == nullptr && !std::filesystem::exists(path)) {
    pollfd both[] = {{watch, POLLIN, 0}, {process_, POLLIN, 0}};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0)
      wrong = "a started process was not ready in time";
    else
      ::poll(both, 2, static_cast<int>(left));
    if (both[1].revents != 0) wrong = "a started process ended at once";
    char events[4096];
    while (::read(watch, events, sizeof events) > 0) {
    }
  }
  ::close(watch);
  if (wrong != nullptr)
    throw dtask::error(dtask::errc::io_error, wrong, "process " + std::to_string(pid_), "read its message above");
}

scratch_folder::scratch_folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "dtask-demo-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) fail("cannot make a folder for temporary files", errno);
  path_ = std::move(pattern);
}
scratch_folder::~scratch_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace recognise
