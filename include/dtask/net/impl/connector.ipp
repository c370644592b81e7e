// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace net::detail {

DTASK_INLINE connector_core::connector_core(executor ex, host_port to, const connector_options& options, connected take)
    : to_(std::move(to)),
      options_(options),
      resolver_(ex),
      socket_(ex),
      attempt_(ex),
      total_(ex),
      take_(std::move(take)) {}
DTASK_INLINE void connector_core::start() {
  total_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.total_within));
  wait(total_, turn(shared_from_this(), [](void* self, const boost::system::error_code& failed) {
         if (!failed) static_cast<connector_core*>(self)->give_up("no answer in time");
       }));
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(to_.host, ec);
  if (!ec) {
    addresses_.emplace_back(address, to_.port);
    net::post(socket_.get_executor(), turn(shared_from_this(), [](void* self, const boost::system::error_code&) {
                static_cast<connector_core*>(self)->try_next();
              }));
    return;
  }
  try {
    resolver_.async_resolve(
        to_.host, std::to_string(to_.port),
        [self = shared_from_this()](const boost::system::error_code& failed, const tcp::resolver::results_type& found) {
          if (!self->take_) return;
          if (failed) {
            const boost::system::error_code why = why_not_resolved(failed);
            self->out_of_resources_ = out_of_resources(why);
            return self->give_up("the host name cannot be resolved: " + why.message());
          }
          for (const auto& entry : found)
            if (self->addresses_.size() < self->options_.addresses) self->addresses_.push_back(entry.endpoint());
          self->try_next();
        });
  } catch (const boost::system::system_error& e) {
    // Asio starts a thread for it.
    out_of_resources_ = true;
    net::post(socket_.get_executor(), [self = shared_from_this(), why = e.code().message()] {
      if (self->take_) self->give_up("the host name cannot be resolved, for want of a thread: " + why);
    });
  }
}
DTASK_INLINE void connector_core::cancel() {
  take_ = nullptr;
  finish();
}
DTASK_INLINE void connector_core::try_next() {
  if (!take_) return;
  if (next_ == addresses_.size()) return give_up({});
  const tcp::endpoint at = addresses_[next_++];
  timed_out_ = false;
  boost::system::error_code bad;
  assign(socket_, at.protocol(), new_socket(at.protocol(), bad), bad);
  if (bad) return failed(at, bad);
  attempt_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.attempt_within));
  wait(attempt_, [self = shared_from_this(), attempt = next_](const boost::system::error_code& ec) {
    if (ec || attempt != self->next_ || !self->take_) return;
    self->timed_out_ = true;
    boost::system::error_code ignored;
    self->socket_.close(ignored);
  });
  socket_.async_connect(at, [self = shared_from_this(), at](const boost::system::error_code& ec) {
    if (!self->take_) return;
    boost::system::error_code ignored;
    self->attempt_.cancel();
    // On loopback a connect to a port that nobody listens on can meet itself; such a connection would speak with its
    // own echo.
    if (!ec && self->socket_.local_endpoint(ignored) == at) return self->failed(at, "nobody listens there");
    if (self->timed_out_) return self->failed(at, "no answer in time");
    if (ec) return self->failed(at, ec);
    self->succeed(at);
  });
}
DTASK_INLINE void connector_core::failed(const tcp::endpoint& at, const boost::system::error_code& why) {
  out_of_resources_ = out_of_resources_ || out_of_resources(why);
  failed(at, why.message());
}
DTASK_INLINE void connector_core::failed(const tcp::endpoint& at, const std::string& why) {
  if (!tried_.empty()) tried_ += "; ";
  tried_ += to_string(at) + ": " + why;
  boost::system::error_code ignored;
  socket_.close(ignored);
  try_next();
}
DTASK_INLINE void connector_core::succeed(const tcp::endpoint& at) {
  std::shared_ptr<tcp_core> core(
      new tcp_core(std::move(socket_), wire::side::connecting, options_.links, to_string(at)));
  const auto take = std::exchange(take_, nullptr);
  finish();
  take(std::unique_ptr<link>(std::make_unique<owned_link>(std::move(core))));
}
DTASK_INLINE void connector_core::give_up(const std::string& why) {
  const auto take = std::exchange(take_, nullptr);
  finish();
  if (!take) return;
  std::string cause = "cannot connect to tcp://" + net::to_string(to_);
  if (!tried_.empty()) cause += ": " + tried_;
  if (!why.empty()) cause += (tried_.empty() ? ": " : "; ") + why;
  take(error(errc::unreachable, std::move(cause), {},
             out_of_resources_ ? "raise the limits of this user (ulimit -a), or end other programs"
                               : "start a coordinator there, or check host and port"));
}
DTASK_INLINE void connector_core::finish() {
  boost::system::error_code ignored;
  resolver_.cancel();
  attempt_.cancel();
  total_.cancel();
  socket_.close(ignored);
}

}  // namespace net::detail
DTASK_END
