// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN
namespace detail {

class file_descriptor {
 public:
  explicit file_descriptor(int number) noexcept : number_(number) {}
  ~file_descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  file_descriptor(const file_descriptor&) = delete;
  file_descriptor& operator=(const file_descriptor&) = delete;
  int get() const noexcept { return number_; }
  /// What closing said: some file systems tell of a full disk only here.
  int close() noexcept { return ::close(std::exchange(number_, -1)); }

 private:
  int number_;
};

inline std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace detail

/// The name under which `replace_file` writes before it renames.
inline std::string part_of_file(const std::string& path) { return path + ".part"; }

/// Puts a file in place as a whole: whoever opens `path`, now or after a power cut, finds the old contents or the new,
/// never a mixture or a part.
///
/// Writes to `path`.part (what lies there is overwritten), syncs it, renames it and syncs the folder, which must exist.
/// `pieces`: the contents, one after the other. Throws `error(errc::io_error)` with the file and the system's reason (a
/// full disk, a missing right); then the old file is whole and the part is gone. Blocks the calling thread: inside a
/// coroutine on a busy scheduler use `offload`. Not affected by cancellation. Thread-safe for different paths.
inline void replace_file(const std::string& path, std::span<const bytes> pieces) {
  const std::string part = part_of_file(path);
  bool made = false;
  const auto fail = [&](int number) {
    if (made) ::unlink(part.c_str());
    const bool full = number == ENOSPC || number == EDQUOT;
    return error(errc::io_error, std::string("cannot write file: ") + std::strerror(number), path,
                 full ? "make room on that disk, or choose another folder" : "check the folder and its permissions");
  };
  detail::file_descriptor file(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw fail(errno);
  made = true;
  for (const bytes& piece : pieces)
    for (std::size_t at = 0; at < piece.size();) {
      // Linux writes at most 2 GiB at once.
      const ssize_t wrote = ::write(file.get(), piece.data() + at, std::min(piece.size() - at, std::size_t{1} << 30));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) throw fail(wrote == 0 ? ENOSPC : errno);
      at += static_cast<std::size_t>(wrote);
    }
  if (::fsync(file.get()) != 0 || file.close() != 0) throw fail(errno);
  if (::rename(part.c_str(), path.c_str()) != 0) throw fail(errno);
  made = false;
  detail::file_descriptor folder(::open(detail::folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a folder, and need not.
  if (folder.get() < 0 || (::fsync(folder.get()) != 0 && errno != EINVAL && errno != ENOTSUP)) throw fail(errno);
}

DTASK_END
