// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/number.hpp"
#include "dtask/net/url.hpp"
#include "dtask/process/cookie.hpp"

DTASK_BEGIN
namespace detail {

DTASK_INLINE std::string first_host(std::string_view list) {
  std::string host;
  for (std::size_t at = 0; at < list.size() && list[at] != ','; ++at) {
    if (list[at] != '[') {
      host.push_back(list[at]);
      continue;
    }
    const std::size_t close = list.find(']', at);
    if (close == std::string_view::npos) return {};
    const std::string_view numbers = list.substr(at + 1, close - at - 1);
    host.append(numbers.substr(0, numbers.find_first_of(",-")));
    at = close;
  }
  return host;
}

DTASK_INLINE std::uint32_t tasks_on_node(std::string_view text, std::uint32_t index) {
  for (;;) {
    const std::string_view group = text.substr(0, text.find(','));
    const std::size_t times = group.find("(x");
    const auto tasks = read_number<std::uint32_t>(group.substr(0, times));
    std::optional<std::uint32_t> nodes = 1;
    if (times != std::string_view::npos)
      nodes = group.ends_with(')') ? read_number<std::uint32_t>(group.substr(times + 2, group.size() - times - 3))
                                   : std::nullopt;
    if (!tasks || !nodes) return 0;
    if (index < *nodes) return *tasks;
    index -= *nodes;
    if (group.size() == text.size()) return 0;
    text.remove_prefix(group.size() + 1);
  }
}

DTASK_INLINE bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

/// What the variables say, one launcher after the other. The first mistake stays.
class launch_reader {
 public:
  launch_reader(const environment_view& environment, const launch_options& options)
      : environment_(environment), options_(options) {}

  result<launch> read() {
    if (options_.off) return launch();
    find();
    if (bad_) return bad_;
    if (found_.by == launcher::none || found_.world == 1) return launch();
    settle();
    if (bad_) return bad_;
    return std::move(found_);
  }

 private:
  static constexpr std::uint32_t most_ranks = 1u << 20;

  bool has(const char* name) const { return environment_(name) != nullptr; }
  std::string_view text(const char* name) const {
    const char* const value = environment_(name);
    return value != nullptr ? value : "";
  }
  void fail(std::string cause, const char* name, std::string remedy) {
    if (!bad_) bad_ = error(errc::invalid_argument, std::move(cause), std::string(name), std::move(remedy));
  }
  std::string shown(const char* name) const { return std::string(name) + "=" + escaped(text(name), 100); }

