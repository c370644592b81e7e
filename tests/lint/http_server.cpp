// SPDX-License-Identifier: BSL-1.0
// What lint.budgets compares a whole header-only program with: one of Asio, Beast and coroutines without dtask. It is
// compiled, never run.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <functional>
#include <map>
#include <string>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;

namespace {

asio::awaitable<void> session(beast::tcp_stream stream) {
  beast::flat_buffer buffer;
  std::map<std::string, std::string> pages{{"/", "hello"}};
  for (;;) {
    http::request<http::string_body> request;
    co_await http::async_read(stream, buffer, request, asio::use_awaitable);
    if (websocket::is_upgrade(request)) {
      websocket::stream<beast::tcp_stream> socket(std::move(stream));
      co_await socket.async_accept(request, asio::use_awaitable);
      for (;;) {
        co_await socket.async_read(buffer, asio::use_awaitable);
        co_await socket.async_write(buffer.data(), asio::use_awaitable);
      }
    }
    http::response<http::string_body> response(http::status::ok, request.version());
    response.body() = pages[std::string(request.target())];
    response.prepare_payload();
    co_await http::async_write(stream, response, asio::use_awaitable);
    if (!response.keep_alive()) co_return;
  }
}

asio::awaitable<void> serve(asio::ip::tcp::endpoint at) {
  asio::ip::tcp::acceptor acceptor(co_await asio::this_coro::executor, at);
  for (;;)
    asio::co_spawn(acceptor.get_executor(),
                   session(beast::tcp_stream(co_await acceptor.async_accept(asio::use_awaitable))), asio::detached);
}

}  // namespace

int main() {
  asio::io_context context;
  asio::co_spawn(context, serve({asio::ip::make_address("127.0.0.1"), 0}), asio::detached);
  context.run();
}
