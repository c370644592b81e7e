// SPDX-License-Identifier: BSL-1.0
#pragma once
// The relay of the raw Asio references: two sockets, one thread, bytes forwarded as soon as they are there. What a
// coordinator costs when it knows nothing.
#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/completion_condition.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>

namespace bench::raw {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using executor = asio::io_context::executor_type;
using socket = asio::basic_stream_socket<tcp, executor>;
using acceptor = asio::basic_socket_acceptor<tcp, executor>;

/// Asio moves 64 KiB per call unless told otherwise; this is what pays for large blocks.
inline constexpr std::size_t bytes_per_call = std::size_t{4} << 20;
struct transfer_up_to {
  std::size_t operator()(const boost::system::error_code& ec, std::size_t) const noexcept {
    return ec ? 0 : bytes_per_call;
  }
};

/// A connected socket without Nagle's delay, which is set after the connection is made.
inline socket connect(asio::io_context& io, std::uint16_t port) {
  socket s(io);
  s.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port));
  s.set_option(tcp::no_delay(true));
  return s;
}

/// Listens on a free loopback port and prints it as one line, which is how the parent learns it.
inline acceptor listen_and_tell(asio::io_context& io) {
  acceptor a(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::printf("%u\n", unsigned{a.local_endpoint().port()});
  std::fflush(stdout);
  return a;
}
inline socket accept(asio::io_context& io, acceptor& from) {
  socket s(io);
  from.accept(s);
  s.set_option(tcp::no_delay(true));
  return s;
}

/// One direction of the relay. Two reused buffers: while one is written, the other is read into, so that both
/// neighbours work at once.
class pump {
 public:
  pump(socket& from, socket& to, std::size_t buffer_size) : from_(from), to_(to), size_(buffer_size) {
    for (auto& b : buffers_) b = std::make_unique<unsigned char[]>(size_);
  }
  void start() { read(); }

 private:
  void read() {
    reading_ = true;
    from_.async_read_some(asio::buffer(buffers_[fill_].get(), size_),
                          [this](const boost::system::error_code& ec, std::size_t n) {
                            reading_ = false;
                            if (ec) return end();
                            ready_ = n;
                            turn();
                          });
  }
  /// A full buffer and an idle writer: swap, write, and read on.
  void turn() {
    if (ready_ == 0 || writing_) return;
    const std::size_t n = std::exchange(ready_, 0);
    unsigned char* data = buffers_[fill_].get();
    fill_ ^= 1;
    writing_ = true;
    asio::async_write(to_, asio::buffer(data, n), transfer_up_to{},
                      [this](const boost::system::error_code& ec, std::size_t) {
                        writing_ = false;
                        if (ec) return end();
                        turn();
                      });
    if (!reading_) read();
  }
  void end() {
    boost::system::error_code ignored;
    from_.close(ignored);
    to_.close(ignored);
  }

  socket& from_;
  socket& to_;
  std::size_t size_;
  std::array<std::unique_ptr<unsigned char[]>, 2> buffers_;
  std::size_t fill_ = 0, ready_ = 0;
  bool reading_ = false, writing_ = false;
};

/// The relay process: the worker connects first, the client second; ends when one of them does.
inline int run_relay(std::size_t buffer_size) {
  asio::io_context io(1);
  acceptor a = listen_and_tell(io);
  socket worker = accept(io, a);
  socket client = accept(io, a);
  pump there(client, worker, buffer_size);
  pump back(worker, client, buffer_size);
  there.start();
  back.start();
  io.run();
  return 0;
}

}  // namespace bench::raw
