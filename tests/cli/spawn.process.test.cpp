// SPDX-License-Identifier: BSL-1.0
// Worker processes started by spawn://: this test program plays them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "dtask/cli/worker_role.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/node/coordinator.hpp"
#include "dtask/node/query_status.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/task/with_timeout.hpp"
#include "faults/process.hpp"
#include "program.hpp"

using namespace std::chrono_literals;

namespace {

unsigned own_pid() { return static_cast<unsigned>(::getpid()); }
int last_words() {
  std::fputs("cannot go on like this\n", stderr);
  std::abort();
}
std::string word_of(unsigned size) { return std::string(size, 'x'); }
/// How often it stands in the environment, and the value of each.
std::string variables_of(const std::string& name) {
  std::string all;
  for (char** e = environ; *e != nullptr; ++e)
    if (const std::string_view entry = *e; entry.starts_with(name + "="))
      all += (all.empty() ? "" : " ") + std::string(entry.substr(name.size() + 1));
  return all;
}
int runs_for_ever() {
  for (volatile bool on = true; on;) {
  }
  return 0;
}
using pid_job = dtask::function_job<"pid/1", &own_pid, dtask::pure>;
using abort_job = dtask::function_job<"abort/1", &last_words, dtask::pure>;
using once_job = dtask::function_job<"once/1", &last_words, dtask::at_most_once>;
using endless_job = dtask::function_job<"endless/1", &runs_for_ever, dtask::pure>;
using word_job = dtask::function_job<"word/1", &word_of, dtask::pure>;
/// What a process started here holds beside its standard streams, in words.
std::string left_open(const std::string& program) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return "no pipe";
  std::string role = "--role=descriptors", name = program;
  char* argv[] = {name.data(), role.data(), nullptr};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::execv(argv[0], argv);
    ::_exit(127);
  }
  ::close(out[1]);
  std::string text;
  char some[4096];
  for (ssize_t n = 0; (n = ::read(out[0], some, sizeof some)) > 0;) text.append(some, static_cast<std::size_t>(n));
  ::close(out[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) text += " it failed";
  return text;
}
const dtask_test::role descriptors("descriptors", [](int, char**) -> int {
  std::vector<std::filesystem::path> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) all.push_back(entry.path());
  for (const auto& path : all) {
    std::error_code gone;  // that of the list itself
    const auto what = std::filesystem::read_symlink(path, gone);
    if (!gone && std::stoi(path.filename()) > STDERR_FILENO)
      std::printf("%s -> %s; ", path.filename().c_str(), what.c_str());
  }
  return 0;
});
/// Starts processes while other threads connect and accept all the time. What the first of them holds that holds
/// anything but `usual`, which this one was started with.
std::string start_beside_sockets(std::string usual, unsigned processes) {
  dtask::coordinator server;
  const std::string url = server.url();
  std::atomic<bool> end{false};
  std::atomic<unsigned> asked{0};
  std::vector<std::thread> busy;
  for (int i = 0; i < 3; ++i)
    busy.emplace_back([&] {
      while (!end) {
        try {
          dtask::sync_wait(dtask::query_status(url, {}));
          ++asked;
        } catch (const dtask::error&) {
        }
      }
    });
  const std::string program = dtask_test::self();
  std::string found = usual;
  for (unsigned n = 0; found == usual && (n < processes || asked < processes); ++n) found = left_open(program);
  end = true;
  for (std::thread& t : busy) t.join();
  return found;
}
using sockets_job = dtask::function_job<"sockets/1", &start_beside_sockets, dtask::at_most_once>;
using variable_job = dtask::function_job<"variable/1", &variables_of, dtask::pure>;
std::string device_of(dtask::job_context& ctx) { return std::string(ctx.device()); }
using device_job = dtask::function_job<"device/1", &device_of, dtask::pure>;
using jobs =
    dtask::registry<pid_job, abort_job, once_job, endless_job, word_job, variable_job, sockets_job, device_job>;

