// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <doctest/doctest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/net.hpp"
#include "dtask/wire.hpp"

namespace test {

namespace asio = boost::asio;
namespace net = dtask::net;
namespace wire = dtask::wire;
using dtask::bytes;
using dtask::errc;
using dtask::error;

/// Runs the context until `done()`, at most 20 s. Whether it came to that.
template <class Done>
bool run_until(asio::io_context& io, Done done) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto guard = asio::make_work_guard(io);
  while (!done()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    io.restart();
    io.run_one_until(std::min(until, std::chrono::steady_clock::now() + std::chrono::milliseconds(100)));
  }
  return true;
}

/// One end of a link that writes down what it is told.
struct end : wire::link_events {
  std::unique_ptr<net::link> link;
  std::vector<wire::message> got;
  std::size_t batches = 0, drains = 0;
  std::optional<error> why;
  std::function<void(const wire::message&)> on_message;
  std::function<void()> on_drained;

  void take(std::unique_ptr<net::link> l) {
    link = std::move(l);
    link->start(*this);
  }
  void received(wire::message m) override {
    got.push_back(std::move(m));
    if (on_message) on_message(got.back());
  }
  void batch_end() override { ++batches; }
  void drained() override {
    ++drains;
    if (on_drained) on_drained();
  }
  void closed(const error& e) override {
    CHECK_FALSE(why.has_value());
    why = e;
  }
};

/// A listener and links over it, on one thread.
struct world {
  asio::io_context io{1};
  std::vector<std::unique_ptr<net::link>> accepted;
  std::unique_ptr<net::listener> listener;
  std::unique_ptr<net::connector> connector;

  void listen(const net::listener_options& options = {}, const std::string& host = "127.0.0.1") {
    auto opened = net::listener::open(io.get_executor(), {host, 0}, options,
                                      [this](std::unique_ptr<net::link> l) { accepted.push_back(std::move(l)); });
    REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().what()));
    listener = std::move(opened).value();
  }
  void connect(end& to, const net::connector_options& options = {}) {
    std::optional<dtask::result<std::unique_ptr<net::link>>> answer;
    connector = std::make_unique<net::connector>(
        io.get_executor(), listener->address(), options,
        [&](dtask::result<std::unique_ptr<net::link>> r) { answer.emplace(std::move(r)); });
    REQUIRE(run_until(io, [&] { return answer.has_value(); }));
    REQUIRE_MESSAGE(answer->has_value(), (*answer ? "" : answer->error().what()));
    to.take(std::move(*answer).value());
  }
  /// Both ends past hello and welcome.
  void join(end& client, end& server) {
    connect(client);
    client.link->send(wire::hello{});
    REQUIRE(run_until(io, [&] { return !accepted.empty(); }));
    server.take(std::move(accepted.back()));
    accepted.pop_back();
    REQUIRE(run_until(io, [&] { return !server.got.empty(); }));
    server.link->set_limits({});
    server.link->send(wire::welcome{});
    REQUIRE(run_until(io, [&] { return !client.got.empty(); }));
    REQUIRE(server.got[0].get_if<wire::hello>() != nullptr);
    REQUIRE(client.got[0].get_if<wire::welcome>() != nullptr);
    server.got.clear();
    client.got.clear();
  }
  /// A plain socket connected to the listener, for peers that misbehave.
  asio::ip::tcp::socket raw() {
    asio::ip::tcp::socket s(io);
    s.connect({asio::ip::make_address(listener->address().host), listener->port()});
    return s;
  }
};

inline std::vector<std::byte> encode(wire::message m) {
  wire::outbox out;
  REQUIRE_FALSE(out.push(std::move(m), {}));
  return out.take_all();
}
inline void write(asio::ip::tcp::socket& s, const std::vector<std::byte>& raw) {
  asio::write(s, asio::buffer(raw.data(), raw.size()));
}
inline void write(asio::ip::tcp::socket& s, std::string_view raw) {
  asio::write(s, asio::buffer(raw.data(), raw.size()));
}

/// Log lines of this program, instead of stderr, as long as it lives.
class captured_log {
 public:
  captured_log() { dtask::set_log_sink(&keep, this); }
  ~captured_log() { dtask::set_log_sink(nullptr); }
  std::size_t count(std::string_view part) const {
    const std::lock_guard hold(guard_);
    std::size_t n = 0;
    for (const std::string& line : lines_) n += line.find(part) != std::string::npos;
    return n;
  }

 private:
  static void keep(dtask::log_level, std::string_view line, void* user) noexcept {
    auto& self = *static_cast<captured_log*>(user);
    const std::lock_guard hold(self.guard_);
    self.lines_.emplace_back(line);
  }
  mutable std::mutex guard_;
  std::vector<std::string> lines_;
};

/// An announced payload of `size` bytes as chunks of a frame each.
inline wire::chunk chunk_at(std::uint64_t offset, const bytes& block) {
  wire::chunk c;
  c.transfer = 1;
  c.offset = offset;
  c.data = block;
  return c;
}

}  // namespace test
