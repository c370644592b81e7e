// SPDX-License-Identifier: BSL-1.0
// A task awaits Asio's operations and an Asio coroutine; Asio code starts a task with a completion token.
#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <dtask/runtime/as_task.hpp>
#include <dtask/runtime/co_spawn.hpp>
#include <dtask/runtime/use_task.hpp>
#include <dtask/task.hpp>
#include <exception>
#include <string>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;

// A coroutine of Asio, as it stands in many programs: sends a line back in reverse.
asio::awaitable<std::size_t> serve_reversed(tcp::acceptor& acceptor) {
  tcp::socket peer = co_await acceptor.async_accept(asio::use_awaitable);
  std::string line;
  const auto size = co_await asio::async_read_until(peer, asio::dynamic_buffer(line), '\n', asio::use_awaitable);
  std::reverse(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(size) - 1);
  co_return co_await asio::async_write(peer, asio::buffer(line, size), asio::use_awaitable);
}

// A task that awaits the operations themselves: `use_task` throws what fails, `use_tuple` gives it as a value.
dtask::task<std::string> ask(asio::io_context& io, tcp::endpoint server, std::string line) {
  tcp::socket socket(io);
  co_await socket.async_connect(server, dtask::use_task);
  co_await asio::async_write(socket, asio::buffer(line), dtask::use_task);
  std::string answer;
  const auto [failed, size] =
      co_await asio::async_read_until(socket, asio::dynamic_buffer(answer), '\n', dtask::use_tuple);
  co_return failed ? failed.message() : answer.substr(0, size);
}

dtask::task<std::string> converse(asio::io_context& io) {
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  auto served = dtask::as_task(io.get_executor(), serve_reversed(acceptor));
  auto [size, answer] = co_await dtask::when_all(std::move(served), ask(io, acceptor.local_endpoint(), "stressed\n"));
  co_return std::to_string(size) + " bytes: " + answer;
}

int main() {
  asio::io_context io;  // one thread runs both, so nothing needs a lock
  dtask::co_spawn(io, converse(io), [](std::exception_ptr failed, std::string text) {
    std::fputs(failed ? "failed\n" : text.c_str(), stdout);
  });
  io.run();
}

// Output:
// 9 bytes: desserts
