// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/result.hpp"
#include "dtask/net/detail/tcp_core.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/net/url.hpp"

DTASK_BEGIN
namespace net {

/// What a listener is told at its start.
struct listener_options {
  bool beyond_loopback = false;  ///< may listen on addresses that other machines reach. There is no authentication:
                                 ///< whoever reaches the port can run jobs
  std::uint32_t max_strangers = 256;  ///< connections without a hello at once; one more ends the oldest
  duration hello_within =
      std::chrono::seconds(5);  ///< a connection that has not sent a whole hello after this time is ended
  link_options links;
};

namespace detail {

class listener_core : public std::enable_shared_from_this<listener_core> {
 public:
  using accepted = std::function<void(std::unique_ptr<link>)>;

  listener_core(executor ex, const listener_options& options, accepted take)
      : options_(options), acceptor_(ex), pause_(ex), hello_(ex), take_(std::move(take)) {}

  error open(const tcp::endpoint& at);
  void start() { accept(); }
  void close();
  const tcp::endpoint& address() const noexcept { return address_; }
  std::size_t strangers() const noexcept { return strangers_.size(); }

 private:
  struct stranger {
    std::shared_ptr<tcp_core> core;
    std::chrono::steady_clock::time_point until;
  };
  using place = std::list<stranger>::iterator;
  static constexpr int per_turn = 32;  // accepted before other links have their turn

  void accept();
  void on_ready(const boost::system::error_code& ec);
  void on_failure(const boost::system::error_code& ec);
  void admit(tcp_socket socket, const tcp::endpoint& from);
  void greeted(place at, const error& why);
  void turn_away_oldest(std::string_view why);
  /// One timer for all of them: they are in the order of their arrival.
  void watch();
  void on_hello_due(bool expired);

  const listener_options options_;
  boost::asio::basic_socket_acceptor<tcp, executor> acceptor_;
  timer pause_;
  timer hello_;
  accepted take_;
  tcp::endpoint address_;
  std::list<stranger> strangers_;
  bool closed_ = false;
  bool watching_ = false;
  bool failing_ = false;
};

}  // namespace detail

/// Accepts TCP connections and hands over those whose first message has arrived. Peers that are not dtask, speak
/// another version, or say nothing in time are ended here with one line in the log each (`stranger_refused`).
///
/// Thread safety: used on the thread that runs its io_context, which must outlive it. Destroying it stops accepting;
/// links that it handed over stay.
class listener {
 public:
  /// Gets each link whose peer has said hello; call its `start` to receive that hello first. Its limits are a
  /// stranger's until `set_limits`.
  using accepted = std::function<void(std::unique_ptr<link>)>;

  /// Listens on `at`, port 0 meaning any free port. A host name is resolved here, which may block. Errors:
  /// `invalid_argument` for an address beyond loopback without `beyond_loopback`, `io_error` for one that cannot be
  /// listened on.
  static result<std::unique_ptr<listener>> open(executor ex, const host_port& at, const listener_options& options,
                                                accepted take);
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;
  ~listener() { core_->close(); }

  /// Where it listens, with the port that it got.
  host_port address() const { return {core_->address().address().to_string(), core_->address().port()}; }
  std::uint16_t port() const noexcept { return core_->address().port(); }
  /// Connections without a hello.
  std::size_t strangers() const noexcept { return core_->strangers(); }

 private:
  explicit listener(std::shared_ptr<detail::listener_core> core) : core_(std::move(core)) {}

  static result<detail::tcp::endpoint> resolve(executor ex, const host_port& at);

  std::shared_ptr<detail::listener_core> core_;
};

}  // namespace net
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/net/impl/listener.ipp"
#endif
