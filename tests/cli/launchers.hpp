// SPDX-License-Identifier: BSL-1.0
#pragma once
// Launchers as tests start them: variables set by hand, Open MPI, Slurm, torchrun.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "faults/process.hpp"
#include "faults/scratch.hpp"
#include "program.hpp"

namespace launchers {

using command = std::vector<std::string>;
using faults::process;

/// A port of loopback that is held, and heard by nobody.
class held_port {
 public:
  held_port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(socket_, 1) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
      throw std::runtime_error("no port for the test");
    port_ = ntohs(at.sin_port);
  }
  held_port(const held_port&) = delete;
  held_port& operator=(const held_port&) = delete;
  ~held_port() { ::close(socket_); }
  std::string text() const { return std::to_string(port_); }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};
/// One that was free a moment ago.
inline std::string free_port() { return held_port().text(); }

/// The path of a program, in PATH and where daemons are; nothing where there is none.
inline std::optional<std::string> find_program(const std::string& name) {
  std::string path = std::getenv("PATH") != nullptr ? std::getenv("PATH") : "";
  path += ":/usr/sbin:/sbin:/usr/local/sbin";
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    const std::string file = path.substr(at, end - at) + "/" + name;
    if (end > at && ::access(file.c_str(), X_OK) == 0) return file;
    at = end + 1;
  }
  return std::nullopt;
}
/// Says what is missing, and counts this test as left out.
inline void leave_out(const std::string& why) {
  ++dtask_test::left_out();
  std::printf("left out: %s\n", why.c_str());
}

/// A command with variables of its own, and without those of a launcher that may have started the tests.
inline command under(command variables, const command& what) {
  command all{"/usr/bin/env"};
  for (const char* name : {"DTASK_RANK", "DTASK_WORLD", "DTASK_COORDINATOR", "DTASK_PORT", "DTASK_COOKIE",
                           "DTASK_LOCAL_WORKERS", "TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID",
                           "SLURM_STEP_NUM_TASKS", "JOB_COMPLETION_INDEX"}) {
    all.emplace_back("-u");
    all.emplace_back(name);
  }
  all.insert(all.end(), variables.begin(), variables.end());
  all.insert(all.end(), what.begin(), what.end());
  return all;
}
/// As mpirun would set them for one rank; the folder stands for that of its job.
inline command as_rank(unsigned rank, unsigned world, const std::string& folder) {
  return {"OMPI_COMM_WORLD_RANK=" + std::to_string(rank), "OMPI_COMM_WORLD_SIZE=" + std::to_string(world),
          "OMPI_COMM_WORLD_LOCAL_SIZE=" + std::to_string(world), "PMIX_NAMESPACE=test", "PMIX_SERVER_TMPDIR=" + folder};
}

/// What `mpirun` needs before the program; nothing without Open MPI.
inline std::optional<command> mpirun(unsigned ranks, const command& variables = {}) {
  const auto program = find_program("mpirun");
  if (!program) {
    leave_out("this test needs mpirun: apt-get install openmpi-bin");
    return std::nullopt;
  }
  command set{"OMPI_ALLOW_RUN_AS_ROOT=1",
              "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
              "OMPI_MCA_rmaps_base_oversubscribe=1",
              "PRTE_ALLOW_RUN_AS_ROOT=1",
              "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1",
              "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe"};
  set.insert(set.end(), variables.begin(), variables.end());
  return under(set, {*program, "-n", std::to_string(ranks)});
}
/// The same for `torchrun --no-python`; DTASK_TEST_TORCHRUN names it where it is not in PATH.
inline std::optional<command> torchrun(unsigned ranks) {
  const char* const named = std::getenv("DTASK_TEST_TORCHRUN");
  const auto program = named != nullptr && *named != '\0' ? std::string(named) : find_program("torchrun");
  if (!program) {
    leave_out("this test needs torchrun, of a Python with PyTorch: set DTASK_TEST_TORCHRUN to its path");
    return std::nullopt;
  }
  return under({"OMP_NUM_THREADS=1"},
               {*program, "--no-python", "--master-port", free_port(), "--nproc-per-node", std::to_string(ranks)});
}

