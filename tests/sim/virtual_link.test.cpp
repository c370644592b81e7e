// SPDX-License-Identifier: BSL-1.0
#include "dtask/sim/virtual_link.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "dtask/sim/network.hpp"
#include "dtask/sim/world.hpp"
#include "virtual_job.hpp"

namespace sim = dtask::sim;
namespace wire = dtask::wire;
using namespace std::chrono_literals;

namespace {

struct listener final : wire::link_events {
  void received(wire::message m) override { got.push_back(std::move(m)); }
  void batch_end() override { ++batches; }
  void drained() override { ++drains; }
  void closed(const dtask::error& why) override {
    ++ends;
    end = why;
  }
  std::vector<wire::message> got;
  int batches = 0, drains = 0, ends = 0;
  dtask::error end;
};

// There is no process that could do wrong.
struct unconcerned final : sim::observer {
  void disturbed() override {}
  void violated(std::string) override {}
};

/// Two hosts with one connection.
struct two {
  explicit two(std::uint64_t seed = 1, const sim::network_traits& traits = {}) : in(seed, nobody, traits) {
    in.net.listen(1, [this](sim::network::end e) {
      b = std::move(e);
      b->attach(at_b, {});
      b->set_limits({});
    });
    in.net.dial(2, 1, [this](sim::network::end e, const dtask::error& why) {
      a = std::move(e);
      refused = why;
      if (!a) return;
      a->attach(at_a, {});
      a->set_limits({});
    });
    in.clock.run_until(in.clock.now() + 10s);
  }
  void run(dtask::duration time) { in.clock.run_until(in.clock.now() + time); }
  listener at_a, at_b;
  unconcerned nobody;
  sim::world in;
  sim::network::end a, b;
  dtask::error refused;
};

wire::message numbered(std::uint64_t n) { return wire::ping{n}; }

}  // namespace

TEST_CASE("virtual_link: messages come whole and in order, whatever the cuts") {
  sim::network_traits traits;
  traits.tiny_reads = 0.9;
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    two t(seed, traits);
    REQUIRE(t.a);
    for (std::uint64_t n = 0; n < 200; ++n) {
      t.a->send(numbered(n));
      if (n % 7 == 0) t.a->flush();
    }
    t.a->flush();
    t.run(10s);
    REQUIRE(t.at_b.got.size() == 200);
    bool ordered = true;
    for (std::uint64_t n = 0; n < 200; ++n) ordered = ordered && t.at_b.got[n].get_if<wire::ping>()->stamp == n;
    CHECK(ordered);
    CHECK(t.at_b.batches > 5);
    CHECK(t.in.net.faults().empty());
  }
}

TEST_CASE("virtual_link: no more than a window is on the way; what waits counts as unsent and drains") {
  sim::network_traits traits;
  traits.window_min = traits.window_max = 64u << 10;
  traits.tiny_reads = 0;
  two t(3, traits);
  REQUIRE(t.a);
  const std::size_t size = 1u << 20;
  for (std::uint64_t n = 0; n < 10; ++n) t.a->send(wire::chunk{1, n * size, harness::content(n, size)});
  t.a->flush();
  CHECK(t.a->on_the_way() <= (64u << 10));
  CHECK(t.a->unsent() >= 10 * size - (64u << 10));
  CHECK(t.at_a.drains == 0);
  t.run(60s);
  CHECK(t.a->unsent() == 0);
  CHECK(t.at_a.drains == 1);
  REQUIRE(t.at_b.got.size() == 10);
  for (std::uint64_t n = 0; n < 10; ++n) CHECK(t.at_b.got[n].get_if<wire::chunk>()->data == harness::content(n, size));
}

