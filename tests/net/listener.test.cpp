// SPDX-License-Identifier: BSL-1.0
#include "dtask/net/listener.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "net/harness.hpp"

using namespace test;

TEST_CASE("a listener on port 0 tells its port; the same port again is refused with a remedy") {
  world w;
  w.listen();
  CHECK(w.listener->port() != 0);
  const auto again =
      net::listener::open(w.io.get_executor(), w.listener->address(), {}, [](std::unique_ptr<net::link>) {});
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().code() == errc::io_error);
  CHECK(std::string(again.error().what()) ==
        "cannot listen on " + net::to_string(w.listener->address()) +
            ": Address already in use: choose another port, or end the program that has this one");
}

TEST_CASE("addresses beyond loopback need the option that says so") {
  asio::io_context io(1);
  const auto nobody = [](std::unique_ptr<net::link>) {};
  for (const char* host : {"0.0.0.0", "::"}) {
    const auto refused = net::listener::open(io.get_executor(), {host, 0}, {}, nobody);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == errc::invalid_argument);
    CHECK(std::string(refused.error().what()).find("no authentication") != std::string::npos);
  }
  CHECK(net::listener::open(io.get_executor(), {"localhost", 0}, {}, nobody).has_value());
  CHECK(net::listener::open(io.get_executor(), {"no such host", 0}, {}, nobody).error().code() ==
        errc::invalid_argument);
}

TEST_CASE("a peer is handed over with its hello, and what follows it in the same write") {
  world w;
  w.listen();
  auto s = w.raw();
  auto raw = encode(wire::hello{});
  const auto more = encode(wire::ping{5});
  raw.insert(raw.end(), more.begin(), more.end());
  write(s, raw);
  REQUIRE(run_until(w.io, [&] { return !w.accepted.empty(); }));
  CHECK(w.listener->strangers() == 0);
  end server;
  server.take(std::move(w.accepted[0]));
  REQUIRE(run_until(w.io, [&] { return server.got.size() == 2; }));
  CHECK(server.got[0].get_if<wire::hello>() != nullptr);
  CHECK(server.got[1].get_if<wire::ping>()->stamp == 5);
  CHECK(server.batches == 1);
}

TEST_CASE("peers that are not dtask get one line in the log each and no link") {
  captured_log log;
  world w;
  w.listen();
  auto http = w.raw(), noise = w.raw(), huge = w.raw(), version = w.raw(), gone = w.raw(), half = w.raw();
  write(http, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  write(noise, std::string_view("\x01\x02\x03\x04\x05\x06\x07\x08", 8));
  auto raw = encode(wire::hello{});
  raw[4] = raw[5] = raw[6] = raw[7] = std::byte{0xff};
  write(huge, raw);
  raw = encode(wire::hello{});
  raw[2] = std::byte{42};
  write(version, raw);
  gone.close();
  raw = encode(wire::hello{});
  raw.resize(raw.size() / 2);
  write(half, raw);
  half.close();
  REQUIRE(run_until(w.io, [&] { return log.count("stranger_refused") == 6; }));
  CHECK(log.count("it looks like HTTP") == 1);
  CHECK(log.count("not a dtask peer: its first bytes are") == 2);
  CHECK(log.count("is over the limit of 262144") == 1);
  CHECK(log.count("the peer speaks version 42 of the dtask protocol, this side version 3") == 1);
  CHECK(log.count("the connection was closed by the peer") == 1);
  CHECK(log.count("the peer closed in the middle of a frame") == 1);
  CHECK(w.accepted.empty());
  CHECK(w.listener->strangers() == 0);
  // The one that spoke dtask was told why before the end.
  std::vector<char> answer;
  boost::system::error_code ec;
  asio::read(version, asio::dynamic_buffer(answer), ec);
  CHECK(ec == asio::error::eof);
  CHECK(std::string_view(answer.data(), answer.size()).find("the peer speaks version 42") != std::string_view::npos);
}

TEST_CASE("a connection that says nothing, or half a hello, is ended after its time") {
  captured_log log;
  world w;
  net::listener_options options;
  options.hello_within = std::chrono::milliseconds(30);
  w.listen(options);
  auto silent = w.raw(), half = w.raw();
  write(half, "DT");
  REQUIRE(run_until(w.io, [&] { return log.count("no hello in time") == 2; }));
  CHECK(w.listener->strangers() == 0);
  auto later = w.raw();
  REQUIRE(run_until(w.io, [&] { return log.count("no hello in time") == 3; }));
}

TEST_CASE("a thousand connections that never say hello do not keep a friend out") {
  rlimit files{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  const rlimit raised{std::min<rlim_t>(files.rlim_max, 4096), files.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &raised) == 0);
  const std::size_t crowd = std::min<std::size_t>(1000, static_cast<std::size_t>(raised.rlim_cur) - 400);
  captured_log log;
  world w;
  net::listener_options options;
  options.max_strangers = 64;
  options.hello_within = std::chrono::seconds(60);
  w.listen(options);
  std::vector<asio::ip::tcp::socket> strangers;
  for (std::size_t i = 0; i < crowd; ++i) {
    strangers.push_back(w.raw());
    w.io.restart();
    w.io.poll();
    CHECK(w.listener->strangers() <= 64);
  }
  REQUIRE(run_until(w.io, [&] { return log.count("too many connections without a hello") == crowd - 64; }));
  end client, server;
  w.join(client, server);
  client.link->send(wire::ping{1});
  REQUIRE(run_until(w.io, [&] { return !server.got.empty(); }));
  setrlimit(RLIMIT_NOFILE, &files);
}

TEST_CASE("without descriptors the listener pauses, says so once, and goes on later") {
  captured_log log;
  world w;
  w.listen();
  auto first = w.raw();
  rlimit files{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  // Every descriptor below the limit is taken.
  const int next = ::dup(0);
  REQUIRE(next >= 0);
  const rlimit low{static_cast<rlim_t>(next) + 1, files.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
  REQUIRE(run_until(w.io, [&] { return log.count("accept_failed") == 1; }));
  ::close(next);
  setrlimit(RLIMIT_NOFILE, &files);
  write(first, encode(wire::hello{}));
  REQUIRE(run_until(w.io, [&] { return !w.accepted.empty(); }));
  CHECK(log.count("accept_failed") == 1);
}

TEST_CASE("a listener that is destroyed leaves its links alive") {
  world w;
  w.listen();
  end client, server;
  w.join(client, server);
  w.listener.reset();
  client.link->send(wire::ping{8});
  REQUIRE(run_until(w.io, [&] { return !server.got.empty(); }));
}
