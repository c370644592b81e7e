// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/net/detail/link_core.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/net/url.hpp"

DTASK_BEGIN
namespace net::detail {

using tcp = boost::asio::ip::tcp;
using tcp_socket = boost::asio::basic_stream_socket<tcp, executor>;

std::string to_string(const tcp::endpoint& at);

/// A new TCP socket, closed on exec from its birth: Asio's are not, and a process that a job starts meanwhile would
/// keep the connection open when this one has died. -1 and `ec` where there is none.
int new_socket(const tcp& protocol, boost::system::error_code& ec) noexcept;
/// The next connection of a listening socket, in the same way. `from`: its peer.
int next_connection(int listening, tcp::endpoint& from, boost::system::error_code& ec) noexcept;
void close_descriptor(int descriptor) noexcept;
/// Gives `to` a descriptor of its own; where it cannot be taken it is closed.
template <class Socket>
void assign(Socket& to, const tcp& protocol, int descriptor, boost::system::error_code& ec) {
  if (ec) return;
  to.assign(protocol, descriptor, ec);
  if (ec) close_descriptor(descriptor);
}
/// Whether the system has no descriptor or memory left for one more.
bool out_of_resources(const boost::system::error_code& ec) noexcept;
/// Why a name could not be resolved: without a descriptor the resolver says that there is no such host.
boost::system::error_code why_not_resolved(const boost::system::error_code& said) noexcept;
inline constexpr const char* more_descriptors = "raise the limit of open files (ulimit -n), or end other programs";

/// A sequence of buffers that lies elsewhere, as Asio takes it.
template <class Buffer>
struct buffer_range {
  using value_type = Buffer;
  using const_iterator = const Buffer*;
  const_iterator first = nullptr;
  const_iterator last = nullptr;
  const_iterator begin() const noexcept { return first; }
  const_iterator end() const noexcept { return last; }
};

/// A link over a connected TCP socket.
class tcp_core final : public link_core {
 public:
  /// `socket` is connected; options such as TCP_NODELAY are set here, since an `async_connect` over several addresses
  /// reopens the socket and loses them.
  tcp_core(tcp_socket socket, wire::side at, const link_options& options, std::string peer);

 private:
  // One call moves at most this much: enough that the call itself costs nothing, little enough that one link does not
  // starve the others of its thread.
  static constexpr std::size_t per_call = std::size_t{4} << 20;
  static constexpr std::size_t per_turn = std::size_t{16} << 20;
  static constexpr std::size_t most_buffers = 64;  // what Asio takes in one call

  std::shared_ptr<tcp_core> self() { return std::static_pointer_cast<tcp_core>(shared_from_this()); }

  std::size_t gather();
  buffer_range<boost::asio::const_buffer> first(std::size_t used) const noexcept;

  void write() override;
  void wait_and_write(std::size_t used);
  void fail_write(const boost::system::error_code& ec);

  void receive() override;
  void end_read(const boost::system::error_code& ec);

  void finish_sending() override;
  void limit_end() override;
  void grace_over();
  void shut() noexcept override;

  tcp_socket socket_;
  timer grace_;
  std::array<boost::asio::const_buffer, most_buffers> buffers_;
  std::array<boost::asio::mutable_buffer, 2> read_into_;
  error failure_;
  bool writing_ = false;
  bool reading_ = false;
  bool write_failed_ = false;
};

}  // namespace net::detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/net/impl/tcp_core.ipp"
#endif
