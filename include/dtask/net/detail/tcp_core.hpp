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
