// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/result.hpp"

DTASK_BEGIN

/// What starts and places the processes of a program.
enum class launcher : std::uint8_t {
  none,        ///< nobody: the program runs alone
  variables,   ///< anything that sets DTASK_RANK, DTASK_WORLD and DTASK_COORDINATOR
  torchrun,    ///< `torchrun --no-python`
  open_mpi,    ///< `mpirun` of Open MPI
  slurm,       ///< `srun`, also inside `sbatch`
  kubernetes,  ///< an Indexed Job, whose manifest sets DTASK_WORLD and DTASK_COORDINATOR
};
/// How messages call it: "Open MPI".
constexpr std::string_view to_string(launcher l) noexcept {
  switch (l) {
    case launcher::none:
      return "none";
    case launcher::variables:
      return "DTASK_RANK";
    case launcher::torchrun:
      return "torchrun";
    case launcher::open_mpi:
      return "Open MPI";
    case launcher::slurm:
      return "Slurm";
    case launcher::kubernetes:
      return "Kubernetes";
  }
  return "unknown";
}

/// What the command line says of it.
struct launch_options {
  bool off = false;          ///< `--launcher none`, a role, or `--on`: the program does not look for a launcher
  bool open_to_all = false;  ///< `--open-to-all`: rank 0 may listen beyond loopback
};

/// The place of one process in what a launcher started.
struct launch {
  launcher by = launcher::none;   ///< what started it
  std::uint32_t rank = 0;         ///< of this process, from 0
  std::uint32_t world = 1;        ///< how many processes there are
  std::uint32_t local_world = 0;  ///< ranks on this host; 0: the launcher does not say
  std::string host;               ///< where the coordinator of rank 0 is reached
  std::uint16_t port = 0;         ///< 0: any free one, which the meeting file says
  /// All ranks are on this host: rank 0 listens on loopback, and the others learn port and cookie from a file.
  bool one_host = false;
  std::string folder;   ///< of the meeting file: the launcher's own folder for this job; empty: one of the user
  std::string meeting;  ///< the name of the meeting file; empty where there are several hosts
};

/// The value of a variable of the environment; null: it is not set.
using environment_view = std::function<const char*(const char*)>;

/// What started this process, by its environment alone; `launcher::none` for a world of 1, and where `options.off`.
///
/// The innermost launcher counts: DTASK_RANK, torchrun, Open MPI, Slurm, Kubernetes, in this order, since torchrun runs
/// inside a step of Slurm or a pod and mpirun starts its daemons with srun; never the other way round. A batch script
/// of Slurm has SLURM_PROCID and SLURM_NTASKS and is no step. DTASK_COORDINATOR takes the place of the address that
/// would follow from the launcher, and DTASK_PORT that of the port. Errors: `invalid_argument`, which names the
/// variable that is missing, cannot be read or contradicts another one; for several hosts without `options.open_to_all`
/// or DTASK_COOKIE too.
result<launch> recognise_launch(const environment_view& environment, const launch_options& options = {});

namespace detail {

/// The first host of a list as Slurm writes it: `a[07-09,12]b,c` begins with `a07b`. Empty where there is none.
std::string first_host(std::string_view list);
/// The number of tasks on node `index` of `2(x3),1`; 0 where the text does not say.
std::uint32_t tasks_on_node(std::string_view text, std::uint32_t index);
bool is_loopback(std::string_view host);

}  // namespace detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/cli/impl/launch.ipp"
#endif
