// SPDX-License-Identifier: BSL-1.0
// One dtask link over loopback TCP against raw Asio sockets doing the same: small messages with W in flight, and a 64
// MiB payload one way with a short answer. Two threads, one io_context each, in one process; medians of alternating
// runs, so that both see the same machine.
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/net.hpp"
#include "dtask/wire.hpp"
#include "figure.hpp"
#include "raw_relay.hpp"

namespace {

namespace net = dtask::net;
namespace wire = dtask::wire;
using clock_type = std::chrono::steady_clock;
using bench::raw::asio::io_context;

double seconds_since(clock_type::time_point t) { return std::chrono::duration<double>(clock_type::now() - t).count(); }

constexpr std::size_t large = std::size_t{64} << 20;
constexpr std::size_t frame = wire::frame_header::size;

// ---- dtask ----

/// One end of a link: answers pings, puts payloads together and answers each with a goodbye; the rest goes to
/// `on_message`.
struct end final : wire::link_events {
  explicit end(io_context& where) : io(where) {}
  io_context& io;
  std::unique_ptr<net::link> link;
  std::optional<wire::assembler> whole;
  std::function<void(const wire::message&)> on_message;
  std::function<void()> on_drained;

  void received(wire::message m) override {
    if (const auto* p = m.get_if<wire::ping>()) return link->send(wire::pong{p->stamp});
    if (m.get_if<wire::hello>() != nullptr) {
      link->set_limits({});
      link->send(wire::welcome{});
      if (on_message) on_message(m);
      return;
    }
    if (auto* c = m.get_if<wire::chunk>()) {
      if (!whole) whole.emplace(std::vector<std::uint64_t>{0, large});
      if (whole->accept(std::move(*c))) std::abort();
      if (!whole->complete()) return;
      whole.reset();
      return link->send(wire::goodbye{});
    }
    if (on_message) on_message(m);
  }
  void batch_end() override {}
  void drained() override {
    if (on_drained) on_drained();
  }
  void closed(const dtask::error&) override { io.stop(); }
};

/// Runs `begin(end)` on the end that connected or on the one that accepted; the other one answers. Seconds until it has
/// closed the link.
double over_link(bool accepted, const std::function<void(end&)>& begin) {
  io_context server_io(1), client_io(1);
  end server(server_io), here(client_io);
  auto listener =
      net::listener::open(server_io.get_executor(), {"127.0.0.1", 0}, {}, [&](std::unique_ptr<net::link> l) {
        server.link = std::move(l);
        server.link->start(server);
      });
  const net::host_port at = listener.value()->address();
  net::connector connector(client_io.get_executor(), at, {}, [&](dtask::result<std::unique_ptr<net::link>> l) {
    here.link = std::move(l).value();
    here.link->start(here);
    here.link->send(wire::hello{});
  });
  clock_type::time_point began;
  end& active = accepted ? server : here;
  active.on_message = [&](const wire::message&) {  // hello or welcome
    began = clock_type::now();
    begin(active);
  };
  std::thread other([&] { server_io.run(); });
  client_io.run();
  const double took = seconds_since(began);
  other.join();
  server.link.reset();
  listener.value().reset();
  return took;
}

double link_messages(std::uint64_t count, std::uint64_t window) {
  return static_cast<double>(count) / over_link(false, [&](end& e) {
           auto sent = std::make_shared<std::uint64_t>(0);
           auto back = std::make_shared<std::uint64_t>(0);
           e.on_message = [&e, sent, back, count](const wire::message&) {
             if (*sent < count) e.link->send(wire::ping{++*sent});
             if (++*back == count) e.link->close();
           };
           while (*sent < window) e.link->send(wire::ping{++*sent});
         });
}

double link_payloads(int count) {
  dtask::mutable_bytes block(large);
  std::memset(block.data(), 7, large);
  const dtask::bytes data = std::move(block).freeze();
  dtask::payload value;
  value.blobs.push_back(data);
  const wire::pieces what = wire::pieces_of(value);
  double took = 0;
  over_link(true, [&](end& e) {  // a payload comes from the coordinator, which listens
    auto cut = std::make_shared<wire::chunk_cursor>();
    auto done = std::make_shared<int>(-1);  // the first one warms the buffers
    auto began = std::make_shared<clock_type::time_point>();
    const auto go = [&e, cut, &what] {
      while (e.link->unsent() <= wire::high_water) {
        auto c = cut->next(what, 1, {});
        if (!c) return;
        e.link->send(std::move(*c));
      }
    };
    e.on_drained = go;
    e.on_message = [&e, &took, cut, done, began, go, count](const wire::message&) {
      if (++*done == 0) *began = clock_type::now();
      if (*done == count) {
        took = seconds_since(*began);
        return e.link->close();
      }
      *cut = {};
      go();
    };
    go();
  });
  return static_cast<double>(large) * count / took * 1e-9;
}

// ---- raw Asio ----

/// Two connected raw sockets, the other end on a thread of its own.
double over_sockets(const std::function<void(bench::raw::socket&)>& server,
                    const std::function<double(bench::raw::socket&, io_context&)>& client) {
  io_context server_io(1), client_io(1);
  bench::raw::acceptor acceptor(server_io, bench::raw::tcp::endpoint(bench::raw::asio::ip::address_v4::loopback(), 0));
  bench::raw::socket here = bench::raw::connect(client_io, acceptor.local_endpoint().port());
  bench::raw::socket there = bench::raw::accept(server_io, acceptor);
  std::thread other([&] {
    server(there);
    server_io.run();
  });
  const double took = client(here, client_io);
  here.close();
  other.join();
  return took;
}

/// Echoes whatever comes, one write per read.
struct echo {
  bench::raw::socket& s;
  std::vector<char> buffer;
  void read() {
    s.async_read_some(bench::raw::asio::buffer(buffer), [this](const boost::system::error_code& ec, std::size_t n) {
      if (ec) return;
      bench::raw::asio::async_write(s, bench::raw::asio::buffer(buffer.data(), n),
                                    [this](const boost::system::error_code& failed, std::size_t) {
                                      if (!failed) read();
                                    });
    });
  }
};

/// Keeps `window` frames in flight, with one write for all that one read answered.
struct flood {
  bench::raw::socket& s;
  std::uint64_t count, sent = 0, back = 0;
  std::size_t partial = 0;
  std::vector<char> in, out;
  void write(std::uint64_t frames) {
    frames = std::min(frames, count - sent);
    sent += frames;
    if (frames == 0) return read();
    out.resize(frames * frame);
    bench::raw::asio::async_write(s, bench::raw::asio::buffer(out),
                                  [this](const boost::system::error_code& ec, std::size_t) {
                                    if (!ec) read();
                                  });
  }
  void read() {
    s.async_read_some(bench::raw::asio::buffer(in), [this](const boost::system::error_code& ec, std::size_t n) {
      if (ec) return;
      partial += n;
      const std::uint64_t frames = partial / frame;
      partial %= frame;
      back += frames;
      if (back < count) write(frames);
    });
  }
};

double raw_messages(std::uint64_t count, std::uint64_t window) {
  std::unique_ptr<echo> answers;
  const double took = over_sockets(
      [&](bench::raw::socket& s) {
        answers.reset(new echo{s, std::vector<char>(32u << 10)});
        answers->read();
      },
      [&](bench::raw::socket& s, io_context& io) {
        flood f{s, count, 0, 0, 0, std::vector<char>(32u << 10), {}};
        const auto began = clock_type::now();
        f.write(window);
        io.run();
        return seconds_since(began);
      });
  return static_cast<double>(count) / took;
}

/// Receives payloads into one reused buffer and answers each with one byte.
struct swallow {
  bench::raw::socket& s;
  std::vector<char> buffer;
  std::size_t have = 0;
  void read() {
    s.async_read_some(
        bench::raw::asio::buffer(buffer.data() + have, std::min(large - have, bench::raw::bytes_per_call)),
        [this](const boost::system::error_code& ec, std::size_t n) {
          if (ec) return;
          have += n;
          if (have < large) return read();
          have = 0;
          bench::raw::asio::async_write(s, bench::raw::asio::buffer("k", 1),
                                        [this](const boost::system::error_code& failed, std::size_t) {
                                          if (!failed) read();
                                        });
        });
  }
};
struct pour {
  bench::raw::socket& s;
  const std::vector<char>& data;
  int left;
  std::size_t sent = 0;
  char answer = 0;
  void write() {
    s.async_write_some(bench::raw::asio::buffer(data.data() + sent, std::min(large - sent, bench::raw::bytes_per_call)),
                       [this](const boost::system::error_code& ec, std::size_t n) {
                         if (ec) return;
                         sent += n;
                         if (sent < large) return write();
                         sent = 0;
                         s.async_read_some(bench::raw::asio::buffer(&answer, 1),
                                           [this](const boost::system::error_code& failed, std::size_t) {
                                             if (!failed && --left > 0) write();
                                           });
                       });
  }
};

double raw_payloads(int count) {
  const std::vector<char> data(large, 7);
  std::unique_ptr<swallow> taker;
  const double took = over_sockets(
      [&](bench::raw::socket& s) {
        taker.reset(new swallow{s, std::vector<char>(large), 0});
        taker->read();
      },
      [&](bench::raw::socket& s, io_context& io) {
        pour warm{s, data, 1, 0, 0};
        warm.write();
        io.run();
        io.restart();
        pour p{s, data, count, 0, 0};
        const auto began = clock_type::now();
        p.write();
        io.run();
        return seconds_since(began);
      });
  return static_cast<double>(large) * count / took * 1e-9;
}

void compare(const std::string& name, const std::string& unit, const std::string& reference,
             const std::function<double()>& ours, const std::function<double()>& theirs) {
  std::vector<double> a, b;
  for (int i = 0; i < 5; ++i) {
    a.push_back(ours());
    b.push_back(theirs());
  }
  bench::print({name, bench::median(a), unit, reference, bench::median(b)});
}

}  // namespace

int main() {
  for (const std::uint64_t window : {1u, 16u, 256u, 1024u}) {
    const std::uint64_t count = window == 1 ? 10000 : window == 16 ? 100000 : 1000000;
    compare(
        "link messages, " + std::to_string(window) + " in flight", "1/s", "raw Asio, batched",
        [=] { return link_messages(count, window); }, [=] { return raw_messages(count, window); });
  }
  compare(
      "link payload 64 MiB", "GB/s", "raw Asio, 4 MiB calls", [] { return link_payloads(10); },
      [] { return raw_payloads(10); });
}