const dtask_test::role spawned("spawned", [](int argc, char** argv) -> int {
  // The supervisor wrote: PROGRAM --role=spawned worker --connect ...
  const auto worker = std::find(argv, argv + argc, std::string_view("worker"));
  return dtask::worker_role(static_cast<int>(argv + argc - worker), worker, jobs::entries());
});

// Plays no worker, as a main that was forgotten: a client like the one that started it. Not deeper than three, should
// nothing stop it.
const dtask_test::role forgetful("forgetful", [](int, char**) -> int {
  const char* const depth = std::getenv("DTASK_TEST_DEPTH");
  const int deep = depth == nullptr ? 0 : std::atoi(depth);
  std::fprintf(stderr, "depth %d\n", deep);
  if (deep == 3) return 0;
  ::setenv("DTASK_TEST_DEPTH", std::to_string(deep + 1).c_str(), 1);
  const std::string self = dtask_test::self();
  static constexpr std::array<std::string_view, 1> arguments{"--role=forgetful"};
  dtask::cluster_options options;
  options.command = self;
  options.arguments = arguments;
  try {
    auto c = dtask::sync_wait(dtask::cluster::connect<jobs>("spawn://1", options));
    for (int i = 0; i < 1000; ++i) {
      auto hasty = c.with({.no_worker_after = 100ms});
      const auto o = dtask::sync_wait(hasty.try_call<pid_job>());
      if (o) return 2;
      if (o.error().message().find("the last process that was to be one: ") == std::string::npos) continue;
      std::puts(o.error().what());
      return 0;
    }
    return 3;
  } catch (const dtask::error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.code() == dtask::errc::invalid_argument ? 77 : 4;
  }
});
const dtask_test::role last_words_only("last_words", [](int, char**) -> int { return last_words(); });

template <class Body>
void on_spawned(const char* url, Body body, dtask::cluster_options options = {}) {
  dtask::work_pool pool(2);
  const std::string self = dtask_test::self();
  static constexpr std::array<std::string_view, 1> arguments{"--role=spawned"};
  options.command = self;
  options.arguments = arguments;
  auto all = [](const char* where, Body& b, dtask::cluster_options o) -> dtask::task<> {
    auto connecting = dtask::cluster::connect<jobs>(where, o);
    dtask::cluster c = co_await std::move(connecting);
    auto running = b(c);
    co_await std::move(running);
    co_await c.close();
  };
  dtask::sync_wait(pool, dtask::with_timeout(all(url, body, options), 100s));
}

/// From here on a call of the system ends this process, or fails as if there were none. False: this may not be set
/// here.
bool forbid(long call, std::uint32_t answer) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog all{std::size(program), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) == 0;
}
constexpr int cannot_forbid = 99;

