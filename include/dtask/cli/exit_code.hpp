// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdio>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"

DTASK_BEGIN

/// How the programs of `dtask::main` end. In the role run, what the body returns is the exit code; 128 + n is the end
/// by signal n (130: Ctrl-C).
namespace exit_code {
inline constexpr int success = 0;  ///< it ended as it should
inline constexpr int failed = 1;   ///< the body threw something that is no fault of the cluster, what it printed could
                                   ///< not be written, or the system has no thread, descriptor or memory left
inline constexpr int usage = 2;  ///< an unknown option, a value that cannot be read, a port that cannot be listened on
inline constexpr int cluster = 3;      ///< no coordinator, refused by it, or lost for good
inline constexpr int no_slots = 4;     ///< worker: all slots are held by jobs that ignore stop; start it anew
inline constexpr int by_signal = 128;  ///< plus the number of the signal that ended it
}  // namespace exit_code

namespace detail {

inline int exit_code_of(errc code) noexcept {
  switch (code) {
    case errc::invalid_argument:
      return exit_code::usage;
    case errc::worker_lost:
    case errc::coordinator_lost:
    case errc::no_worker:
    case errc::unreachable:
    case errc::session_lost:
    case errc::refused:
    case errc::closed:
    case errc::overloaded:
    case errc::protocol_error:
    case errc::version_mismatch:
    case errc::schema_mismatch:
      return exit_code::cluster;
    default:
      return exit_code::failed;
  }
}
/// One line on stderr.
inline void complain(std::string_view program, std::string_view what) {
  const std::string line = escaped(what, 4096);
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(program.size()), program.data(), line.c_str());
}

}  // namespace detail
DTASK_END
