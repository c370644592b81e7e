// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

DTASK_BEGIN
namespace net::detail {

DTASK_INLINE std::string to_string(const tcp::endpoint& at) {
  return net::to_string(host_port{at.address().to_string(), at.port()});
}
DTASK_INLINE int new_socket(const tcp& protocol, boost::system::error_code& ec) noexcept {
  const int fd = ::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC, protocol.protocol());
  ec = fd >= 0 ? boost::system::error_code() : boost::system::error_code(errno, boost::system::system_category());
  return fd;
}
DTASK_INLINE int next_connection(int listening, tcp::endpoint& from, boost::system::error_code& ec) noexcept {
  tcp::endpoint peer;
  auto size = static_cast<socklen_t>(peer.capacity());
  const int fd = ::accept4(listening, peer.data(), &size, SOCK_CLOEXEC);
  ec = fd >= 0 ? boost::system::error_code() : boost::system::error_code(errno, boost::system::system_category());
  if (fd < 0) return fd;
  peer.resize(size);
  from = peer;
  return fd;
}
DTASK_INLINE void close_descriptor(int descriptor) noexcept { ::close(descriptor); }
DTASK_INLINE bool out_of_resources(const boost::system::error_code& ec) noexcept {
  if (ec.category() != boost::system::system_category()) return false;
  return ec.value() == EMFILE || ec.value() == ENFILE || ec.value() == ENOBUFS || ec.value() == ENOMEM ||
         ec.value() == ENOSPC;
}
DTASK_INLINE boost::system::error_code why_not_resolved(const boost::system::error_code& said) noexcept {
  boost::system::error_code ec;
  const int one_more = new_socket(tcp::v4(), ec);
  if (one_more >= 0) close_descriptor(one_more);
  return out_of_resources(ec) ? ec : said;
}
DTASK_INLINE tcp_core::tcp_core(tcp_socket socket, wire::side at, const link_options& options, std::string peer)
    : link_core(socket.get_executor(), at, options, std::move(peer)),
      socket_(std::move(socket)),
      grace_(socket_.get_executor()) {
  boost::system::error_code ignored;  // a socket whose peer has gone already reports that at its first read
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
}
DTASK_INLINE std::size_t tcp_core::gather() {
  std::array<wire::outbox::slice, most_buffers> slices;
  const std::size_t used = outbox_->gather(slices, per_call);
  for (std::size_t i = 0; i < used; ++i) buffers_[i] = boost::asio::const_buffer(slices[i].data(), slices[i].size());
  return used;
}
DTASK_INLINE buffer_range<boost::asio::const_buffer> tcp_core::first(std::size_t used) const noexcept {
  return {buffers_.data(), buffers_.data() + used};
}
DTASK_INLINE void tcp_core::write() {
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
DTASK_INLINE void tcp_core::wait_and_write(std::size_t used) {
  writing_ = true;
  socket_.async_write_some(first(used), [this, keep = self()](const boost::system::error_code& ec, std::size_t n) {
    writing_ = false;
    if (ended()) return;
    if (ec) return fail_write(ec);
    wrote(n);
    pump();
  });
}
DTASK_INLINE void tcp_core::fail_write(const boost::system::error_code& ec) {
  writing_ = true;  // nothing more is written
  if (std::exchange(write_failed_, true)) return;
  failure_ = error(errc::closed, "writing failed: " + ec.message(), peer());
  // Bounded: a reader that hears nothing within the grace time ends the link too.
  limit_end();
}
DTASK_INLINE void tcp_core::receive() {
  if (ended() || reading_) return;
  reading_ = true;
  const auto space = decoder_.space();
  read_into_ = {boost::asio::buffer(space[0].data(), std::min(space[0].size(), per_call)),
                boost::asio::buffer(space[1].data(), space[0].size() > per_call ? 0 : space[1].size())};
  socket_.async_read_some(
      buffer_range<boost::asio::mutable_buffer>{read_into_.data(),
                                                read_into_.data() + (read_into_[1].size() == 0 ? 1 : 2)},
      [this, keep = self()](const boost::system::error_code& ec, std::size_t n) {
        reading_ = false;
        if (ended()) return;
        if (ec) return end_read(ec);
        if (!discarding()) took_in(n);
        if (deliver()) receive();
      });
}
DTASK_INLINE void tcp_core::end_read(const boost::system::error_code& ec) {
  if (ec == boost::asio::error::eof) return broke(end_of_stream());
  broke(error(errc::closed, "the connection broke: " + ec.message(), peer()));
}
DTASK_INLINE void tcp_core::finish_sending() {
  boost::system::error_code ignored;
  socket_.shutdown(boost::asio::socket_base::shutdown_send, ignored);
}
DTASK_INLINE void tcp_core::limit_end() {
  grace_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.close_grace));
  wait(grace_, turn(self(), [](void* core, const boost::system::error_code& ec) {
         if (!ec) static_cast<tcp_core*>(core)->grace_over();
       }));
}
DTASK_INLINE void tcp_core::grace_over() {
  if (ended()) return;
  broke(write_failed_ ? failure_ : error(errc::closed, "the peer did not end the connection in time", peer()));
}
DTASK_INLINE void tcp_core::shut() noexcept {
  boost::system::error_code ignored;
  socket_.close(ignored);
  try {
    grace_.cancel();
  } catch (const boost::system::system_error&) {
    // It fires in vain.
  }
}

}  // namespace net::detail
DTASK_END