/// Kills its workers, sees them replaced, lets a job kill its worker, ends in order. 0: all as it should be.
int endure() {
  int code = 1;
  on_spawned("spawn://2", [&code](dtask::cluster& c) -> dtask::task<> {
    for (int round = 0; round < 3; ++round) {
      const auto before = c.worker_pids();
      for (const auto pid : before) {
        const int fd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
        if (fd < 0) continue;
        ::syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
        ::close(fd);
      }
      for (int i = 0; i < 5; ++i) {
        const unsigned by = co_await c.call<pid_job>();
        if (std::find(before.begin(), before.end(), by) != before.end()) co_return;
      }
    }
    const auto o = co_await c.try_call<abort_job>();
    if (o || o.error().code() != dtask::errc::quarantined) co_return;
    std::puts(o.error().what());
    code = 0;
  });
  return code;
}
const dtask_test::role sigchld_ignored("sigchld_ignored", [](int, char**) -> int {
  if (!forbid(SYS_kill, SECCOMP_RET_KILL_PROCESS)) return cannot_forbid;
  ::signal(SIGCHLD, SIG_IGN);
  return endure();
});
const dtask_test::role reaper("reaper", [](int, char**) -> int {
  if (!forbid(SYS_kill, SECCOMP_RET_KILL_PROCESS)) return cannot_forbid;
  std::atomic<bool> end{false};
  std::thread takes_all([&end] {
    while (!end)
      if (::waitpid(-1, nullptr, 0) < 0) std::this_thread::sleep_for(1ms);
  });
  const int code = endure();
  end = true;
  takes_all.join();
  return code;
});
const dtask_test::role no_pidfd("no_pidfd", [](int, char** argv) -> int {
  const long call = std::string_view(argv[2]) == "open"     ? SYS_pidfd_open
                    : std::string_view(argv[2]) == "signal" ? SYS_pidfd_send_signal
                                                            : SYS_waitid;
  if (!forbid(call, SECCOMP_RET_ERRNO | ENOSYS)) return cannot_forbid;
  try {
    on_spawned("spawn://1", [](dtask::cluster&) -> dtask::task<> { co_return; });
  } catch (const dtask::error& e) {
    std::puts(e.what());
    return e.code() == dtask::errc::io_error && e.place() == "spawn://" ? 0 : 1;
  }
  return 2;
});

}  // namespace

TEST_CASE(
    "spawn: where SIGCHLD is ignored or somebody else takes the ends of children, they are replaced all the same") {
  for (const char* role : {"sigchld_ignored", "reaper"}) {
    CAPTURE(role);
    faults::process p({dtask_test::self(), "--role=" + std::string(role)});
    const auto end = p.wait();
    REQUIRE_MESSAGE(end, "it never ends: " << p.report());
    if (end->code == cannot_forbid) {
      ++dtask_test::left_out();
      continue;
    }
    // SIGSYS: it sent a signal to a number, which may be a stranger's.
    CHECK_MESSAGE(end->signal == 0, p.report());
    CHECK_MESSAGE(end->code == 0, p.report());
    // Each death counts, and says what is known of it. The thread that waits for all may come too late for the last
    // one.
    const std::string said = p.text(faults::process::out);
    const bool known = std::string_view(role) == "reaper" && said.find("killed by signal 6") != std::string::npos;
    CHECK_MESSAGE((known || said.find("how is not known: this program ignores SIGCHLD") != std::string::npos),
                  p.report());
  }
}

TEST_CASE("spawn: a system that cannot hold processes by descriptors is refused") {
  for (const char* call : {"open", "signal", "wait"}) {
    CAPTURE(call);
    faults::process p({dtask_test::self(), "--role=no_pidfd", call});
    const auto end = p.wait();
    REQUIRE_MESSAGE(end, p.report());
    if (end->code == cannot_forbid) {
      ++dtask_test::left_out();
      continue;
    }
    CHECK_MESSAGE(end->code == 0, p.report());
    CHECK_MESSAGE(p.text(faults::process::out).find("Function not implemented") != std::string::npos, p.report());
  }
}

TEST_CASE("spawn: what a job starts holds none of its worker's descriptors, also while threads connect and accept") {
  const std::string usual = left_open(dtask_test::self());  // of who runs the tests
  on_spawned("spawn://1", [&usual](dtask::cluster& c) -> dtask::task<> {
    const std::string found = co_await c.call<sockets_job>(usual, 100u);
    CHECK(found == usual);
  });
}

TEST_CASE("spawn: what is set for the workers replaces what they would inherit") {
  // With the cookie of somebody else they would be refused.
  ::setenv("DTASK_COOKIE", "1234", 1);
  ::setenv("DTASK_LOCAL_WORKERS", "77", 1);
  on_spawned("spawn://2", [](dtask::cluster& c) -> dtask::task<> {
    const std::string workers = co_await c.call<variable_job>(std::string("DTASK_LOCAL_WORKERS"));
    CHECK(workers == "2");
  });
  ::unsetenv("DTASK_COOKIE");
  ::unsetenv("DTASK_LOCAL_WORKERS");
}

