// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Maps a whole file into memory, for reading: the system fetches pages as they are touched, and shares them between
/// processes.
///
/// `path`: a regular file. It must not be shortened while any of the bytes are in use (the system ends a program that
/// reads beyond the end). Throws `error`: `not_found`, `io_error`. Thread-safe.
inline bytes map_file(const std::string& path) {
  const auto fail = [&path](int number) {
    const errc code = number == ENOENT || number == ENOTDIR ? errc::not_found : errc::io_error;
    return error(code, std::string("cannot map file: ") + std::strerror(number), path,
                 "check the path and its permissions");
  };
  // O_NONBLOCK: opening a pipe would wait for its other end.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw fail(errno);
  struct closer {
    int descriptor;
    ~closer() { ::close(descriptor); }
  } const close_it{file};
  struct stat about{};
  if (::fstat(file, &about) != 0) throw fail(errno);
  if (!S_ISREG(about.st_mode)) throw error(errc::io_error, "cannot map file: not a regular file", path);
  const auto size = static_cast<std::size_t>(about.st_size);
  if (size == 0) return {};
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (at == MAP_FAILED) throw fail(errno);
  struct mapping {
    void* at;
    std::size_t size;
    ~mapping() { ::munmap(at, size); }
  };
  std::shared_ptr<const void> owner;
  try {
    owner = std::make_shared<const mapping>(at, size);
  } catch (...) {
    ::munmap(at, size);
    throw;
  }
  return bytes(std::move(owner), static_cast<const std::byte*>(at), size);
}

DTASK_END
