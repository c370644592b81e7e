// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <functional>
#include <thread>
#include <utility>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// Hears SIGINT and SIGTERM on a thread of its own: calls `told(signal, count)` for each, `count` from 1.
class end_signals {
 public:
  explicit end_signals(std::function<void(int, unsigned)> told)
      : told_(std::move(told)), signals_(context_, SIGINT, SIGTERM) {
    // A peer that is gone is an error of the write, not the end of the program.
    std::signal(SIGPIPE, SIG_IGN);
    listen();
    thread_ = std::thread([this] { context_.run(); });
  }
  end_signals(const end_signals&) = delete;
  end_signals& operator=(const end_signals&) = delete;
  ~end_signals() {
    context_.stop();
    thread_.join();
  }

 private:
  void listen() {
    signals_.async_wait([this](const boost::system::error_code& ec, int signal) {
      if (ec) return;
      told_(signal, ++count_);
      listen();
    });
  }
  std::function<void(int, unsigned)> told_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  unsigned count_ = 0;
  std::thread thread_;
};

}  // namespace detail
DTASK_END