namespace {
dtask::task<std::string> rank_of_one(dtask::cluster& c) {
  co_return co_await c.call<variable_job>(std::string("DTASK_LOCAL_RANK"));
}
}  // namespace

TEST_CASE("spawn: each worker has its rank on the machine, and all the device that was asked for") {
  dtask::cluster_options options;
  options.worker.device = "cuda:7";
  on_spawned(
      "spawn://3",
      [](dtask::cluster& c) -> dtask::task<> {
        std::set<std::string> ranks;
        // All three run something at once, sooner or later.
        for (int i = 0; i < 1000 && ranks.size() < 3; ++i) {
          std::vector<dtask::task<std::string>> calls;
          for (int k = 0; k < 6; ++k) calls.push_back(rank_of_one(c));
          for (std::string& rank : co_await dtask::when_all(std::move(calls))) ranks.insert(std::move(rank));
        }
        CHECK(ranks == std::set<std::string>{"0", "1", "2"});
        const std::string device = co_await c.call<device_job>();
        CHECK(device == "cuda:7");
      },
      options);
}

TEST_CASE("spawn: processes of their own, replaced when they die, all answers come") {
  on_spawned("spawn://2", [](dtask::cluster& c) -> dtask::task<> {
    const unsigned first = co_await c.call<pid_job>();
    CHECK(first != own_pid());
    const auto before = c.worker_pids();
    REQUIRE(before.size() == 2);
    for (const auto pid : before) ::kill(static_cast<pid_t>(pid), SIGKILL);
    std::set<unsigned> answered;
    for (int i = 0; i < 20; ++i) answered.insert(co_await c.call<pid_job>());
    for (const auto pid : before) CHECK_FALSE(answered.contains(pid));
  });
}

TEST_CASE("spawn: a job that kills its worker is quarantined, with the signal and the last words") {
  on_spawned("spawn://1", [](dtask::cluster& c) -> dtask::task<> {
    const auto o = co_await c.try_call<abort_job>();
    REQUIRE_FALSE(o);
    CAPTURE(o.error().what());
    CHECK(o.error().code() == dtask::errc::quarantined);
    CHECK(o.attempts() == 3);
    CHECK(std::string(o.error().what()).find("signal 6") != std::string::npos);
    CHECK(std::string(o.error().what()).find("cannot go on like this") != std::string::npos);
    // The others go on.
    const auto next = co_await c.try_call<pid_job>();
    CHECK(next);
    const auto once = co_await c.try_call<once_job>();
    REQUIRE_FALSE(once);
    CHECK(once.error().code() == dtask::errc::worker_lost);
    CHECK(once.attempts() == 1);
  });
}

TEST_CASE("spawn: a job that runs for ever ends at its deadline, and does not hold up the end of the cluster") {
  on_spawned("spawn://1", [](dtask::cluster& c) -> dtask::task<> {
    auto hasty = c.with({.deadline = 200ms});
    const auto o = co_await hasty.try_call<endless_job>();
    REQUIRE_FALSE(o);
    CHECK(o.error().code() == dtask::errc::deadline_exceeded);
  });
}

TEST_CASE("spawn: the processes have the limits of the options") {
  dtask::cluster_options options;
  options.worker.limits.payload = 2000;
  on_spawned(
      "spawn://1",
      [](dtask::cluster& c) -> dtask::task<> {
        const auto fits = co_await c.try_call<word_job>(1000u);
        CHECK(fits);
        const auto refused = co_await c.try_call<word_job>(3000u);
        REQUIRE_FALSE(refused);
        CAPTURE(refused.error().what());
        CHECK(refused.error().code() == dtask::errc::too_large);
        CHECK(refused.error().remedy().find("--payload-bytes") != std::string::npos);
      },
      options);
}

