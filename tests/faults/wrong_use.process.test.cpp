// SPDX-License-Identifier: BSL-1.0
// What the user does wrong, or finds wrong: one line with cause and remedy, and the exit code that the documentation
// states.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <thread>

#include "dtask/wire/limits.hpp"
#include "site.hpp"
#include "stranger.hpp"

using namespace faults;

namespace {

constexpr int usage = 2, cluster_failed = 3;

/// It ended by itself with this code and one line on stderr in which all of `parts` stand.
void check_one_line(process& p, int code, std::initializer_list<std::string_view> parts) {
  const std::optional<ending> end = p.wait();
  REQUIRE_MESSAGE(end, p.report());
  CHECK_MESSAGE(end->code == code, "exit " << end->code << " signal " << end->signal << '\n' << p.report());
  CHECK_MESSAGE(p.lines(process::err).size() == 1, p.report());
  for (std::string_view part : parts)
    CHECK_MESSAGE(p.text(process::err).find(part) != std::string::npos, "no '" << part << "' in\n" << p.report());
}

/// A server on loopback that sends `answer` to whoever connects, and closes.
class odd_server {
 public:
  explicit odd_server(std::string answer) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(fd_, 16) == 0);
    socklen_t size = sizeof at;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this, answer = std::move(answer)] {
      for (int peer; (peer = ::accept(fd_, nullptr, nullptr)) >= 0;) {
        std::array<char, 4096> hello;
        if (::recv(peer, hello.data(), hello.size(), 0) > 0) ::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL);
        ::shutdown(peer, SHUT_WR);
        while (::recv(peer, hello.data(), hello.size(), 0) > 0) {
        }
        ::close(peer);
      }
    });
  }
  ~odd_server() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::string url() const { return "tcp://127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

/// A loopback port on which nobody listens: bound, never listened on, so that nobody else gets it meanwhile.
class dead_port {
 public:
  dead_port() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    socklen_t size = sizeof at;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
  }
  ~dead_port() { ::close(fd_); }
  std::string port() const { return std::to_string(port_); }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

}  // namespace

TEST_CASE("a port in use: one line that names the port") {
  site s;
  process second({app_path(), "coordinator", "--listen", "127.0.0.1:" + std::to_string(s.port())});
  check_one_line(second, usage, {std::to_string(s.port()), "in use", "choose another port"});
}

TEST_CASE("an unreachable coordinator: one line that names the address") {
  const dead_port nobody;
  SUBCASE("client") {
    process client(
        {app_path(), "--on", "tcp://127.0.0.1:" + nobody.port(), "--connect-within", "0.3", "--job", "echo:x"});
    check_one_line(client, cluster_failed, {"127.0.0.1:" + nobody.port()});
  }
  SUBCASE("worker") {
    process worker(
        {app_path(), "worker", "--connect", "tcp://127.0.0.1:" + nobody.port(), "--unreachable-after", "0.3"});
    check_one_line(worker, cluster_failed, {"127.0.0.1:" + nobody.port()});
  }
}

TEST_CASE("unknown options and values: one line, exit 2") {
  SUBCASE("an unknown option") {
    process p({app_path(), "worker", "--connect", "tcp://127.0.0.1:1", "--bananas", "7"});
    check_one_line(p, usage, {"--bananas"});
  }
  SUBCASE("an unknown role") {
    process p({app_path(), "conductor"});
    check_one_line(p, usage, {"conductor"});
  }
  SUBCASE("a URL of another kind") {
    process p({app_path(), "--on", "http://127.0.0.1:80", "--job", "echo:x"});
    check_one_line(p, usage, {"http://127.0.0.1:80", "tcp://"});
  }
  SUBCASE("no such duration") {
    process p({app_path(), "coordinator", "--lost-after", "soon"});
    check_one_line(p, usage, {"--lost-after", "soon"});
  }
  SUBCASE("slots that are no number") {
    process p({app_path(), "worker", "--connect", "tcp://127.0.0.1:1", "--slots", "many"});
    check_one_line(p, usage, {"--slots"});
  }
  SUBCASE("a worker that is not told whom to serve") {
    process p({app_path(), "worker"});
    check_one_line(p, usage, {"--connect"});
  }
}

TEST_CASE("listening outside loopback needs an option that says what it means") {
  process p({app_path(), "coordinator", "--listen", "0.0.0.0:0"});
  check_one_line(p, usage, {"0.0.0.0"});
}

TEST_CASE("a first connection that breaks in the middle of the welcome is no verdict: it is dialled again") {
  odd_server server(frame_head(static_cast<std::uint8_t>(dtask::wire::protocol_version), 2, 100) + "some of it");
  for (const command& who : {command{app_path(), "worker", "--connect", server.url(), "--unreachable-after", "0.5"},
                             command{app_path(), "--on", server.url(), "--connect-within", "0.5", "--job", "echo:x"}}) {
    process p(who);
    const std::optional<ending> end = p.wait();
    REQUIRE_MESSAGE(end, p.report());
    CHECK_MESSAGE(end->code == cluster_failed, p.report());
    CHECK_MESSAGE(p.text(process::err).find("no coordinator within the stated time") != std::string::npos, p.report());
  }
}

TEST_CASE("a server that is not dtask: one line that says what it looks like") {
  SUBCASE("HTTP") {
    odd_server server("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    process client({app_path(), "--on", server.url(), "--job", "echo:x"});
    check_one_line(client, cluster_failed, {"HTTP"});
  }
  SUBCASE("noise") {
    odd_server server(noise(3, 1000));
    process client({app_path(), "--on", server.url(), "--job", "echo:x"});
    check_one_line(client, cluster_failed, {"not a dtask peer"});
  }
  SUBCASE("another version") {
    odd_server server(frame_head(99, 2, 16) + std::string(16, 'x'));
    process worker({app_path(), "worker", "--connect", server.url()});
    check_one_line(worker, cluster_failed, {"version 99"});
  }
  SUBCASE("a frame of 4 GiB") {
    odd_server server(frame_head(static_cast<std::uint8_t>(dtask::wire::protocol_version), 2, 0xffffffffu));
    process worker({app_path(), "worker", "--connect", server.url()});
    check_one_line(worker, cluster_failed, {"4294967295"});
    CHECK(worker.peak_memory() < (std::size_t{256} << 20));
  }
}
