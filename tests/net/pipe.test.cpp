// SPDX-License-Identifier: BSL-1.0
#include "dtask/net/pipe.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>

#include "net/harness.hpp"

using namespace test;

namespace {

void greet(asio::io_context& io, end& client, end& server) {
  client.link->send(wire::hello{});
  REQUIRE(run_until(io, [&] { return !server.got.empty(); }));
  server.link->set_limits({});
  server.link->send(wire::welcome{});
  REQUIRE(run_until(io, [&] { return !client.got.empty(); }));
  client.got.clear();
  server.got.clear();
}

}  // namespace

TEST_CASE("a pipe carries messages and large blocks through the real encoding") {
  asio::io_context io(1);
  auto ends = net::make_pipe(io.get_executor(), io.get_executor());
  end client, server;
  client.take(std::move(ends.connecting));
  server.take(std::move(ends.listening));
  greet(io, client, server);
  CHECK(client.link->peer() == "pipe");
  const bytes block = bytes::copy(std::string(1u << 20, 'q'));
  for (std::uint64_t i = 0; i < 40; ++i) client.link->send(chunk_at(i << 20, block));
  for (std::uint64_t i = 0; i < 1000; ++i) server.link->send(wire::ping{i});
  REQUIRE(run_until(io, [&] { return server.got.size() == 40 && client.got.size() == 1000; }));
  for (std::uint64_t i = 0; i < 40; ++i) {
    const auto& c = *server.got[i].get_if<wire::chunk>();
    CHECK(c.offset == i << 20);
    CHECK(c.data == block);
    CHECK(c.data.data() != block.data());
  }
  CHECK(client.drains > 0);
  CHECK(run_until(io, [&] { return client.link->unsent() == 0; }));
}

TEST_CASE("what is sent before the other end starts arrives") {
  asio::io_context io(1);
  auto ends = net::make_pipe(io.get_executor(), io.get_executor());
  end client, server;
  client.take(std::move(ends.connecting));
  client.link->send(wire::hello{});
  client.link->close();
  io.run_for(std::chrono::milliseconds(1));
  server.take(std::move(ends.listening));
  REQUIRE(run_until(io, [&] { return server.why && client.why; }));
  CHECK(server.got.size() == 1);
}

TEST_CASE("each way of ending a pipe reaches both ends once") {
  for (const int way : {0, 1, 2}) {
    CAPTURE(way);
    asio::io_context io(1);
    auto ends = net::make_pipe(io.get_executor(), io.get_executor());
    end client, server;
    client.take(std::move(ends.connecting));
    server.take(std::move(ends.listening));
    greet(io, client, server);
    client.link->send(wire::goodbye{"x"});
    if (way == 0) client.link->close();
    if (way == 1) client.link->abort(error(errc::cancelled, "enough"));
    if (way == 2) client.link.reset();
    REQUIRE(run_until(io, [&] { return server.why && (way == 2 || client.why); }));
    CHECK(server.why->code() == errc::closed);
    if (way == 0) {
      CHECK(server.got.size() == 1);
      CHECK(client.why->cause() == "closed by this side");
    }
    if (way == 1) CHECK(client.why->code() == errc::cancelled);
  }
}

TEST_CASE("an end whose peer never takes anything can still be closed") {
  asio::io_context io(1);
  net::link_options options;
  options.close_grace = std::chrono::milliseconds(20);
  auto ends = net::make_pipe(io.get_executor(), io.get_executor(), options);
  end client;
  client.take(std::move(ends.connecting));
  client.link->send(wire::hello{});
  client.link->close();
  REQUIRE(run_until(io, [&] { return client.why.has_value(); }));
  CHECK(client.why->cause() == "closed by this side");
}

TEST_CASE("the ends of a pipe live on threads of their own") {
  asio::io_context client_io(1), server_io(1);
  auto ends = net::make_pipe(client_io.get_executor(), server_io.get_executor());
  std::thread server_thread([&server_io, link = std::move(ends.listening)]() mutable {
    end server;
    server.on_message = [&](const wire::message& m) {
      if (m.get_if<wire::hello>() != nullptr) {
        server.link->set_limits({});
        server.link->send(wire::welcome{});
      } else if (const auto* c = m.get_if<wire::chunk>()) {
        server.link->send(*c);
      }
      server.got.clear();
    };
    server.take(std::move(link));
    CHECK(run_until(server_io, [&] { return server.why.has_value(); }));
  });
  end client;
  std::uint64_t sent = 0, back = 0;
  const bytes block = bytes::copy(std::string(300000, 'z'));
  const auto send_some = [&] {
    for (int i = 0; i < 10 && sent < 100; ++i) client.link->send(chunk_at(sent++, block));
  };
  client.on_message = [&](const wire::message& m) {
    if (const auto* c = m.get_if<wire::chunk>()) {
      CHECK(c->offset == back);
      CHECK(c->data == block);
      if (++back % 10 == 0) send_some();
    } else {
      send_some();
    }
    client.got.clear();
  };
  client.take(std::move(ends.connecting));
  client.link->send(wire::hello{});
  CHECK(run_until(client_io, [&] { return back == 100; }));
  client.link.reset();
  server_thread.join();
}