TEST_CASE("spawn: where a later process cannot be started, those before it end, and the error says why") {
  dtask::work_pool pool(1);
  const std::string self = dtask_test::self();
  static constexpr std::array<std::string_view, 1> arguments{"--role=spawned"};
  dtask::cluster_options options;
  options.command = self;
  options.arguments = arguments;
  rlimit usual{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
  for (int round = 0; round < 10; ++round) {
    // Room for a few of them: each takes three descriptors of this process.
    rlimit few = usual;
    few.rlim_cur = static_cast<rlim_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                                     std::filesystem::directory_iterator())) +
                   20;
    ::setrlimit(RLIMIT_NOFILE, &few);
    std::string said;
    try {
      dtask::sync_wait(pool, dtask::cluster::connect<jobs>("spawn://16", options));
    } catch (const dtask::error& e) {
      said = e.what();
    }
    ::setrlimit(RLIMIT_NOFILE, &usual);
    CHECK_MESSAGE(said.find("Too many open files") != std::string::npos, said);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  }
}

TEST_CASE("spawn: a main that plays no worker starts no processes without end, and the call says why") {
  faults::process p({dtask_test::self(), "--role=forgetful"});
  const auto end = p.wait();
  REQUIRE_MESSAGE(end, p.report());
  CHECK_MESSAGE(end->code == 0, p.report());
  const std::string said = p.text(faults::process::out), passed_on = p.text(faults::process::err);
  CAPTURE(said);
  CHECK(said.find("ended with exit code 77") != std::string::npos);
  CHECK(said.find("this process was started by spawn:// to be a worker") != std::string::npos);
  CHECK(said.find("dtask::worker_role") != std::string::npos);
  CHECK_MESSAGE(passed_on.find("depth 1") != std::string::npos, passed_on);
  CHECK_MESSAGE(passed_on.find("depth 2") == std::string::npos, passed_on);
}

TEST_CASE("spawn: how a command ends that is no worker stands in the ends of calls") {
  dtask::work_pool pool(1);
  const std::string self = dtask_test::self();
  static constexpr std::array<std::string_view, 1> arguments{"--role=last_words"};
  const auto said = [&](const std::string& command) {
    dtask::cluster_options options;
    options.command = command;
    options.arguments = arguments;
    auto c = dtask::sync_wait(pool, dtask::cluster::connect<jobs>("spawn://2", options));
    std::string what;
    // It ends when it likes.
    for (int i = 0; i < 1000 && what.find("the last process that was to be one: ") == std::string::npos; ++i) {
      auto hasty = c.with({.no_worker_after = 100ms});
      const auto o = dtask::sync_wait(pool, hasty.try_call<pid_job>());
      REQUIRE_FALSE(o);
      CHECK(o.error().code() == dtask::errc::no_worker);
      what = o.error().what();
    }
    dtask::sync_wait(pool, c.close());
    return what;
  };
  const std::string early = said("/bin/true"), aborted = said(self);
  CHECK_MESSAGE(early.find("to be one: ended with exit code 0") != std::string::npos, early);
  CHECK_MESSAGE(aborted.find("to be one: killed by signal 6") != std::string::npos, aborted);
  CHECK_MESSAGE(aborted.find("cannot go on like this") != std::string::npos, aborted);
}

TEST_CASE("spawn: what a job starts does not take itself for a worker") {
  on_spawned("spawn://1", [](dtask::cluster& c) -> dtask::task<> {
    const std::string told = co_await c.call<variable_job>(std::string("DTASK_SPAWNED"));
    CHECK(told.empty());
  });
}

TEST_CASE("spawn: a command that cannot be started is an error at once") {
  dtask::work_pool pool(1);
  dtask::cluster_options options;
  options.command = "/no/such/program";
  try {
    dtask::sync_wait(pool, dtask::cluster::connect<jobs>("spawn://1", options));
    FAIL("no error");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::io_error);
    CHECK(e.place() == "/no/such/program");
  }
}
