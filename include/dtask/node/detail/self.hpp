// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "dtask/base/config.hpp"
#include "dtask/control/options.hpp"

DTASK_BEGIN
namespace detail {

inline std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "localhost";
  return name;
}
inline std::string program_name() {
  std::error_code ec;
  return std::filesystem::read_symlink("/proc/self/exe", ec).filename().string();
}
/// What this process says of itself in a hello.
inline control::identity self_identity(wire::role role, std::string name) {
  control::identity who;
  who.role = role;
  who.name = name.empty() ? program_name() : std::move(name);
  who.host = host_name();
  who.pid = static_cast<std::uint32_t>(::getpid());
  return who;
}

}  // namespace detail
DTASK_END
