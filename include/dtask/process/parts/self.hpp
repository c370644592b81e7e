// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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
  // Not <filesystem>, which costs every header-only program its compilation.
  char path[4096];
  const auto size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string_view whole(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return std::string(whole.substr(whole.rfind('/') + 1));
}
/// Unique on this host while this process lives: the program with its process id, and from its second worker on with
/// a number.
inline std::string default_worker_name() {
  static std::atomic<unsigned> workers{0};
  const unsigned before = workers.fetch_add(1, std::memory_order_relaxed);
  std::string name = program_name() + "-" + std::to_string(::getpid());
  if (before != 0) name += "." + std::to_string(before + 1);
  return name;
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
