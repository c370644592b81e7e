// SPDX-License-Identifier: BSL-1.0
#include "dtask/net/connector.hpp"

#include <doctest/doctest.h>

#include <optional>

#include "net/harness.hpp"

using namespace test;

namespace {
using answer = std::optional<dtask::result<std::unique_ptr<net::link>>>;
auto into(answer& a) {
  return [&a](dtask::result<std::unique_ptr<net::link>> r) { a.emplace(std::move(r)); };
}
/// A port on which nobody listens, kept from others by being bound.
struct dead_port {
  explicit dead_port(asio::io_context& io) : holder(io) {
    holder.open(asio::ip::tcp::v4());
    holder.bind({asio::ip::make_address("127.0.0.1"), 0});
  }
  std::uint16_t port() const { return holder.local_endpoint().port(); }
  asio::ip::tcp::socket holder;
};
}  // namespace

TEST_CASE("connecting to nobody says which addresses were tried and what they answered") {
  asio::io_context io(1);
  const dead_port dead(io);
  answer got;
  net::connector c(io.get_executor(), {"127.0.0.1", dead.port()}, {}, into(got));
  REQUIRE(run_until(io, [&] { return got.has_value(); }));
  REQUIRE_FALSE(got->has_value());
  CHECK(got->error().code() == errc::unreachable);
  const std::string at = "127.0.0.1:" + std::to_string(dead.port());
  CHECK(got->error().cause() == "cannot connect to tcp://" + at + ": " + at + ": Connection refused");
  CHECK(!got->error().remedy().empty());
}

TEST_CASE("a name that cannot be resolved is an answer too") {
  asio::io_context io(1);
  answer got;
  net::connector c(io.get_executor(), {"no such host", 1}, {}, into(got));
  REQUIRE(run_until(io, [&] { return got.has_value(); }));
  REQUIRE_FALSE(got->has_value());
  CHECK(got->error().cause().find("cannot be resolved") != std::string::npos);
}

TEST_CASE("a connector that is destroyed calls nobody") {
  asio::io_context io(1);
  const dead_port dead(io);
  answer got;
  {
    net::connector c(io.get_executor(), {"127.0.0.1", dead.port()}, {}, into(got));
  }
  io.run();
  CHECK_FALSE(got.has_value());
}

TEST_CASE("a connector may be destroyed by its own answer") {
  asio::io_context io(1);
  const dead_port dead(io);
  std::unique_ptr<net::connector> c;
  bool called = false;
  c = std::make_unique<net::connector>(io.get_executor(), net::host_port{"127.0.0.1", dead.port()},
                                       net::connector_options{}, [&](dtask::result<std::unique_ptr<net::link>>) {
                                         c.reset();
                                         called = true;
                                       });
  REQUIRE(run_until(io, [&] { return called; }));
}

TEST_CASE("a name with several addresses reaches the one that listens") {
  world w;
  w.listen();
  answer got;
  net::connector c(w.io.get_executor(), {"localhost", w.listener->port()}, {}, into(got));
  REQUIRE(run_until(w.io, [&] { return got.has_value(); }));
  REQUIRE_MESSAGE(got->has_value(), got->error().what());
  CHECK((*got).value()->peer() == "127.0.0.1:" + std::to_string(w.listener->port()));
}

TEST_CASE("an address that never answers costs its time and no more") {
  // A full backlog: the kernel drops what comes beyond it, so a connect hangs.
  asio::io_context io(1);
  asio::ip::tcp::acceptor full(io, {asio::ip::make_address("127.0.0.1"), 0}, false);
  full.listen(1);
  std::vector<asio::ip::tcp::socket> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.emplace_back(io).async_connect(full.local_endpoint(), [](const boost::system::error_code&) {});
    io.restart();
    io.poll();
  }
  net::connector_options options;
  options.attempt_within = std::chrono::milliseconds(50);
  answer got;
  net::connector c(io.get_executor(), {"127.0.0.1", full.local_endpoint().port()}, options, into(got));
  REQUIRE(run_until(io, [&] { return got.has_value(); }));
  REQUIRE_FALSE(got->has_value());
  CHECK(got->error().cause().find("no answer in time") != std::string::npos);
}
