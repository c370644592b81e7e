// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace net::detail {

DTASK_INLINE error listener_core::open(const tcp::endpoint& at) {
  boost::system::error_code ec;
  assign(acceptor_, at.protocol(), new_socket(at.protocol(), ec), ec);
  if (!ec) acceptor_.set_option(boost::asio::socket_base::reuse_address(true), ec);
  // A connection that is gone before it is accepted must not hold up the thread.
  if (!ec) acceptor_.native_non_blocking(true, ec);
  if (!ec) acceptor_.bind(at, ec);
  if (!ec) acceptor_.listen(boost::asio::socket_base::max_listen_connections, ec);
  if (!ec) address_ = acceptor_.local_endpoint(ec);
  if (!ec) return {};
  const char* remedy = "check the address";
  if (ec == boost::asio::error::address_in_use) remedy = "choose another port, or end the program that has this one";
  if (out_of_resources(ec)) remedy = more_descriptors;
  return error(errc::io_error, "cannot listen on " + to_string(at) + ": " + ec.message(), {}, remedy);
}
DTASK_INLINE void listener_core::close() {
  closed_ = true;
  take_ = nullptr;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  hello_.cancel();
  for (const stranger& s : std::exchange(strangers_, {})) s.core->detach();
}
DTASK_INLINE void listener_core::accept() {
  if (closed_) return;
  // Waited for here and accepted by hand: Asio's accept leaves the socket open in what is started meanwhile.
  acceptor_.async_wait(boost::asio::socket_base::wait_read,
                       turn(shared_from_this(), [](void* self, const boost::system::error_code& ec) {
                         static_cast<listener_core*>(self)->on_ready(ec);
                       }));
}
DTASK_INLINE void listener_core::on_ready(const boost::system::error_code& waited) {
  if (closed_) return;
  boost::system::error_code ec = waited;
  for (int n = 0; !ec && n < per_turn; ++n) {
    tcp::endpoint from;
    tcp_socket next(acceptor_.get_executor());
    assign(next, address_.protocol(), next_connection(acceptor_.native_handle(), from, ec), ec);
    if (ec) break;
    failing_ = false;
    admit(std::move(next), from);
    if (closed_) return;
  }
  if (!ec || ec == boost::asio::error::would_block || ec == boost::asio::error::try_again ||
      ec == boost::asio::error::connection_aborted || ec == boost::asio::error::interrupted)
    return accept();
  on_failure(ec);
}
DTASK_INLINE void listener_core::on_failure(const boost::system::error_code& ec) {
  // The connection that cannot be accepted stays in the queue: accepting at once would spin. Where descriptors or
  // memory are short, a stranger that may be idle gives its place.
  const bool short_of = out_of_resources(ec);
  if (!std::exchange(failing_, true))
    log(log_level::error, "accept_failed",
        to_string(address_) + ": " + ec.message() + "; trying again every 100 ms" +
            (short_of ? std::string(": ") + more_descriptors : std::string()));
  if (short_of && !strangers_.empty()) turn_away_oldest("out of descriptors");
  pause_.expires_after(std::chrono::milliseconds(100));
  wait(pause_, turn(shared_from_this(), [](void* self, const boost::system::error_code& stopped) {
         if (!stopped) static_cast<listener_core*>(self)->accept();
       }));
}
DTASK_INLINE void listener_core::admit(tcp_socket socket, const tcp::endpoint& from) {
  if (strangers_.size() >= options_.max_strangers) turn_away_oldest("too many connections without a hello");
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.hello_within);
  const auto core = std::shared_ptr<tcp_core>(
      new tcp_core(std::move(socket), wire::side::listening, options_.links, to_string(from)));
  const place at = strangers_.insert(strangers_.end(), stranger{core, until});
  core->await_greeting([weak = weak_from_this(), at](const error& why) {
    if (const auto self = weak.lock(); self && !self->closed_) self->greeted(at, why);
  });
  watch();
}
DTASK_INLINE void listener_core::greeted(place at, const error& why) {
  const auto core = std::move(at->core);
  strangers_.erase(at);
  if (why) {
    log(log_level::warning, "stranger_refused", core->peer() + ": " + why.what());
    return;
  }
  take_(std::make_unique<owned_link>(core));
}
DTASK_INLINE void listener_core::turn_away_oldest(std::string_view why) {
  const auto core = std::move(strangers_.front().core);
  strangers_.pop_front();
  core->detach();
  log(log_level::warning, "stranger_refused", core->peer() + ": " + std::string(why));
}
DTASK_INLINE void listener_core::watch() {
  if (watching_ || strangers_.empty()) return;
  watching_ = true;
  hello_.expires_at(strangers_.front().until);
  wait(hello_, turn(shared_from_this(), [](void* self, const boost::system::error_code& ec) {
         static_cast<listener_core*>(self)->on_hello_due(!ec);
       }));
}
DTASK_INLINE void listener_core::on_hello_due(bool expired) {
  watching_ = false;
  if (!expired || closed_) return;
  const auto now = std::chrono::steady_clock::now();
  while (!strangers_.empty() && strangers_.front().until <= now) turn_away_oldest("no hello in time");
  watch();
}

}  // namespace net::detail
namespace net {

DTASK_INLINE result<std::unique_ptr<listener>> listener::open(executor ex, const host_port& at,
                                                              const listener_options& options, accepted take) {
  auto where = resolve(ex, at);
  if (!where) return where.error();
  if (!options.beyond_loopback && !where->address().is_loopback())
    return error(errc::invalid_argument, "refusing to listen on " + to_string(at) + ", which other machines can reach",
                 {},
                 "there is no authentication: whoever reaches the port can run jobs; use 127.0.0.1, or allow it with "
                 "--open-to-all (beyond_loopback)");
  std::shared_ptr<detail::listener_core> core(new detail::listener_core(ex, options, std::move(take)));
  if (error bad = core->open(*where)) return bad;
  core->start();
  return std::unique_ptr<listener>(new listener(std::move(core)));
}
DTASK_INLINE result<detail::tcp::endpoint> listener::resolve(executor ex, const host_port& at) {
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(at.host, ec);
  if (!ec) return detail::tcp::endpoint(address, at.port);
  boost::asio::ip::basic_resolver<detail::tcp, executor> resolver(ex);
  const auto found = resolver.resolve(at.host, std::to_string(at.port), boost::asio::ip::resolver_base::passive, ec);
  if (ec) ec = detail::why_not_resolved(ec);
  if (detail::out_of_resources(ec))
    return error(errc::io_error, "cannot listen on " + to_string(at) + ": " + ec.message(), {},
                 detail::more_descriptors);
  if (ec || found.empty())
    return error(errc::invalid_argument,
                 "cannot listen on " + to_string(at) + ": " + (ec ? ec.message() : "no address"), {},
                 "check the host name, or give an address");
  return found.begin()->endpoint();
}

}  // namespace net
DTASK_END
