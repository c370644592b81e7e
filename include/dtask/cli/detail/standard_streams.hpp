// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN
namespace detail {

/// Makes sure that descriptors 0 to 2 are open, before anything else is opened: a socket that got number 2 would be
/// sent the log. A stream that was closed stays unusable: what is written to it fails with EBADF.
inline void hold_standard_streams() noexcept {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // Lowest free number first: this one. Opened the wrong way round on purpose.
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
  }
}

/// Writes out what stdout still holds. Throws `error(io_error)` when something that was printed could not be written.
inline void flush_stdout() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw error(
      errc::io_error,
      "the output could not be written" + (errno != 0 ? ": " + std::string(std::strerror(errno)) : std::string()),
      "standard output", "make room or keep its reader running, and start again");
}

}  // namespace detail
DTASK_END
