// SPDX-License-Identifier: BSL-1.0
// Which launcher started a process follows from an environment alone.
#include "dtask/cli/launch.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "dtask/process/launcher_variables.hpp"

namespace {

using variables = std::map<std::string, std::string>;

dtask::result<dtask::launch> found_in(const variables& all, dtask::launch_options options = {}) {
  return dtask::recognise_launch(
      [&all](const char* name) {
        const auto at = all.find(name);
        return at != all.end() ? at->second.c_str() : nullptr;
      },
      options);
}
variables with(variables all, const variables& more) {
  for (const auto& [name, value] : more) all[name] = value;
  return all;
}
variables without(variables all, const char* name) {
  all.erase(name);
  return all;
}

// As the launchers of Debian 12 set them.
const variables by_hand{{"DTASK_RANK", "1"}, {"DTASK_WORLD", "3"}, {"DTASK_COORDINATOR", "127.0.0.1:7700"}};
const variables torchrun{{"TORCHELASTIC_RUN_ID", "none"},
                         {"RANK", "1"},
                         {"WORLD_SIZE", "2"},
                         {"LOCAL_RANK", "1"},
                         {"LOCAL_WORLD_SIZE", "2"},
                         {"MASTER_ADDR", "127.0.0.1"},
                         {"MASTER_PORT", "29500"},
                         {"TORCHELASTIC_RESTART_COUNT", "0"},
                         {"TORCHELASTIC_ERROR_FILE", "/tmp/torchelastic_a/none_b/attempt_0/1/error.json"}};
const variables open_mpi{{"OMPI_COMM_WORLD_RANK", "2"},
                         {"OMPI_COMM_WORLD_SIZE", "3"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"},
                         {"PMIX_NAMESPACE", "1518927873"},
                         {"PMIX_SERVER_TMPDIR", "/tmp/ompi.vm.0/pid.1"}};
const variables slurm{{"SLURM_JOB_ID", "7"},         {"SLURM_STEP_ID", "1"},        {"SLURM_PROCID", "1"},
                      {"SLURM_NTASKS", "2"},         {"SLURM_NODEID", "0"},         {"SLURM_STEP_NUM_TASKS", "2"},
                      {"SLURM_STEP_NUM_NODES", "1"}, {"SLURM_STEP_NODELIST", "vm"}, {"SLURM_STEP_TASKS_PER_NODE", "2"}};
const variables kubernetes{
    {"JOB_COMPLETION_INDEX", "2"}, {"DTASK_WORLD", "3"}, {"DTASK_COORDINATOR", "train-0.train:7700"}};
const variables secret{{"DTASK_COOKIE", "12345"}};
constexpr dtask::launch_options open{.open_to_all = true};

void is_alone(const variables& all, dtask::launch_options options = {}) {
  const auto l = found_in(all, options);
  REQUIRE_MESSAGE(l, l.error().what());
  CHECK(l->by == dtask::launcher::none);
  CHECK(l->rank == 0);
  CHECK(l->world == 1);
}
/// The mistake names the variable and says this.
void is_wrong(const variables& all, const char* variable, const char* says, dtask::launch_options options = {}) {
  const auto l = found_in(all, options);
  CAPTURE(variable);
  REQUIRE_FALSE(l);
  CAPTURE(l.error().what());
  CHECK(l.error().code() == dtask::errc::invalid_argument);
  CHECK(l.error().place() == variable);
  CHECK(l.error().cause().find(says) != std::string::npos);
  CHECK_FALSE(l.error().remedy().empty());
}

}  // namespace

TEST_CASE("launch: every row of the table") {
  auto l = found_in(by_hand).value();
  CHECK(l.by == dtask::launcher::variables);
  CHECK(l.rank == 1);
  CHECK(l.world == 3);
  CHECK(l.local_world == 0);
  CHECK(l.one_host);
  CHECK(l.host == "127.0.0.1");
  CHECK(l.port == 7700);
  CHECK(l.folder == "");
  CHECK(l.meeting == "port-7700");

  l = found_in(torchrun).value();
  CHECK(l.by == dtask::launcher::torchrun);
  CHECK(l.rank == 1);
  CHECK(l.world == 2);
  CHECK(l.local_world == 2);
  CHECK(l.one_host);
  CHECK(l.port == 29501);  // MASTER_PORT is its own store's
  CHECK(l.folder == "");
  // Runs with one name and port are told apart by the folder of their logs, attempts by their number.
  CHECK(l.meeting == "torchrun-none-29500-0-_tmp_torchelastic_a_none_b_attempt_0");

  l = found_in(open_mpi).value();
  CHECK(l.by == dtask::launcher::open_mpi);
  CHECK(l.rank == 2);
  CHECK(l.world == 3);
  CHECK(l.local_world == 3);
  CHECK(l.one_host);
  CHECK(l.host == "127.0.0.1");
  CHECK(l.port == 0);
  CHECK(l.folder == "/tmp/ompi.vm.0/pid.1");
  CHECK(l.meeting == "dtask-1518927873");

  l = found_in(slurm).value();
  CHECK(l.by == dtask::launcher::slurm);
  CHECK(l.rank == 1);
  CHECK(l.world == 2);
  CHECK(l.local_world == 2);
  CHECK(l.one_host);
  CHECK(l.host == "127.0.0.1");
  CHECK(l.port == 10000 + 7 * 16 + 1);
  CHECK(l.meeting == "slurm-7.1-");

  l = found_in(with(kubernetes, secret), open).value();
  CHECK(l.by == dtask::launcher::kubernetes);
  CHECK(l.rank == 2);
  CHECK(l.world == 3);
  CHECK_FALSE(l.one_host);
  CHECK(l.host == "train-0.train");
  CHECK(l.port == 7700);
  CHECK(l.meeting == "");
}

TEST_CASE("launch: several hosts") {
  auto l = found_in(with(with(torchrun, secret), {{"WORLD_SIZE", "4"}, {"RANK", "3"}, {"MASTER_ADDR", "node7"}}), open)
               .value();
  CHECK_FALSE(l.one_host);
  CHECK(l.host == "node7");
  CHECK(l.port == 29501);
  CHECK(l.local_world == 2);
  CHECK(l.meeting == "");

  l = found_in(with(with(slurm, secret), {{"SLURM_STEP_NUM_TASKS", "8"},
                                          {"SLURM_PROCID", "7"},
                                          {"SLURM_STEP_NUM_NODES", "3"},
                                          {"SLURM_NODEID", "2"},
                                          {"SLURM_STEP_NODELIST", "gpu[07-09]-ib,x"},
                                          {"SLURM_STEP_TASKS_PER_NODE", "3(x2),2"}}),
               open)
          .value();
  CHECK_FALSE(l.one_host);
  CHECK(l.host == "gpu07-ib");
  CHECK(l.local_world == 2);

  const variables far = with(open_mpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  is_wrong(far, "DTASK_COORDINATOR", "several hosts", open);
  l = found_in(with(with(far, secret), {{"DTASK_COORDINATOR", "[fd00::7]:7700"}}), open).value();
  CHECK_FALSE(l.one_host);
  CHECK(l.host == "fd00::7");
  CHECK(l.local_world == 2);

  // Both are asked for, and each refusal says why.
  is_wrong(with(kubernetes, secret), "--open-to-all", "beyond loopback");
  is_wrong(kubernetes, "DTASK_COOKIE", "whoever reaches its port", open);
  is_wrong(with(kubernetes, {{"DTASK_COOKIE", "secret"}}), "DTASK_COOKIE", "is no number", open);
  is_wrong(with(kubernetes, {{"DTASK_COOKIE", "0"}}), "DTASK_COOKIE", "is no number", open);
  // A mistake in a secret does not print it.
  CHECK(std::string(found_in(with(kubernetes, {{"DTASK_COOKIE", "hush"}}), open).error().what()).find("hush") ==
        std::string::npos);
}

TEST_CASE("launch: what is switched off, and what is none") {
  is_alone({});
  for (const variables& all : {by_hand, torchrun, open_mpi, slurm, kubernetes, with(by_hand, {{"DTASK_RANK", "x"}})}) {
    is_alone(all, {.off = true});  // a role, --on, --launcher none
  }
  // A world of 1 needs nothing further.
  is_alone({{"DTASK_RANK", "0"}, {"DTASK_WORLD", "1"}});
  is_alone({{"TORCHELASTIC_RUN_ID", "x"}, {"RANK", "0"}, {"WORLD_SIZE", "1"}});
  is_alone({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}});
  is_alone({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}});
  is_alone({{"JOB_COMPLETION_INDEX", "0"}, {"DTASK_WORLD", "1"}});
  // A batch script of Slurm: its tasks are not started yet.
  is_alone({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}, {"SLURM_NODEID", "0"}});
  // The words of PyTorch's other launchers, and those of an Indexed Job whose pods have nothing to do with each other.
  is_alone({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "x"}, {"MASTER_PORT", "1"}});
  is_alone({{"JOB_COMPLETION_INDEX", "3"}});
  // Set for what is started from here.
  is_alone({{"DTASK_COORDINATOR", "node1:7700"}, {"DTASK_PORT", "7000"}, {"DTASK_COOKIE", "1"}});
}

