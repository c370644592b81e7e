// SPDX-License-Identifier: BSL-1.0
#include "dtask/net/url.hpp"

#include <doctest/doctest.h>

#include <string>

namespace net = dtask::net;
using net::url;

TEST_CASE("cluster addresses are read and written") {
  CHECK(net::parse_url("tcp://127.0.0.1:7700").value() == url{url::scheme::tcp, {"127.0.0.1", 7700}, 0});
  CHECK(net::parse_url("tcp://[::1]:7700").value() == url{url::scheme::tcp, {"::1", 7700}, 0});
  CHECK(net::parse_url("tcp://node-7.example:1/").value() == url{url::scheme::tcp, {"node-7.example", 1}, 0});
  CHECK(net::parse_url("local://4").value() == url{url::scheme::local, {}, 4});
  CHECK(net::parse_url("local://").value() == url{url::scheme::local, {}, 0});
  CHECK(net::parse_url("spawn://2").value() == url{url::scheme::spawn, {}, 2});
  for (const char* text : {"tcp://127.0.0.1:7700", "tcp://[::1]:7700", "local://", "local://12", "spawn://2"})
    CHECK(net::to_string(net::parse_url(text).value()) == text);
}

TEST_CASE("a wrong cluster address says what is wrong and what can be written") {
  for (const char* text : {"",
                           "127.0.0.1:7700",
                           "http://x:1",
                           "tcp://",
                           "tcp://host",
                           "tcp://:7700",
                           "tcp://host:",
                           "tcp://host:x",
                           "tcp://host:65536",
                           "tcp://host:-1",
                           "tcp://host:+1",
                           "tcp://::1:7700",
                           "tcp://[::1]",
                           "tcp://[::1",
                           "tcp://[::1]7700",
                           "tcp://ho st:1",
                           "tcp://user@host:1",
                           "tcp://host:1/path",
                           "local://x",
                           "local://-1",
                           "local://0",
                           "local://4097",
                           "spawn://1 ",
                           "tcp://host:99999999999999999999",
                           "tcp://[]:1"}) {
    CAPTURE(text);
    const auto r = net::parse_url(text);
    REQUIRE_FALSE(r.has_value());
    CHECK(r.error().code() == dtask::errc::invalid_argument);
    CHECK(!r.error().remedy().empty());
  }
  CHECK(std::string(net::parse_url("http://x:1").error().what()) ==
        "cannot read the address \"http://x:1\": unknown scheme: write tcp://HOST:PORT, local://N or spawn://N");
  CHECK(std::string(net::parse_url("tcp://\x1b[31m:1").error().what()).find('\x1b') == std::string::npos);
}

TEST_CASE("host and port") {
  CHECK(net::parse_host_port("localhost:0").value() == net::host_port{"localhost", 0});
  CHECK(net::parse_host_port("[fe80::1]:80").value() == net::host_port{"fe80::1", 80});
  CHECK(net::to_string(net::host_port{"::1", 5}) == "[::1]:5");
  CHECK_FALSE(net::parse_host_port("localhost").has_value());
}
