// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"
#include "dtask/cli/launch.hpp"

DTASK_BEGIN
namespace detail {

/// What rank 0 tells the other ranks of its host.
struct meeting {
  std::uint16_t port = 0;
  std::uint64_t cookie = 0;
  std::uint32_t world = 0;
};

/// The file in which rank 0 says where it listens and what it asks for, readable by its user alone.
///
/// It appears whole, and rank 0 holds a lock on it as long as it lives: what an earlier run of the same name has left
/// behind is held by nobody, and is not believed.
class meeting_file {
 public:
  /// Where it lies; the folder is made where it is the user's own. Throws `error(io_error)` for a folder that others
  /// could change.
  static std::string path_of(const launch& l) {
    const bool launchers = !l.folder.empty();
    const std::string folder = launchers ? l.folder : "/tmp/dtask-" + std::to_string(::geteuid());
    if (!launchers && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) throw failed("cannot be made", folder);
    struct stat found{};
    if (::lstat(folder.c_str(), &found) != 0) throw failed("cannot be looked at", folder);
    if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
      throw error(errc::io_error, "the folder where the ranks meet is not this user's alone", folder, "remove it");
    return folder + "/" + l.meeting;
  }

  /// Writes it. Throws `error(io_error)`.
  meeting_file(std::string path, const meeting& what) : path_(std::move(path)) {
    // Another name first: who reads the right one finds it whole and locked.
    const std::string draft = path_ + "." + std::to_string(::getpid());
    ::unlink(draft.c_str());
    file_ = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file_ < 0) throw failed("cannot be written", draft);
    const std::string text =
        std::to_string(what.port) + " " + std::to_string(what.cookie) + " " + std::to_string(what.world) + "\n";
    const bool good = ::fchmod(file_, 0600) == 0 && ::flock(file_, LOCK_EX | LOCK_NB) == 0 &&
                      ::write(file_, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                      ::rename(draft.c_str(), path_.c_str()) == 0;
    if (good) return;
    const error why = failed("cannot be written", draft);
    ::unlink(draft.c_str());
    ::close(file_);
    throw why;
  }
  meeting_file(const meeting_file&) = delete;
  meeting_file& operator=(const meeting_file&) = delete;
  /// Removes it, unless somebody has put another in its place.
  ~meeting_file() {
    struct stat own{}, there{};
    if (::fstat(file_, &own) == 0 && ::lstat(path_.c_str(), &there) == 0 && own.st_dev == there.st_dev &&
        own.st_ino == there.st_ino)
      ::unlink(path_.c_str());
    ::close(file_);
  }

  /// What stands there; nothing where there is none yet, or one that nobody holds. Throws `error(io_error)` for one
  /// that is not this user's alone or cannot be read.
  static std::optional<meeting> read(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
      if (errno == ENOENT) return std::nullopt;
      throw failed("cannot be read", path);
    }
    const closed_later close{file};
    struct stat found{};
    if (::fstat(file, &found) != 0) throw failed("cannot be looked at", path);
    if (!S_ISREG(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077) != 0)
      throw error(errc::io_error, "the file where the ranks meet is not this user's alone", path, "remove it");
    if (::flock(file, LOCK_SH | LOCK_NB) == 0) return std::nullopt;
    if (errno != EWOULDBLOCK) throw failed("cannot be locked", path);
    char text[64];
    const ssize_t size = ::read(file, text, sizeof text);
    if (size < 0) throw failed("cannot be read", path);
    const std::string_view line(text, static_cast<std::size_t>(size));
    const std::size_t first = line.find(' '), second = line.rfind(' ');
    if (first < second && line.ends_with('\n')) {
      const auto port = read_number<std::uint16_t>(line.substr(0, first));
      const auto cookie = read_number<std::uint64_t>(line.substr(first + 1, second - first - 1));
      const auto world = read_number<std::uint32_t>(line.substr(second + 1, line.size() - second - 2));
      if (port && *port != 0 && cookie && *cookie != 0 && world && *world != 0) return meeting{*port, *cookie, *world};
    }
    throw error(errc::io_error, "the file where the ranks meet is none of this program", path, "remove it");
  }

 private:
  struct closed_later {
    int file;
    ~closed_later() { ::close(file); }
  };
  static error failed(const char* what, const std::string& path) {
    const int why = errno;
    return error(
        errc::io_error, "where the ranks of this host meet " + std::string(what) + ": " + std::strerror(why), path,
        "is there room, and the right to write? With this host's name in DTASK_COORDINATOR (not a loopback address), "
        "DTASK_COOKIE and --open-to-all the ranks need no file");
  }
  std::string path_;
  int file_ = -1;
};

}  // namespace detail
DTASK_END
