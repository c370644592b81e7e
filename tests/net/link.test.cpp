// SPDX-License-Identifier: BSL-1.0
#include "dtask/net/link.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "net/harness.hpp"

using namespace test;

namespace {

bytes pattern(std::size_t size) {
  dtask::mutable_bytes block(size);
  for (std::size_t i = 0; i < size; ++i) block.data()[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  return std::move(block).freeze();
}

/// Sends a payload in chunks as drivers do: no further ones above the high-water mark.
struct sender {
  end& from;
  wire::pieces what;
  wire::chunk_cursor cut;
  std::size_t most_unsent = 0;
  void go() {
    while (from.link->unsent() <= wire::high_water) {
      auto c = cut.next(what, 1, {});
      if (!c) return;
      from.link->send(std::move(*c));
      most_unsent = std::max(most_unsent, from.link->unsent());
    }
  }
};

void exchange(world& w, end& client, end& server) {
  // Small messages in bursts, both ways.
  for (std::uint64_t i = 0; i < 20000; ++i) client.link->send(wire::started{i, static_cast<std::uint32_t>(i)});
  for (std::uint64_t i = 0; i < 20000; ++i) server.link->send(wire::stop{i, 7});
  REQUIRE(run_until(w.io, [&] { return server.got.size() == 20000 && client.got.size() == 20000; }));
  for (std::uint64_t i = 0; i < 20000; ++i) {
    REQUIRE(server.got[i].get_if<wire::started>()->job == i);
    REQUIRE(client.got[i].get_if<wire::stop>()->job == i);
  }
  CHECK(server.batches < 2000);
  server.got.clear();
  client.got.clear();

  // A large payload in chunks, with control messages between them.
  dtask::payload sent;
  sent.body = pattern(1000);
  sent.blobs = {pattern(64u << 20), pattern(20000)};
  sender out{client, wire::pieces_of(sent), {}};
  wire::assembler in(out.what.lengths);
  std::size_t pings = 0;
  server.on_message = [&](const wire::message& m) {
    if (const auto* c = m.get_if<wire::chunk>())
      REQUIRE_FALSE(in.accept(*c));
    else
      ++pings;
    server.got.pop_back();
  };
  client.on_drained = [&] {
    client.link->send(wire::ping{});
    out.go();
  };
  out.go();
  REQUIRE(run_until(w.io, [&] { return in.complete(); }));
  const dtask::payload got = std::move(in).take();
  CHECK(got.body == sent.body);
  CHECK((got.blobs == sent.blobs));
  CHECK(out.most_unsent <= wire::high_water + (2u << 20));
  CHECK(client.drains > 0);
  CHECK(client.link->unsent() <= wire::high_water / 2);
  server.on_message = nullptr;
  client.on_drained = nullptr;
}

}  // namespace

TEST_CASE("messages and a 64 MiB payload over IPv4") {
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  CHECK(server.link->peer().starts_with("127.0.0.1:"));
  exchange(w, client, server);
}

TEST_CASE("messages and a 64 MiB payload over IPv6") {
  world w;
  const auto opened = net::listener::open(w.io.get_executor(), {"::1", 0}, {}, [](std::unique_ptr<net::link>) {});
  if (!opened.has_value()) {
    MESSAGE("no IPv6 loopback here: " << opened.error().what());
    return;
  }
  w.listen({}, "::1");
  end client, server;
  w.join(client, server);
  CHECK(server.link->peer().starts_with("[::1]:"));
  exchange(w, client, server);
}

TEST_CASE("TCP_NODELAY is set on both ends: small messages one by one do not wait for acknowledgements") {
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  server.on_message = [&](const wire::message& m) { server.link->send(wire::pong{m.get_if<wire::ping>()->stamp}); };
  // With Nagle's algorithm and delayed acknowledgements 2,000 such pairs take longer than the bound of run_until.
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    client.link->send(wire::ping{i});
    client.link->flush();
    client.link->send(wire::ping{i});
    client.link->flush();
    REQUIRE(run_until(w.io, [&] { return client.got.size() == 2 * i; }));
  }
}

