// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/net/detail/tcp_core.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/net/url.hpp"

DTASK_BEGIN
namespace net {

/// What a connector is told at its start.
struct connector_options {
  duration attempt_within = std::chrono::seconds(3);  ///< for one address
  duration total_within = std::chrono::seconds(10);   ///< for the name and all its addresses
  std::size_t addresses = 16;                         ///< tried at most
  link_options links;
};

namespace detail {

class connector_core : public std::enable_shared_from_this<connector_core> {
 public:
  using connected = std::function<void(result<std::unique_ptr<link>>)>;

  connector_core(executor ex, host_port to, const connector_options& options, connected take);

  void start();
  void cancel();

 private:
  void try_next();
  void failed(const tcp::endpoint& at, const boost::system::error_code& why);
  void failed(const tcp::endpoint& at, const std::string& why);
  void succeed(const tcp::endpoint& at);
  void give_up(const std::string& why);
  void finish();

  const host_port to_;
  const connector_options options_;
  boost::asio::ip::basic_resolver<tcp, executor> resolver_;
  tcp_socket socket_;
  timer attempt_;
  timer total_;
  connected take_;
  std::vector<tcp::endpoint> addresses_;
  std::size_t next_ = 0;
  std::string tried_;
  bool timed_out_ = false;
  bool out_of_resources_ = false;
};

}  // namespace detail

/// An attempt to connect over TCP: resolves the name, tries its addresses one after the other, each for a bounded time.
///
/// Thread safety: used on the thread that runs its io_context, which must outlive it. Destroying it gives the attempt
/// up, and nothing is called any more; a resolution that is under way ends in the background, and the io_context's
/// destructor waits for it.
class connector {
 public:
  /// Gets the link, whose `start` has to be called, or `unreachable` with what each address answered. Called once,
  /// never from inside the constructor.
  using connected = std::function<void(result<std::unique_ptr<link>>)>;

  connector(executor ex, host_port to, const connector_options& options, connected take)
      : core_(new detail::connector_core(ex, std::move(to), options, std::move(take))) {
    core_->start();
  }
  connector(const connector&) = delete;
  connector& operator=(const connector&) = delete;
  ~connector() { core_->cancel(); }

 private:
  std::shared_ptr<detail::connector_core> core_;
};

}  // namespace net
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/net/impl/connector.ipp"
#endif
