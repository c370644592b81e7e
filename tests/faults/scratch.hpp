// SPDX-License-Identifier: BSL-1.0
#pragma once
// A folder of a test's own, and the two ways in which programs tell a test that something has happened: a file that
// appears, a line in a pipe.
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "process.hpp"

namespace faults {

/// Milliseconds until `end`, at least 0, for poll.
inline int left(std::chrono::steady_clock::time_point end) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
  return ms > 0 ? static_cast<int>(ms) : 0;
}

/// A new folder, removed with everything in it at the end.
class scratch {
 public:
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "dtask-faults-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
    path_ = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(std::string_view name) const { return (path_ / name).string(); }

  /// The first line of a file of this folder, as soon as it is complete; nullopt when that takes longer than `bound` or
  /// `writer` has ended without it.
  std::optional<std::string> wait_for_line(std::string_view name, process& writer,
                                           std::chrono::milliseconds bound = patience) const {
    const int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ::inotify_add_watch(watch, path_.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_MODIFY);
    const auto end = std::chrono::steady_clock::now() + bound;
    std::optional<std::string> found = complete_line(name);
    // The writer's end makes no event here, so it is looked for every now and then; the file itself wakes the wait at
    // once.
    while (!found && std::chrono::steady_clock::now() < end && writer.running()) {
      pollfd fd{watch, POLLIN, 0};
      ::poll(&fd, 1, std::min(left(end), 100));
      for (std::array<char, 4096> events; ::read(watch, events.data(), events.size()) > 0;) {
      }
      found = complete_line(name);
    }
    ::close(watch);
    return found;
  }

 private:
  std::optional<std::string> complete_line(std::string_view name) const {
    std::ifstream in(file(name), std::ios::binary);
    std::string line;
    if (!std::getline(in, line) || in.eof()) return std::nullopt;  // without its newline it is still being written
    return line;
  }
  std::filesystem::path path_;
};

/// A named pipe into which jobs write lines (see `tell` of the job programs); the test reads them in order.
class event_pipe {
 public:
  explicit event_pipe(std::string path) : path_(std::move(path)) {
    if (::mkfifo(path_.c_str(), 0600) != 0) throw std::system_error(errno, std::generic_category(), "mkfifo");
    // Open for both ways: opening does not wait for a writer, and a writer that leaves makes no end of file.
    fd_ = ::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "open");
  }
  event_pipe(const event_pipe&) = delete;
  event_pipe& operator=(const event_pipe&) = delete;
  ~event_pipe() { ::close(fd_); }

  const std::string& path() const noexcept { return path_; }

  /// The next line without its newline; nullopt when none comes within `bound`.
  std::optional<std::string> next(std::chrono::milliseconds bound = patience) {
    const auto end = std::chrono::steady_clock::now() + bound;
    for (;;) {
      if (const std::size_t at = pending_.find('\n'); at != std::string::npos) {
        std::string line = pending_.substr(0, at);
        pending_.erase(0, at + 1);
        return line;
      }
      std::array<char, 4096> buffer;
      const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
      if (n > 0) {
        pending_.append(buffer.data(), static_cast<std::size_t>(n));
        continue;
      }
      pollfd fd{fd_, POLLIN, 0};
      if (left(end) == 0) return std::nullopt;
      ::poll(&fd, 1, left(end));
    }
  }
  /// The next line that starts with `prefix`; the ones before it are dropped.
  std::optional<std::string> next_with(std::string_view prefix, std::chrono::milliseconds bound = patience) {
    const auto end = std::chrono::steady_clock::now() + bound;
    for (;;) {
      std::optional<std::string> line = next(std::chrono::milliseconds(left(end)));
      if (!line || line->compare(0, prefix.size(), prefix) == 0) return line;
    }
  }

 private:
  std::string path_;
  int fd_ = -1;
  std::string pending_;
};

}  // namespace faults