TEST_CASE("a slow reader stops the sender at the high-water mark; drained tells it to go on") {
  world w;
  w.listen();
  auto raw = w.raw();
  write(raw, encode(wire::hello{}));
  REQUIRE(run_until(w.io, [&] { return !w.accepted.empty(); }));
  end server;
  server.take(std::move(w.accepted[0]));
  server.link->set_limits({});
  const bytes block = pattern(1u << 20);
  std::uint64_t offset = 0;
  while (server.link->unsent() <= wire::high_water || offset < (32u << 20)) {
    server.link->send(chunk_at(offset, block));
    offset += block.size();
    w.io.restart();
    w.io.poll();
  }
  CHECK(server.drains == 0);
  CHECK(server.link->unsent() > wire::high_water);
  std::vector<char> sink(1u << 20);
  REQUIRE(run_until(w.io, [&] {
    raw.non_blocking(true);
    boost::system::error_code ec;
    raw.read_some(asio::buffer(sink), ec);
    return server.drains > 0;
  }));
  CHECK(server.link->unsent() <= wire::high_water / 2);
  CHECK_FALSE(server.why.has_value());
}

TEST_CASE("close writes what is queued first") {
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  const bytes block = pattern(1u << 20);
  for (std::uint64_t i = 0; i < 16; ++i) client.link->send(chunk_at(i << 20, block));
  client.link->send(wire::goodbye{"done"});
  client.link->close();
  client.link->send(wire::ping{});  // after close: dropped
  CHECK_FALSE(client.why.has_value());
  REQUIRE(run_until(w.io, [&] { return client.why && server.why; }));
  REQUIRE(server.got.size() == 17);
  CHECK(server.got[16].get_if<wire::goodbye>()->reason == "done");
  CHECK(server.why->code() == errc::closed);
  CHECK(std::string(server.why->what()) == "the connection was closed by the peer (" + server.link->peer() + ")");
  CHECK(std::string(client.why->what()) == "closed by this side (" + client.link->peer() + ")");
}

TEST_CASE("close does not wait for a peer that takes nothing") {
  world w;
  net::listener_options options;
  options.links.close_grace = std::chrono::milliseconds(50);
  w.listen(options);
  auto raw = w.raw();
  write(raw, encode(wire::hello{}));
  REQUIRE(run_until(w.io, [&] { return !w.accepted.empty(); }));
  end server;
  server.take(std::move(w.accepted[0]));
  server.link->set_limits({});
  const bytes block = pattern(1u << 20);
  for (std::uint64_t i = 0; i < 32; ++i) server.link->send(chunk_at(i << 20, block));
  server.link->close();
  REQUIRE(run_until(w.io, [&] { return server.why.has_value(); }));
}

TEST_CASE("abort reports its own reason, later") {
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  client.link->abort(error(errc::worker_lost, "silent for 5 s"));
  CHECK_FALSE(client.why.has_value());
  REQUIRE(run_until(w.io, [&] { return client.why && server.why; }));
  CHECK(client.why->code() == errc::worker_lost);
  CHECK(server.why->code() == errc::closed);
}

TEST_CASE("a peer that closes in the middle of a frame or of a block is named with what was missing") {
  for (const bool in_block : {false, true}) {
    world w;
    w.listen();
    auto raw = w.raw();
    write(raw, encode(wire::hello{}));
    REQUIRE(run_until(w.io, [&] { return !w.accepted.empty(); }));
    end server;
    server.take(std::move(w.accepted[0]));
    server.link->set_limits({});
    auto frame = encode(chunk_at(0, pattern(500000)));
    frame.resize(in_block ? 300000 : 20);
    write(raw, frame);
    const std::string from = "(127.0.0.1:" + std::to_string(raw.local_endpoint().port()) + ")";
    raw.close();
    REQUIRE(run_until(w.io, [&] { return server.why.has_value(); }));
    CHECK(server.why->code() == errc::closed);
    CHECK(std::string(server.why->what()) ==
          (in_block ? "the peer closed in the middle of a block of 500000 bytes " + from
                    : "the peer closed in the middle of a frame (20 bytes of it had come) " + from));
    CHECK(server.got.size() == 1);
  }
}

