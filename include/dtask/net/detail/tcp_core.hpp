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

inline std::string to_string(const tcp::endpoint& at) {
  return net::to_string(host_port{at.address().to_string(), at.port()});
}

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
  tcp_core(tcp_socket socket, wire::side at, const link_options& options, std::string peer)
      : link_core(socket.get_executor(), at, options, std::move(peer)),
        socket_(std::move(socket)),
        grace_(socket_.get_executor()) {
    boost::system::error_code ignored;  // a socket whose peer has gone already reports that at its first read
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
  }

 private:
  // One call moves at most this much: enough that the call itself costs nothing, little enough that one link does not
  // starve the others of its thread.
  static constexpr std::size_t per_call = std::size_t{4} << 20;
  static constexpr std::size_t per_turn = std::size_t{16} << 20;
  static constexpr std::size_t most_buffers = 64;  // what Asio takes in one call

  std::shared_ptr<tcp_core> self() { return std::static_pointer_cast<tcp_core>(shared_from_this()); }

  std::size_t gather() {
    std::array<wire::outbox::slice, most_buffers> slices;
    const std::size_t used = outbox_->gather(slices, per_call);
    for (std::size_t i = 0; i < used; ++i) buffers_[i] = boost::asio::const_buffer(slices[i].data(), slices[i].size());
    return used;
  }
  buffer_range<boost::asio::const_buffer> first(std::size_t used) const noexcept {
    return {buffers_.data(), buffers_.data() + used};
  }

  void write() override {
    if (writing_) return;
    std::size_t turn = 0;
    while (const std::size_t used = gather()) {
      if (turn >= per_turn) return wait_and_write(used);
      boost::system::error_code ec;
      const std::size_t n = used == 1 ? socket_.write_some(buffers_[0], ec) : socket_.write_some(first(used), ec);
      if (ec == boost::asio::error::would_block || ec == boost::asio::error::try_again) return wait_and_write(used);
      // The reader reports the end: it may still hold the peer's last words, such as why it refused.
      if (ec) return fail_write(ec);
      wrote(n);
      turn += n;
    }
  }
  void wait_and_write(std::size_t used) {
    writing_ = true;
    socket_.async_write_some(first(used), [this, keep = self()](const boost::system::error_code& ec, std::size_t n) {
      writing_ = false;
      if (ended()) return;
      if (ec) return fail_write(ec);
      wrote(n);
      pump();
    });
  }
  void fail_write(const boost::system::error_code& ec) {
    writing_ = true;  // nothing more is written
    if (std::exchange(write_failed_, true)) return;
    failure_ = error(errc::closed, "writing failed: " + ec.message(), peer());
    // Bounded: a reader that hears nothing within the grace time ends the link too.
    limit_end();
  }

  void receive() override {
    if (ended() || reading_) return;
    reading_ = true;
    const auto room = decoder_.room();
    read_into_ = {boost::asio::buffer(room[0].data(), std::min(room[0].size(), per_call)),
                  boost::asio::buffer(room[1].data(), room[0].size() > per_call ? 0 : room[1].size())};
    socket_.async_read_some(
        buffer_range<boost::asio::mutable_buffer>{read_into_.data(),
                                                  read_into_.data() + (read_into_[1].size() == 0 ? 1 : 2)},
        [this, keep = self()](const boost::system::error_code& ec, std::size_t n) {
          reading_ = false;
          if (ended()) return;
          if (ec) return end_read(ec);
          if (!discarding()) decoder_.commit(n);
          if (deliver()) receive();
        });
  }
  void end_read(const boost::system::error_code& ec) {
    if (ec == boost::asio::error::eof) return broke(end_of_stream());
    broke(error(errc::closed, "the connection broke: " + ec.message(), peer()));
  }

  void finish_sending() override {
    boost::system::error_code ignored;
    socket_.shutdown(boost::asio::socket_base::shutdown_send, ignored);
  }
  void limit_end() override {
    grace_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.close_grace));
    wait(grace_, turn(self(), [](void* core, const boost::system::error_code& ec) {
           if (!ec) static_cast<tcp_core*>(core)->grace_over();
         }));
  }
  void grace_over() {
    if (ended()) return;
    broke(write_failed_ ? failure_ : error(errc::closed, "the peer did not end the connection in time", peer()));
  }
  void shut() noexcept override {
    boost::system::error_code ignored;
    socket_.close(ignored);
    try {
      grace_.cancel();
    } catch (const boost::system::system_error&) {
      // It fires in vain.
    }
  }

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