  /// A variable that is to be a number. Without it, or with something else in it, a mistake.
  std::uint32_t number(const char* name, std::uint32_t least, std::uint32_t most, const char* remedy) {
    if (!has(name)) {
      fail(std::string(name) + " is not set, and the process was started by " + std::string(to_string(found_.by)), name,
           remedy);
      return 0;
    }
    const auto value = read_number<std::uint32_t>(text(name));
    if (value && *value >= least && *value <= most) return *value;
    fail(shown(name) + " is no number from " + std::to_string(least) + " to " + std::to_string(most), name, remedy);
    return 0;
  }
  void rank_of(const char* rank, const char* world, const char* remedy) {
    found_.rank = number(rank, 0, most_ranks, remedy);
    found_.world = number(world, 1, most_ranks, remedy);
    if (!bad_ && found_.rank >= found_.world)
      fail(shown(rank) + " contradicts " + shown(world) + ": ranks are counted from 0", rank, remedy);
  }
  /// The ranks on this host, where a variable says how many.
  void local_of(const char* name, const char* remedy) {
    if (!has(name)) return;
    found_.local_world = number(name, 1, most_ranks, remedy);
    if (!bad_ && found_.local_world > found_.world)
      fail(shown(name) + " is more than the world of " + std::to_string(found_.world), name, remedy);
  }
  /// A name of a file, from text that others choose.
  static std::string file_name(std::string text) {
    for (char& c : text)
      if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
            c == '_'))
        c = '_';
    // Of a long one both ends and a sum of all: names of files have 255 bytes.
    if (text.size() <= 150) return text;
    std::uint64_t sum = 14695981039346656037u;  // FNV-1a
    for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211u;
    return text.substr(0, 60) + "-" + std::to_string(sum) + "-" + text.substr(text.size() - 60);
  }

  void find() {
    if (has("DTASK_RANK")) return by_variables();
    if (has("TORCHELASTIC_RUN_ID"))
      by_torchrun();
    else if (has("OMPI_COMM_WORLD_RANK"))
      by_open_mpi();
    else if (has("SLURM_STEP_NUM_TASKS") && has("SLURM_PROCID"))
      by_slurm();
    else if (has("JOB_COMPLETION_INDEX") && (has("DTASK_WORLD") || has("DTASK_COORDINATOR")))
      by_kubernetes();
    else if (has("DTASK_WORLD"))
      fail(shown("DTASK_WORLD") + " is set and DTASK_RANK is not", "DTASK_RANK",
           "set DTASK_RANK to the number of this process, from 0, or unset DTASK_WORLD");
    if (bad_ || !has("DTASK_WORLD") || found_.by == launcher::kubernetes) return;
    const std::uint32_t world = number("DTASK_WORLD", 1, most_ranks, "unset DTASK_WORLD: the launcher says it");
    if (!bad_ && world != found_.world)
      fail(shown("DTASK_WORLD") + " contradicts the world of " + std::to_string(found_.world) + " that " +
               std::string(to_string(found_.by)) + " started",
           "DTASK_WORLD", "unset DTASK_WORLD: the launcher says it");
  }

  void by_variables() {
    constexpr const char* remedy =
        "set DTASK_RANK (from 0), DTASK_WORLD and DTASK_COORDINATOR (HOST:PORT of rank 0), or none of them";
    found_.by = launcher::variables;
    rank_of("DTASK_RANK", "DTASK_WORLD", remedy);
    if (bad_ || found_.world == 1) return;
    if (!has("DTASK_COORDINATOR"))
      return fail("DTASK_COORDINATOR is not set, and DTASK_RANK is", "DTASK_COORDINATOR", remedy);
    // A value that stands in a script for all ranks would make two of them the same.
    for (const auto& [rank, world] :
         {std::pair("RANK", "WORLD_SIZE"), std::pair("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
          std::pair("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")}) {
      if (std::string_view(rank) == "RANK" && !has("TORCHELASTIC_RUN_ID")) continue;
      const auto other = read_number<std::uint32_t>(text(rank)), of = read_number<std::uint32_t>(text(world));
      if (!other || !of || *of <= 1) continue;
      if (*other != found_.rank || *of != found_.world)
        return fail(shown("DTASK_RANK") + " and " + shown("DTASK_WORLD") + " contradict " + shown(rank) + " and " +
                        shown(world),
                    "DTASK_RANK", "unset DTASK_RANK and DTASK_WORLD: the launcher says them");
      return;
    }
  }
  void by_torchrun() {
    constexpr const char* remedy = "start the program with torchrun --no-python, which sets it";
    found_.by = launcher::torchrun;
    rank_of("RANK", "WORLD_SIZE", remedy);
    local_of("LOCAL_WORLD_SIZE", remedy);
    if (bad_ || found_.world == 1) return;
    found_.host = text("MASTER_ADDR");
    const std::uint32_t store = number("MASTER_PORT", 1, 65535, remedy);
    if (found_.host.empty()) fail("MASTER_ADDR is not set", "MASTER_ADDR", remedy);
    // Its own store holds MASTER_PORT.
    if (store == 65535 && !has("DTASK_PORT") && !has("DTASK_COORDINATOR"))
      fail("MASTER_PORT=65535 leaves no port above it for the coordinator", "MASTER_PORT",
           "set DTASK_PORT, or another --master-port");
    found_.port = static_cast<std::uint16_t>(store + 1);
    job_ = "torchrun-" + std::string(text("TORCHELASTIC_RUN_ID")) + "-" + std::to_string(store) + "-" +
           std::string(text("TORCHELASTIC_RESTART_COUNT"));
    // Most runs are called "none". The folder of their logs is one run's own; below it every rank has one.
    std::string_view errors = text("TORCHELASTIC_ERROR_FILE");
    const std::string own = "/" + std::string(text("LOCAL_RANK")) + "/error.json";
    if (errors.ends_with(own)) job_ += "-" + std::string(errors.substr(0, errors.size() - own.size()));
  }
  void by_open_mpi() {
    constexpr const char* remedy = "start the program with mpirun, which sets it";
    found_.by = launcher::open_mpi;
    rank_of("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", remedy);
    local_of("OMPI_COMM_WORLD_LOCAL_SIZE", remedy);
    if (bad_ || found_.world == 1 || has("DTASK_COORDINATOR")) return;
    if (found_.local_world != found_.world)
      return fail("these ranks are on several hosts, and Open MPI does not say where rank 0 is", "DTASK_COORDINATOR",
                  "set DTASK_COORDINATOR to HOST:PORT of rank 0, and hand it on with mpirun -x DTASK_COORDINATOR");
    session("PMIX_SERVER_TMPDIR", "PMIX_NAMESPACE", "mpi-");
  }
  void by_slurm() {
    constexpr const char* remedy = "start the program with srun, which sets it";
    found_.by = launcher::slurm;
    rank_of("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", remedy);
    if (bad_ || found_.world == 1) return;
    const std::uint32_t job = number("SLURM_JOB_ID", 0, UINT32_MAX, remedy);
    const std::uint32_t step = number("SLURM_STEP_ID", 0, UINT32_MAX, remedy);
    // Below the ports that systems give to clients (32768), above those of services.
    found_.port = static_cast<std::uint16_t>(10000 + (std::uint64_t{job} * 16 + step % 16) % 20000);
    found_.host = first_host(text("SLURM_STEP_NODELIST"));
    if (found_.host.empty()) fail(shown("SLURM_STEP_NODELIST") + " names no host", "SLURM_STEP_NODELIST", remedy);
    const std::uint32_t nodes = number("SLURM_STEP_NUM_NODES", 1, most_ranks, remedy);
    if (nodes == 1)
      found_.local_world = found_.world;
    else if (const auto node = read_number<std::uint32_t>(text("SLURM_NODEID")))
      found_.local_world = std::min(tasks_on_node(text("SLURM_STEP_TASKS_PER_NODE"), *node), found_.world);
    job_ = "slurm-" + std::to_string(job) + "." + std::to_string(step) + "-" + std::string(text("SLURM_RESTART_COUNT"));
  }
  void by_kubernetes() {
    constexpr const char* remedy =
        "set DTASK_WORLD (the completions) and DTASK_COORDINATOR (HOST:PORT of the pod with index 0) in the manifest";
    found_.by = launcher::kubernetes;
    rank_of("JOB_COMPLETION_INDEX", "DTASK_WORLD", remedy);
    if (!bad_ && found_.world > 1 && !has("DTASK_COORDINATOR"))
      fail("DTASK_COORDINATOR is not set, and DTASK_WORLD is", "DTASK_COORDINATOR", remedy);
  }

  /// The launcher's own folder for this job, where it says one.
  void session(const char* folder, const char* job, const char* otherwise) {
    if (!has(job))
      return fail(std::string(job) + " is not set: nothing tells this job from others", job,
                  "set DTASK_COORDINATOR to 127.0.0.1:PORT");
    found_.folder = text(folder);
    job_ = (found_.folder.empty() ? otherwise : "dtask-") + std::string(text(job));
  }

  /// Where the ranks meet.
  void settle() {
    bool given_loopback = false;
    if (has("DTASK_COORDINATOR")) {
      constexpr const char* remedy = "write HOST:PORT of rank 0";
      std::string_view where = text("DTASK_COORDINATOR");
      if (where.starts_with("tcp://")) where.remove_prefix(6);  // as --on takes it
      const auto at = net::parse_host_port(where);
      if (!at) return fail(shown("DTASK_COORDINATOR") + ": " + at.error().cause(), "DTASK_COORDINATOR", remedy);
      if (at->port == 0 && !has("DTASK_PORT"))
        return fail(shown("DTASK_COORDINATOR") + " has no port", "DTASK_COORDINATOR", remedy);
      found_.host = at->host;
      found_.port = at->port;
      given_loopback = is_loopback(found_.host);
      found_.one_host = given_loopback;
      if (given_loopback && found_.local_world != 0 && found_.local_world != found_.world)
        return fail(shown("DTASK_COORDINATOR") + " is this host, and the ranks are on several", "DTASK_COORDINATOR",
                    remedy);
    } else {
      found_.one_host = found_.local_world == found_.world;
      if (!found_.one_host && found_.by == launcher::torchrun && is_loopback(found_.host))
        return fail(shown("MASTER_ADDR") + " is this host, and the ranks are on several", "MASTER_ADDR",
                    "give torchrun the --master-addr, or --rdzv-endpoint, by which others reach this host");
    }
    if (has("DTASK_PORT")) {
      constexpr const char* remedy = "set DTASK_PORT to a free port, the same for all ranks, or unset it";
      found_.port = static_cast<std::uint16_t>(number("DTASK_PORT", 1, 65535, remedy));
    }
    if (bad_) return;
    if (has(cookie_variable) && !read_cookie(text(cookie_variable)))
      return fail(std::string(cookie_variable) + " is no number from 1 to 18446744073709551615", cookie_variable,
                  "set it to a random number, the same for all ranks");
    if (found_.one_host) {
      if (!given_loopback) found_.host = "127.0.0.1";
      if (job_.empty()) job_ = "port-" + std::to_string(found_.port);
      found_.meeting = file_name(std::move(job_));
      return;
    }
    const std::string where = "the ranks are on several hosts, so rank 0 has to listen beyond loopback";
    if (!options_.open_to_all)
      return fail(where + ", and nothing allows it", "--open-to-all",
                  "add --open-to-all where the network is your own: the connections are not encrypted");
    if (!has(cookie_variable))
      return fail(where + ", and without a cookie whoever reaches its port could run jobs", cookie_variable,
                  "set DTASK_COOKIE to a random number, the same for all ranks: export DTASK_COOKIE=$(od -An -N8 -tu8 "
                  "/dev/urandom | tr -d ' ')");
  }

  const environment_view& environment_;
  const launch_options& options_;
  launch found_;
  std::string job_;  // names this run among those of this host
  error bad_;
};

}  // namespace detail

DTASK_INLINE result<launch> recognise_launch(const environment_view& environment, const launch_options& options) {
  return detail::launch_reader(environment, options).read();
}

DTASK_END