TEST_CASE("launch: the innermost launcher counts") {
  // srun starts torchrun, and the daemons of mpirun.
  CHECK(found_in(with(slurm, torchrun)).value().by == dtask::launcher::torchrun);
  CHECK(found_in(with(slurm, open_mpi)).value().by == dtask::launcher::open_mpi);
  CHECK(found_in(with(torchrun, {{"JOB_COMPLETION_INDEX", "1"}})).value().by == dtask::launcher::torchrun);
  // A world of 1 inside a larger one is a world of 1.
  is_alone(with(slurm, {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}));
  // Those who say it themselves are believed where the launcher says the same.
  const variables same{{"DTASK_RANK", "1"}, {"DTASK_WORLD", "2"}, {"DTASK_COORDINATOR", "127.0.0.1:7700"}};
  CHECK(found_in(with(slurm, same)).value().by == dtask::launcher::variables);
  CHECK(found_in(with(same, {{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})).value().rank == 1);
}

TEST_CASE("launch: DTASK_COORDINATOR and DTASK_PORT take the place of what follows from the launcher") {
  auto l = found_in(with(open_mpi, {{"DTASK_COORDINATOR", "127.0.0.1:7700"}})).value();
  CHECK(l.one_host);
  CHECK(l.port == 7700);
  CHECK(l.folder == "");
  CHECK(found_in(with(open_mpi, {{"DTASK_COORDINATOR", "tcp://127.0.0.1:7700"}})).value().port == 7700);
  for (const variables& all : {by_hand, torchrun, open_mpi, slurm})
    CHECK(found_in(with(all, {{"DTASK_PORT", "7123"}})).value().port == 7123);
  l = found_in(with(with(slurm, secret), {{"DTASK_COORDINATOR", "login:7700"}}), open).value();
  CHECK(l.by == dtask::launcher::slurm);
  CHECK(l.host == "login");
  CHECK_FALSE(l.one_host);
  CHECK(found_in(with(torchrun, {{"MASTER_PORT", "65535"}, {"DTASK_PORT", "7123"}})).value().port == 7123);
}

TEST_CASE("launch: contradictions and what cannot be read name the variable") {
  is_wrong(without(by_hand, "DTASK_WORLD"), "DTASK_WORLD", "is not set");
  is_wrong(without(by_hand, "DTASK_COORDINATOR"), "DTASK_COORDINATOR", "is not set");
  is_wrong({{"DTASK_WORLD", "2"}}, "DTASK_RANK", "DTASK_RANK is not");
  is_wrong(with(by_hand, {{"DTASK_RANK", ""}}), "DTASK_RANK", "no number");
  is_wrong(with(by_hand, {{"DTASK_RANK", "-1"}}), "DTASK_RANK", "DTASK_RANK=-1");
  is_wrong(with(by_hand, {{"DTASK_RANK", "1 "}}), "DTASK_RANK", "no number");
  is_wrong(with(by_hand, {{"DTASK_RANK", "3"}}), "DTASK_RANK", "contradicts DTASK_WORLD=3");
  is_wrong(with(by_hand, {{"DTASK_WORLD", "0"}}), "DTASK_WORLD", "from 1 to");
  is_wrong(with(by_hand, {{"DTASK_WORLD", "99999999999999999999"}}), "DTASK_WORLD", "no number");
  is_wrong(with(by_hand, {{"DTASK_COORDINATOR", "nonsense"}}), "DTASK_COORDINATOR", "DTASK_COORDINATOR=nonsense");
  is_wrong(with(by_hand, {{"DTASK_COORDINATOR", "127.0.0.1:0"}}), "DTASK_COORDINATOR", "no port");
  is_wrong(with(by_hand, {{"DTASK_PORT", "0"}}), "DTASK_PORT", "from 1 to 65535");
  is_wrong(with(by_hand, {{"DTASK_PORT", "70000"}}), "DTASK_PORT", "from 1 to 65535");
  is_wrong(with(by_hand, {{"DTASK_COOKIE", "x"}}), "DTASK_COOKIE", "no number");

  is_wrong(without(torchrun, "RANK"), "RANK", "is not set");
  is_wrong(without(torchrun, "MASTER_PORT"), "MASTER_PORT", "is not set");
  is_wrong(without(torchrun, "MASTER_ADDR"), "MASTER_ADDR", "is not set");
  is_wrong(with(torchrun, {{"MASTER_PORT", "65535"}}), "MASTER_PORT", "no port above");
  is_wrong(with(torchrun, {{"LOCAL_WORLD_SIZE", "5"}}), "LOCAL_WORLD_SIZE", "more than the world");
  is_wrong(with(torchrun, {{"LOCAL_WORLD_SIZE", "1"}}), "MASTER_ADDR", "several");

  is_wrong(without(open_mpi, "OMPI_COMM_WORLD_SIZE"), "OMPI_COMM_WORLD_SIZE", "is not set");
  is_wrong(without(open_mpi, "PMIX_NAMESPACE"), "PMIX_NAMESPACE", "is not set");
  is_wrong(with(open_mpi, {{"OMPI_COMM_WORLD_RANK", "3"}}), "OMPI_COMM_WORLD_RANK", "contradicts");

  is_wrong(with(slurm, {{"SLURM_PROCID", "two"}}), "SLURM_PROCID", "no number");
  is_wrong(without(slurm, "SLURM_JOB_ID"), "SLURM_JOB_ID", "is not set");
  is_wrong(with(slurm, {{"SLURM_STEP_NODELIST", "a[1-2"}}), "SLURM_STEP_NODELIST", "names no host");

  is_wrong(without(kubernetes, "DTASK_COORDINATOR"), "DTASK_COORDINATOR", "is not set", open);
  is_wrong(without(kubernetes, "DTASK_WORLD"), "DTASK_WORLD", "is not set", open);
  is_wrong(with(kubernetes, {{"JOB_COMPLETION_INDEX", "3"}}), "JOB_COMPLETION_INDEX", "contradicts", open);

  // One rank for all, from a script.
  const variables all_first{{"DTASK_RANK", "0"}, {"DTASK_WORLD", "3"}, {"DTASK_COORDINATOR", "127.0.0.1:7700"}};
  is_wrong(with(open_mpi, all_first), "DTASK_RANK", "contradict OMPI_COMM_WORLD_RANK=2");
  is_wrong(with(torchrun, all_first), "DTASK_RANK", "contradict RANK=1");
  is_wrong(with(slurm, all_first), "DTASK_RANK", "contradict SLURM_PROCID=1");
  is_wrong(with(slurm, {{"DTASK_WORLD", "4"}}), "DTASK_WORLD", "contradicts the world of 2");
  is_wrong(with(with(slurm, {{"DTASK_COORDINATOR", "127.0.0.1:7700"}}),
                {{"SLURM_STEP_NUM_NODES", "2"}, {"SLURM_STEP_TASKS_PER_NODE", "1(x2)"}}),
           "DTASK_COORDINATOR", "several", open);
  // What others chose is shown with its control bytes escaped.
  CHECK(std::string(found_in(with(by_hand, {{"DTASK_RANK", "\x1b[2J"}})).error().what()).find('\x1b') ==
        std::string::npos);
}

TEST_CASE("launch: a meeting file's name is a name, whatever the job is called") {
  const auto named = [](const std::string& id) {
    return found_in(with(torchrun, {{"TORCHELASTIC_RUN_ID", id}})).value().meeting;
  };
  CHECK(named("../../etc/x y").find_first_of("/ ") == std::string::npos);
  const std::string a = named(std::string(300, 'a') + "1" + std::string(300, 'a')),
                    b = named(std::string(300, 'a') + "2" + std::string(300, 'a'));
  CHECK(a.size() < 200);
  CHECK(a != b);
}

TEST_CASE("launch: lists of hosts and of tasks as Slurm writes them") {
  using dtask::detail::first_host, dtask::detail::tasks_on_node;
  CHECK(first_host("vm") == "vm");
  CHECK(first_host("a,b") == "a");
  CHECK(first_host("a-b7,c") == "a-b7");
  CHECK(first_host("n[3]") == "n3");
  CHECK(first_host("n[007-012,20]") == "n007");
  CHECK(first_host("n[4,9]x[2-3].cluster,z") == "n4x2.cluster");
  CHECK(first_host("") == "");
  CHECK(first_host(",a") == "");
  CHECK(first_host("n[1") == "");
  CHECK(tasks_on_node("2", 0) == 2);
  CHECK(tasks_on_node("2", 1) == 0);
  CHECK(tasks_on_node("2(x3),1", 2) == 2);
  CHECK(tasks_on_node("2(x3),1", 3) == 1);
  CHECK(tasks_on_node("2(x3),1", 4) == 0);
  CHECK(tasks_on_node("4,2(x2)", 2) == 2);
  CHECK(tasks_on_node("", 0) == 0);
  CHECK(tasks_on_node("2(x", 0) == 0);
  CHECK(tasks_on_node("2(xy)", 0) == 0);
}

TEST_CASE("launch: what says it is a rank is not inherited by processes of spawn://") {
  // Each variable of the launchers above, but those that name the allocation and what others set too.
  for (const variables& all : {by_hand, torchrun, open_mpi, slurm, kubernetes})
    for (const auto& [name, value] : all) {
      if (name == "SLURM_JOB_ID" || name == "SLURM_STEP_ID" || name == "SLURM_NTASKS") continue;
      CAPTURE(name);
      CHECK(std::find(dtask::launcher_variables.begin(), dtask::launcher_variables.end(), name) !=
            dtask::launcher_variables.end());
    }
}
