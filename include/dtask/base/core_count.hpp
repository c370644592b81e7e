// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN
namespace detail {

/// The first line of a file, at most 4 KiB of it, without its end; nothing where it cannot be read.
inline std::optional<std::string> first_line(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return std::nullopt;
  char text[4096];
  const bool read = std::fgets(text, sizeof text, file) != nullptr;
  std::fclose(file);
  if (!read) return std::nullopt;
  std::string line(text);
  if (line.ends_with('\n')) line.pop_back();
  return line;
}

/// The cores that a line of `cpu.max` leaves, rounded up: "150000 100000" is 2. 0: no limit, or no such line.
inline unsigned cores_of_quota(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == line.npos) return 0;
  const auto quota = read_number<unsigned long long>(line.substr(0, space)),
             period = read_number<unsigned long long>(line.substr(space + 1));
  if (!quota || !period || *quota == 0 || *period == 0) return 0;
  return static_cast<unsigned>(std::min(*quota / *period + (*quota % *period != 0), 1ULL << 20));
}

/// The smallest quota of this process's control group and those above it; 0: none. `root`: where they are mounted,
/// `own`: the line of /proc/self/cgroup.
inline unsigned quota_of_group(const std::string& root, std::string_view own) {
  if (!own.starts_with("0::/")) return 0;
  unsigned least = 0;
  for (std::string path(own.substr(3));; path.erase(path.rfind('/'))) {
    const auto line = first_line(root + path + "/cpu.max");
    const unsigned here = line ? cores_of_quota(*line) : 0;
    if (here != 0) least = least == 0 ? here : std::min(least, here);
    if (path.rfind('/') == path.npos) return least;
  }
}

}  // namespace detail

/// The cores of this machine that are on. At least 1.
inline unsigned online_cores() { return static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))); }

/// The cores to which this process is bound (taskset, mpirun, a cpuset); all of the machine where it is not. At
/// least 1. `std::thread::hardware_concurrency` does not know on glibc 2.36. Thread-safe.
inline unsigned bound_cores() {
  // The mask must hold all cores of the machine, usable or not: the kernel refuses a smaller one.
  for (std::size_t sets = 1; sets <= 64; sets *= 2) {
    std::vector<::cpu_set_t> mask(sets);
    if (::sched_getaffinity(0, sets * sizeof(::cpu_set_t), mask.data()) == 0)
      return static_cast<unsigned>(std::max(1, CPU_COUNT_S(sets * sizeof(::cpu_set_t), mask.data())));
    if (errno != EINVAL) break;
  }
  return online_cores();
}

/// The cores that this process may use: those to which it is bound, and no more than what its control group allows it
/// in time (a container's CPU limit, cgroup v2, rounded up). At least 1. What is changed after the first call is not
/// seen. Thread-safe.
inline unsigned usable_cores() {
  static const unsigned found = [] {
    const auto own = detail::first_line("/proc/self/cgroup");
    const unsigned quota = own ? detail::quota_of_group("/sys/fs/cgroup", *own) : 0;
    return quota == 0 ? bound_cores() : std::min(bound_cores(), quota);
  }();
  return found;
}

DTASK_END