TEST_CASE("a peer that breaks the protocol is told why, and the link ends") {
  world w;
  w.listen();
  auto raw = w.raw();
  write(raw, encode(wire::hello{}));
  REQUIRE(run_until(w.io, [&] { return !w.accepted.empty(); }));
  end server;
  server.take(std::move(w.accepted[0]));
  server.link->set_limits({});
  auto frame = encode(wire::ping{1});
  frame[3] = std::byte{99};
  write(raw, frame);
  std::vector<std::byte> answer(64u << 10);
  boost::system::error_code ec;
  std::size_t n = 0;
  raw.non_blocking(true);
  REQUIRE(run_until(w.io, [&] {
    n += raw.read_some(asio::buffer(answer.data() + n, answer.size() - n), ec);
    return ec == asio::error::eof;
  }));
  raw.close();
  REQUIRE(run_until(w.io, [&] { return server.why.has_value(); }));
  CHECK(server.why->code() == errc::protocol_error);
  CHECK(server.why->cause() == "unknown frame type 99");
  wire::decoder in(wire::side::connecting);
  std::vector<wire::message> got;
  CHECK_FALSE(
      in.feed(std::span(answer).first(n), [&](wire::message&& m) { return got.push_back(std::move(m)), true; }));
  REQUIRE(got.size() == 1);
  CHECK(got[0].get_if<wire::refuse>()->code == errc::protocol_error);
}

TEST_CASE("a link may be destroyed inside any of its events") {
  world w;
  w.listen();
  {
    end client, server;
    w.join(client, server);
    server.on_message = [&](const wire::message&) { server.link.reset(); };
    client.link->send(wire::ping{1});
    client.link->send(wire::ping{2});
    REQUIRE(run_until(w.io, [&] { return client.why.has_value(); }));
    CHECK(server.got.size() == 1);
    CHECK_FALSE(server.why.has_value());
  }
  {
    end client, server;
    w.join(client, server);
    client.on_drained = [&] { client.link.reset(); };
    for (std::uint64_t i = 0; i < 8; ++i) client.link->send(chunk_at(i << 20, pattern(1u << 20)));
    REQUIRE(run_until(w.io, [&] { return server.why.has_value(); }));
    CHECK_FALSE(client.link);
  }
}

TEST_CASE("sends inside an event leave together at the end of the batch") {
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  server.on_message = [&](const wire::message& m) {
    server.link->send(wire::pong{m.get_if<wire::ping>()->stamp});
    CHECK(server.link->unsent() >= wire::frame_header::size);
  };
  client.batches = 0;
  for (std::uint64_t i = 0; i < 500; ++i) client.link->send(wire::ping{i});
  REQUIRE(run_until(w.io, [&] { return client.got.size() == 500; }));
  CHECK(client.batches < 10);
}

TEST_CASE("a message over the limits ends the link with a line in the log instead of a broken stream") {
  captured_log log;
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  client.link->send(chunk_at(0, pattern((1u << 20) + 1)));
  REQUIRE(run_until(w.io, [&] { return client.why && server.why; }));
  CHECK(client.why->code() == errc::too_large);
  CHECK(log.count("link_broken") == 1);
}

TEST_CASE("flush hands over within the call") {
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  client.link->send(wire::ping{3});
  CHECK(client.link->unsent() == wire::frame_header::size);
  client.link->flush();
  CHECK(client.link->unsent() == 0);
  REQUIRE(run_until(w.io, [&] { return !server.got.empty(); }));
}