TEST_CASE("virtual_link: close writes what is queued, then both ends are told") {
  two t;
  REQUIRE(t.a);
  t.a->send(numbered(1));
  t.a->close();
  t.a->send(numbered(2));  // too late
  t.run(5s);
  CHECK(t.at_b.got.size() == 1);
  CHECK(t.at_a.ends == 1);
  CHECK(t.at_b.ends == 1);
  CHECK(t.at_b.end.code() == dtask::errc::io_error);
}

TEST_CASE("virtual_link: abort drops what is queued and tells both ends once") {
  two t;
  REQUIRE(t.a);
  t.a->send(numbered(1));
  t.a->abort(dtask::error(dtask::errc::cancelled));
  t.a->abort(dtask::error(dtask::errc::cancelled));
  t.run(5s);
  CHECK(t.at_b.got.empty());
  CHECK(t.at_a.ends == 1);
  CHECK(t.at_a.end.code() == dtask::errc::cancelled);
  CHECK(t.at_b.ends == 1);
}

TEST_CASE("virtual_link: a blocked path is silent; what was sent arrives after it, unless it lasted too long") {
  two t;
  REQUIRE(t.a);
  t.in.net.block(2, 1);
  t.a->send(numbered(1));
  t.a->flush();
  t.b->send(numbered(2));  // the other direction works
  t.b->flush();
  t.run(10s);
  CHECK(t.at_b.got.empty());
  CHECK(t.at_a.got.size() == 1);
  t.in.net.unblock(2, 1);
  t.run(1s);
  CHECK(t.at_b.got.size() == 1);

  t.in.net.block(2, 1);
  t.a->send(numbered(3));
  t.a->flush();
  t.run(60s);
  t.in.net.end_stuck_links();
  t.run(1s);
  CHECK(t.at_a.ends == 1);
  CHECK(t.at_b.ends == 1);
}

TEST_CASE("virtual_link: a frozen host reads nothing until it thaws") {
  two t;
  REQUIRE(t.a);
  t.in.net.freeze(1);
  for (std::uint64_t n = 0; n < 3; ++n) {
    t.a->send(numbered(n));
    t.a->flush();
  }
  t.run(10s);
  CHECK(t.at_b.got.empty());
  t.in.net.thaw(1);
  t.run(1s);
  CHECK(t.at_b.got.size() == 3);
}

TEST_CASE("virtual_link: a process that dies closes its links; a machine that dies is silent until it is back") {
  two polite;
  polite.a->send(numbered(1));
  polite.a->flush();
  polite.in.net.process_died(2, true, false);
  polite.run(1s);
  CHECK(polite.at_b.got.size() == 1);
  CHECK(polite.at_b.ends == 1);
  CHECK(polite.at_a.ends == 0);

  two silent;
  silent.in.net.process_died(2, true, true);
  silent.run(1h);
  CHECK(silent.at_b.ends == 0);
  silent.in.net.machine_back(2);
  silent.run(1s);
  CHECK(silent.at_b.ends == 1);
}

TEST_CASE("virtual_link: nobody listens, nobody answers") {
  unconcerned nobody;
  sim::world in(1, nobody);
  dtask::error refused, silent;
  in.net.dial(1, 2, [&](sim::network::end e, const dtask::error& why) {
    CHECK(!e);
    refused = why;
  });
  in.clock.run_until(in.clock.now() + 1s);
  CHECK(refused.code() == dtask::errc::unreachable);
  in.net.block(1, 2);
  in.net.dial(1, 2, [&](sim::network::end e, const dtask::error& why) {
    CHECK(!e);
    silent = why;
  });
  in.clock.run_until(in.clock.now() + 2s);
  CHECK(!silent);
  in.clock.run_until(in.clock.now() + 2s);
  CHECK(silent.code() == dtask::errc::unreachable);
}

TEST_CASE("virtual_link: a message over the limits is a fault of the simulation, not dropped in silence") {
  two t;
  t.a->send(wire::chunk{1, 0, harness::content(1, 3u << 20)});
  CHECK(t.in.net.faults().size() == 1);
}
