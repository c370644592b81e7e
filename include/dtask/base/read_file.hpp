// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Reads a whole file into one block of its own.
///
/// `path`: a regular file. `limit`: the largest size in bytes that is accepted; nothing is allocated before the size
/// was checked. Throws `error`: `not_found`, `io_error` (also for folders and devices), `too_large`. Blocks the calling
/// thread: inside a coroutine on a busy scheduler use `offload`. Not affected by cancellation. Thread-safe.
inline bytes read_file(const std::string& path, std::uint64_t limit = std::uint64_t{4} << 30) {
  const auto fail = [&path](int number) {
    const errc code = number == ENOENT || number == ENOTDIR ? errc::not_found : errc::io_error;
    return error(code, std::string("cannot read file: ") + std::strerror(number), path,
                 "check the path and its permissions");
  };
  // Asked before opening, since opening a pipe would wait for its other end. <filesystem> would cost every user 0.13 s
  // of compilation.
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) throw fail(errno);
  if (S_ISDIR(about.st_mode)) throw fail(EISDIR);
  if (!S_ISREG(about.st_mode)) throw error(errc::io_error, "cannot read file: not a regular file", path);
  struct closer {
    void operator()(std::FILE* f) const noexcept { std::fclose(f); }
  };
  const std::unique_ptr<std::FILE, closer> file(std::fopen(path.c_str(), "rbe"));
  if (!file) throw fail(errno);
  const auto size = static_cast<std::uint64_t>(about.st_size);
  if (size > limit)
    throw error(errc::too_large,
                "file of " + std::to_string(size) + " bytes is over the limit of " + std::to_string(limit), path);
  mutable_bytes block(static_cast<std::size_t>(size));
  const std::size_t got = size == 0 ? 0 : std::fread(block.data(), 1, block.size(), file.get());
  if (got < block.size() && std::ferror(file.get()) != 0) throw fail(errno);
  // A file that shrank meanwhile gives what is left of it.
  return std::move(block).freeze(got);
}

DTASK_END
