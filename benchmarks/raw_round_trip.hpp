// SPDX-License-Identifier: BSL-1.0
#pragma once
// The reference of a no-op job's round trip: 64 bytes client -> relay -> worker and back over plain Asio, with the
// hand-overs between threads that any program has whose callers and jobs do not run on the thread of the sockets.
// Client: caller -> io -> caller. Worker: io -> pool -> io. Also the one-hop ping-pong between two threads of sockets,
// without relay and without hand-overs.
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "raw_relay.hpp"

namespace bench::raw {

inline constexpr std::size_t message_size = 64;
using message = std::array<unsigned char, message_size>;
using guard = asio::executor_work_guard<executor>;

/// The worker process: each message is handed to a pool thread, which hands it back to be sent.
inline int run_round_trip_worker(std::uint16_t port) {
  asio::io_context io(1), pool(1);
  guard keep(pool.get_executor());
  std::thread pool_thread([&pool] { pool.run(); });
  struct session {
    asio::io_context &io, &pool;
    socket s;
    guard open;  // while the pool has the message, nothing is pending on the socket
    message in{}, out{};
    void read() {
      asio::async_read(s, asio::buffer(in), [this](const boost::system::error_code& ec, std::size_t) {
        if (ec) return open.reset();
        asio::post(pool, [this] { work(); });
      });
    }
    void work() {
      out = in;
      asio::post(io, [this] { reply(); });
    }
    void reply() {
      asio::async_write(s, asio::buffer(out), [this](const boost::system::error_code& ec, std::size_t) {
        if (ec) return open.reset();
        read();
      });
    }
  } it{io, pool, connect(io, port), guard(io.get_executor())};
  std::puts("connected");
  std::fflush(stdout);
  it.read();
  io.run();
  keep.reset();
  pool_thread.join();
  return 0;
}

/// The other end of the one-hop ping-pong.
inline int run_ping_pong_server() {
  asio::io_context io(1);
  acceptor a = listen_and_tell(io);
  struct session {
    socket s;
    message m{};
    void read() {
      asio::async_read(s, asio::buffer(m), [this](const boost::system::error_code& ec, std::size_t) {
        if (!ec) write();
      });
    }
    void write() {
      asio::async_write(s, asio::buffer(m), [this](const boost::system::error_code& ec, std::size_t) {
        if (!ec) read();
      });
    }
  } it{accept(io, a)};
  it.read();
  io.run();
  return 0;
}

/// The client's side. `hand_over`: the caller has a thread (here: the one that calls `measure`) other than that of the
/// socket.
class round_trip_client {
 public:
  round_trip_client(std::uint16_t port, bool hand_over)
      : hand_over_(hand_over), s_(connect(io_, port)), keep_(io_.get_executor()) {
    if (hand_over_) io_thread_ = std::thread([this] { io_.run(); });
  }
  round_trip_client(const round_trip_client&) = delete;
  round_trip_client& operator=(const round_trip_client&) = delete;
  ~round_trip_client() {
    asio::post(io_, [this] { s_.close(); });
    keep_.reset();
    if (io_thread_.joinable()) io_thread_.join();
  }

  /// `count` round trips one after the other; each one's time in microseconds. Empty when the connection broke.
  std::vector<double> measure(std::size_t count) {
    std::vector<double> times;
    times.reserve(count);
    times_ = &times;
    left_ = count;
    asio::io_context& mine = hand_over_ ? caller_ : io_;
    mine.restart();
    guard running(mine.get_executor());
    stop_ = &running;
    asio::post(mine, [this] { call(); });
    mine.run();
    return times;
  }

 private:
  using clock = std::chrono::steady_clock;
  void call() {
    begin_ = clock::now();
    if (hand_over_)
      asio::post(io_, [this] { send(); });
    else
      send();
  }
  void send() {
    asio::async_write(s_, asio::buffer(out_), [this](const boost::system::error_code& ec, std::size_t) {
      if (ec) return fail();
      asio::async_read(s_, asio::buffer(in_), [this](const boost::system::error_code& failed, std::size_t) {
        if (failed) return fail();
        if (hand_over_)
          asio::post(caller_, [this] { answered(); });
        else
          answered();
      });
    });
  }
  void answered() {
    times_->push_back(std::chrono::duration<double, std::micro>(clock::now() - begin_).count());
    if (--left_ > 0) return call();
    finish();
  }
  void fail() {
    asio::post(hand_over_ ? caller_ : io_, [this] {
      times_->clear();
      finish();
    });
  }
  void finish() {
    if (hand_over_)
      stop_->reset();
    else
      io_.stop();
  }

  bool hand_over_;
  asio::io_context io_{1}, caller_{1};
  socket s_;
  guard keep_;
  std::thread io_thread_;
  message in_{}, out_{};
  std::vector<double>* times_ = nullptr;
  guard* stop_ = nullptr;
  std::size_t left_ = 0;
  clock::time_point begin_;
};

}  // namespace bench::raw
