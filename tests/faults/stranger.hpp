// SPDX-License-Identifier: BSL-1.0
#pragma once
// A peer that does not keep to the protocol: a plain socket on loopback, and the bytes that it may send.
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "scratch.hpp"

namespace faults {

/// One connection to a loopback port. Every function is bounded by `patience`.
class stranger {
 public:
  explicit stranger(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "socket");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval bound{};
    bound.tv_sec = static_cast<time_t>(patience.count());
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      const int why = errno;
      ::close(fd_);
      throw std::system_error(why, std::generic_category(), "connect");
    }
  }
  stranger(stranger&& other) noexcept : fd_(std::exchange(other.fd_, -1)), got_(std::move(other.got_)) {}
  stranger& operator=(stranger&&) = delete;
  ~stranger() {
    if (fd_ >= 0) ::close(fd_);
  }

  /// False when the other side does not take it any more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// Says that nothing more comes from here.
  void finish() { ::shutdown(fd_, SHUT_WR); }

  /// More bytes into `received`; false when the other side closed (or reset) or `bound` has passed.
  bool receive(std::chrono::milliseconds bound = patience) {
    pollfd fd{fd_, POLLIN, 0};
    if (::poll(&fd, 1, static_cast<int>(bound.count())) <= 0) return false;
    std::array<char, 65536> buffer;
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n <= 0) {
      closed_ = true;
      return false;
    }
    got_.append(buffer.data(), static_cast<std::size_t>(n));
    return true;
  }
  /// Waits until the other side has closed; what it sent before is in `received`.
  bool wait_closed(std::chrono::milliseconds bound = patience) {
    const auto end = std::chrono::steady_clock::now() + bound;
    while (receive(std::chrono::milliseconds(left(end)))) {
    }
    return closed_;
  }
  bool closed() const noexcept { return closed_; }
  const std::string& received() const noexcept { return got_; }
  std::string take() { return std::exchange(got_, {}); }

 private:
  int fd_ = -1;
  std::string got_;
  bool closed_ = false;
};

/// The 32 bytes at the start of a frame, little endian, as docs/wire.md has them; any field may be a lie.
inline std::string frame_head(std::uint8_t version, std::uint8_t type, std::uint32_t body, std::uint64_t id = 0,
                              std::uint64_t blob_bytes = 0, std::uint32_t extra = 0, std::uint32_t flags = 0) {
  std::string head("DT");
  const auto put = [&head](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i)
      head.push_back(static_cast<char>(static_cast<unsigned char>((value >> (8 * i)) & 0xff)));
  };
  put(version, 1);
  put(type, 1);
  put(body, 4);
  put(id, 8);
  put(blob_bytes, 8);
  put(extra, 4);
  put(flags, 4);
  return head;
}

/// `count` bytes without any meaning, the same for the same seed.
inline std::string noise(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::string bytes(count, '\0');
  for (char& b : bytes) b = static_cast<char>(static_cast<unsigned char>(random() & 0xff));
  return bytes;
}

/// Raises this process's limit of open files to what the system allows; the limit then in force.
inline std::size_t raise_open_files() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  ::getrlimit(RLIMIT_NOFILE, &files);
  return static_cast<std::size_t>(files.rlim_cur);
}

}  // namespace faults
