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
#include "dtask/cli/detail/end_wishes.hpp"

DTASK_BEGIN
namespace detail {

/// Takes SIGINT and SIGTERM, and hears them on a thread of its own. It is made before anything else has threads: Asio's
/// pipe for signals is not closed on exec from its birth.
class end_signals {
 public:
  /// Called on the thread for the first signal of each wish to end; the second argument counts the wishes, from 1.
  using told = std::function<void(int, unsigned)>;

  /// As long as it lives they are heard.
  class hearing {
   public:
    hearing(const hearing&) = delete;
    hearing& operator=(const hearing&) = delete;
    ~hearing() {
      of_.context_.stop();
      of_.thread_.join();
    }

   private:
    friend end_signals;
    explicit hearing(end_signals& of) : of_(of) {}
    end_signals& of_;
  };

  /// From here on they do not end the process. Throws std::system_error where the system has no descriptor left.
  end_signals() : signals_(context_, SIGINT, SIGTERM) {
    // A peer that is gone is an error of the write, not the end of the program.
    std::signal(SIGPIPE, SIG_IGN);
  }
  end_signals(const end_signals&) = delete;
  end_signals& operator=(const end_signals&) = delete;

  /// Tells of those that came since, and of each that comes. Call it once. Throws std::system_error where the system
  /// has no thread left.
  [[nodiscard]] hearing hear(told tell) {
    told_ = std::move(tell);
    listen();
    thread_ = std::thread([this] { context_.run(); });
    return hearing(*this);
  }

 private:
  void listen() {
    signals_.async_wait([this](const boost::system::error_code& ec, int signal) {
      if (ec) return;
      if (const unsigned wish = wishes_.heard(end_wishes::clock::now())) told_(signal, wish);
      listen();
    });
  }
  told told_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  end_wishes wishes_;
  std::thread thread_;
};

}  // namespace detail
DTASK_END
