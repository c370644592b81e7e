// SPDX-License-Identifier: BSL-1.0
#pragma once
// The reference of a large payload's way: one block client -> relay -> worker and back over plain Asio. Buffers are
// reused and touched before the clock starts, the worker answers when it has the whole block (as a job does, which gets
// a whole argument), the relay forwards what it has.
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "raw_relay.hpp"

namespace bench::raw {

/// Of the relay's two buffers in each direction. Measured: from 256 KiB to 1 MiB all the same, less below and above.
inline constexpr std::size_t relay_buffer = std::size_t{512} << 10;

/// The worker process: receives `block` bytes, sends them back, until the peer closes.
inline int run_echo_worker(std::uint16_t port, std::size_t block) {
  asio::io_context io(1);
  struct session {
    socket s;
    std::vector<unsigned char> data;
    void read() {
      asio::async_read(s, asio::buffer(data), transfer_up_to{},
                       [this](const boost::system::error_code& ec, std::size_t n) {
                         if (!ec && n == data.size()) write();
                       });
    }
    void write() {
      asio::async_write(s, asio::buffer(data), transfer_up_to{},
                        [this](const boost::system::error_code& ec, std::size_t) {
                          if (!ec) read();
                        });
    }
  } it{connect(io, port), std::vector<unsigned char>(block, 1)};
  std::puts("connected");
  std::fflush(stdout);
  it.read();
  io.run();
  return 0;
}

class echo_client {
 public:
  echo_client(std::uint16_t port, std::size_t block) : s_(connect(io_, port)), out_(block, 7), in_(block, 1) {}

  /// Seconds for the block to the worker and back; below 0 when the connection broke or other bytes came back.
  double round_trip() {
    in_.front() = in_.back() = 0;
    const auto begin = std::chrono::steady_clock::now();
    bool good = false;
    asio::async_write(
        s_, asio::buffer(out_), transfer_up_to{}, [this, &good](const boost::system::error_code& ec, std::size_t) {
          if (ec) return;
          asio::async_read(s_, asio::buffer(in_), transfer_up_to{},
                           [&good](const boost::system::error_code& failed, std::size_t) { good = !failed; });
        });
    io_.restart();
    io_.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return good && in_.front() == 7 && in_.back() == 7 ? seconds : -1;
  }

 private:
  asio::io_context io_{1};
  socket s_;
  std::vector<unsigned char> out_, in_;
};

}  // namespace bench::raw