inline command operator+(command a, const command& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A Slurm of one node on loopback, for root: munged, slurmctld and slurmd with a configuration of their own.
class slurm {
 public:
  /// Nothing, with a reason, where it cannot be started here.
  static std::unique_ptr<slurm> start() {
    for (const char* name : {"munged", "slurmctld", "slurmd", "srun", "sbatch", "sinfo"})
      if (!find_program(name)) {
        leave_out("this test needs " + std::string(name) + ": apt-get install slurmctld slurmd slurm-client munge");
        return nullptr;
      }
    if (::geteuid() != 0) {
      leave_out("this test starts a Slurm of its own, which takes root");
      return nullptr;
    }
    return std::unique_ptr<slurm>(new slurm());
  }
  slurm(const slurm&) = delete;
  slurm& operator=(const slurm&) = delete;
  ~slurm() {
    // What still runs on the node ends with its steps.
    run({*find_program("scancel"), "--full", "--signal=KILL", "--user=root"});
    for (auto& daemon : {&node_, &controller_, &munge_}) {
      if (!*daemon) continue;
      (*daemon)->signal(SIGTERM);
      (*daemon)->wait(std::chrono::seconds(10));
      daemon->reset();
    }
  }

  command srun(unsigned tasks, const command& options = {}) const {
    return under({"SLURM_CONF=" + file("slurm.conf")},
                 command{*find_program("srun"), "--ntasks", std::to_string(tasks), "--overcommit"} + options);
  }
  /// Submits a script and waits for its end; its output comes into `output`.
  command sbatch(unsigned tasks, const std::string& script, const std::string& output) const {
    return under({"SLURM_CONF=" + file("slurm.conf")}, {*find_program("sbatch"), "--ntasks", std::to_string(tasks),
                                                        "--overcommit", "--wait", "--output", output, script});
  }
  std::string file(const std::string& name) const { return folder_.file(name); }

 private:
  slurm() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    const std::string node = std::string(host.data()).substr(0, std::string_view(host.data()).find('.'));
    std::ofstream(file("munge.key")) << std::string(512, 'k') << node << ::getpid();
    std::filesystem::permissions(file("munge.key"), std::filesystem::perms::owner_read);
    for (const char* folder : {"state", "spool"}) std::filesystem::create_directory(file(folder));
    std::ofstream(file("slurm.conf"))
        << "ClusterName=test\nSlurmctldHost=" << node << "(127.0.0.1)\nSlurmctldPort=" << free_port()
        << "\nSlurmdPort=" << free_port()
        << "\nAuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket=" << file("munge.socket")
        << "\nSlurmUser=root\nSlurmdUser=root\nStateSaveLocation=" << file("state")
        << "\nSlurmdSpoolDir=" << file("spool") << "\nSlurmctldPidFile=" << file("slurmctld.pid")
        << "\nSlurmdPidFile=" << file("slurmd.pid")
        << "\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n"
           "ReturnToService=2\nSelectType=select/cons_tres\nSchedulerType=sched/builtin\nKillWait=5\nNodeName="
        << node << " NodeAddr=127.0.0.1 CPUs=" << ::sysconf(_SC_NPROCESSORS_ONLN)
        << " State=UNKNOWN\nPartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=FORCE:8 State=UP\n";
    munge_ = std::make_unique<process>(command{
        *find_program("munged"), "-F", "--force", "--socket=" + file("munge.socket"), "--key-file=" + file("munge.key"),
        "--pid-file=" + file("munge.pid"), "--log-file=" + file("munge.log"), "--seed-file=" + file("munge.seed")});
    REQUIRE_MESSAGE(munge_->wait_for(process::err, "Created 2 work threads"), munge_->report());
    controller_ = std::make_unique<process>(
        under({"SLURM_CONF=" + file("slurm.conf")}, {*find_program("slurmctld"), "-D", "-f", file("slurm.conf")}));
    node_ = std::make_unique<process>(
        under({"SLURM_CONF=" + file("slurm.conf")}, {*find_program("slurmd"), "-D", "-f", file("slurm.conf")}));
    // The controller says nothing when its node is ready; it is asked.
    const auto until = std::chrono::steady_clock::now() + faults::patience;
    while (run({*find_program("sinfo"), "--noheader", "--format=%t"}).find("idle") == std::string::npos)
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < until, controller_->report() << node_->report());
  }
  std::string run(const command& what) const {
    process p(under({"SLURM_CONF=" + file("slurm.conf")}, what));
    p.wait();
    return p.text(process::out);
  }

  faults::scratch folder_;
  std::unique_ptr<process> munge_, controller_, node_;
};

// ---- the program that is launched ----

inline std::string launched() { return (dtask_test::build_dir() / "tests/cli/dtask_launched").string(); }
inline std::string hello() { return (dtask_test::build_dir() / "examples/hello/hello").string(); }
inline std::string tool() { return (dtask_test::build_dir() / "tools/dtask/dtask").string(); }
inline constexpr const char* sum = "sum 332833500\n";

struct finished {
  int code = -1;
  std::string out, err;
};
inline finished run(command what) {
  process p(std::move(what));
  const auto end = p.wait();
  REQUIRE_MESSAGE(end, "did not end: " << p.report());
  return {end->code, p.text(process::out), p.text(process::err)};
}
inline bool has(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

/// A run to its end, on so many ranks, with one body.
inline void is_whole(const finished& f, unsigned ranks) {
  CAPTURE(f.out);
  CAPTURE(f.err);
  CHECK(f.code == 0);
  for (unsigned r = 0; r < ranks; ++r) CHECK(has(f.out, "rank-" + std::to_string(r) + " pid "));
  CHECK(has(f.out, "workers " + std::to_string(ranks) + "\n"));
  CHECK(has(f.out, sum));
  // One body, not one per rank.
  CHECK(f.out.find(sum) == f.out.rfind(sum));
}

}  // namespace launchers
