// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN

/// What a worker's jobs compute on, as its starter names it. A word only: whether it is there knows who computes.
struct device_name {
  bool cuda = false;              ///< false: the CPU
  std::optional<unsigned> index;  ///< of the machine's devices, 0 to 127; none: by the worker's rank on its machine
};

/// "cpu", "cuda" or "cuda:N"; nothing for anything else.
inline std::optional<device_name> read_device_name(std::string_view text) noexcept {
  if (text == "cpu") return device_name{};
  if (text == "cuda") return device_name{true, std::nullopt};
  constexpr std::string_view prefix = "cuda:";
  if (!text.starts_with(prefix)) return std::nullopt;
  const auto index = read_number<unsigned>(text.substr(prefix.size()));
  if (!index || *index > 127) return std::nullopt;
  return device_name{true, index};
}

/// The name of a worker's device: `given`, where it is empty the environment variable DTASK_DEVICE, where that is empty
/// "cpu". Throws `error(invalid_argument)` for what is no name.
inline std::string worker_device(std::string_view given) {
  const bool from_options = !given.empty();
  if (!from_options) {
    const char* const variable = std::getenv("DTASK_DEVICE");
    given = variable != nullptr ? variable : "";
  }
  if (given.empty()) given = "cpu";
  if (!read_device_name(given))
    throw error(errc::invalid_argument, "'" + std::string(given.substr(0, 64)) + "' is no device",
                from_options ? "--device (device of worker_options)" : "DTASK_DEVICE",
                "cpu, cuda or cuda:N, N from 0 to 127");
  return std::string(given);
}

/// The rank of this process among those of its machine that its starter counts: DTASK_LOCAL_RANK, which spawn:// sets
/// for its workers, else that of torchrun, Open MPI or Slurm; 0 where there is none.
inline unsigned local_rank() noexcept {
  for (const char* name : {"DTASK_LOCAL_RANK", "LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"})
    if (const char* const text = std::getenv(name))
      if (const auto rank = read_number<unsigned>(text)) return *rank;
  return 0;
}

DTASK_END
