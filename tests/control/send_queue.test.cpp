// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/send_queue.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {
using namespace dtask;
using namespace dtask::control;

struct far_end {
  send_queue queue;
  std::vector<wire::message> out;
  std::size_t finished = 0;
  void pump(std::int64_t allowance = std::numeric_limits<std::int64_t>::max()) {
    queue.pump([&](wire::message&& m) { out.push_back(std::move(m)); },
               [&](std::uint64_t, std::size_t, bool end) { finished += end; }, allowance);
  }
  std::size_t bytes_of(std::uint64_t transfer) const {
    std::size_t total = 0;
    for (const auto& m : out)
      if (const auto* c = m.get_if<wire::chunk>(); c != nullptr && c->transfer == transfer) total += c->data.size();
    return total;
  }
};
std::shared_ptr<stream> value(std::size_t size) {
  return std::make_shared<stream>(payload{bytes::copy("body"), {bytes::from(std::string(size, 'x'))}});
}
wire::message run(std::uint64_t job) {
  wire::run r;
  r.job = job;
  return r;
}
}  // namespace

TEST_CASE("a payload that fits in a frame goes with its message, a larger one is announced and cut") {
  far_end l;
  l.queue.push(run(1), value(100000), 1);
  l.pump();
  REQUIRE(l.out.size() == 1);
  CHECK((*l.out[0].get_if<wire::run>()).arguments.whole.blobs.at(0).size() == 100000);
  l.queue.push(run(2), value(3u << 20), 2);
  l.pump();
  const auto& head = (*l.out[1].get_if<wire::run>());
  CHECK(head.arguments.transfer != 0);
  CHECK(head.arguments.lengths == std::vector<std::uint64_t>{4, 3u << 20});
  CHECK(l.bytes_of(head.arguments.transfer) == (3u << 20) + 4);
  CHECK(l.finished == 2);
  CHECK(l.queue.empty());
}

TEST_CASE("no more than a window of bytes is sent ahead of the socket") {
  far_end l;
  l.queue.push(run(1), value(50u << 20), 1);
  l.pump();
  CHECK(l.queue.unsent() >= wire::high_water);
  CHECK(l.queue.unsent() <= wire::high_water + (2u << 20));
  const std::size_t before = l.out.size();
  l.pump();
  CHECK(l.out.size() == before);
  for (int i = 0; i < 20; ++i) {
    l.queue.set_unsent(0);
    l.pump();
  }
  CHECK(l.queue.empty());
  CHECK(l.bytes_of(1) == (50u << 20) + 4);
}

TEST_CASE("credit: nothing is begun without, the last piece may exceed it") {
  far_end l;
  l.queue.push(run(1), value(5u << 20), 1);
  l.pump(0);
  CHECK(l.out.empty());
  l.pump(1 << 20);
  CHECK(l.bytes_of(1) >= (1u << 20));
  CHECK(l.bytes_of(1) <= (2u << 20));
}

TEST_CASE("large payloads take turns; one that has not arrived holds nobody up") {
  far_end l;
  auto arriving = std::make_shared<stream>(std::vector<std::uint64_t>{0, 2u << 20});
  l.queue.push(run(1), arriving, 1);
  l.queue.push(run(2), value(4u << 20), 2);
  l.queue.push(run(3), value(4u << 20), 3);
  l.pump();
  l.queue.set_unsent(0);
  l.pump();
  CHECK(l.bytes_of(2) == (4u << 20) + 4);
  CHECK(l.bytes_of(3) == (4u << 20) + 4);
  // Neither was sent whole before the other began.
  std::vector<std::uint64_t> order;
  for (const auto& m : l.out)
    if (const auto* c = m.get_if<wire::chunk>()) order.push_back(c->transfer);
  CHECK(order[1] != order[2]);
  CHECK(l.bytes_of(1) == 0);
  // Cut-through: what arrives goes on at once.
  CHECK(!arriving->accept({7, 0, bytes::from(std::string(1u << 20, 'a'))}));
  l.queue.set_unsent(0);
  l.pump();
  CHECK(l.bytes_of(1) == (1u << 20));
  CHECK(!arriving->accept({7, 1u << 20, bytes::from(std::string(1u << 20, 'b'))}));
  l.pump();
  CHECK(l.queue.empty());
}

TEST_CASE("taking an entry back") {
  far_end l;
  const auto emit = [&](wire::message&& m) { l.out.push_back(std::move(m)); };
  l.queue.push(run(1), value(50u << 20), 1);
  CHECK(l.queue.remove(1, {}, emit) == send_queue::removed::before_start);
  CHECK(l.out.empty());
  l.queue.push(run(2), value(50u << 20), 2);
  l.pump();
  CHECK(l.queue.remove(2, {.code = errc::cancelled, .message = "no"}, emit) == send_queue::removed::cut_short);
  const auto& end = (*l.out.back().get_if<wire::abort_transfer>());
  CHECK(end.transfer == (*l.out.front().get_if<wire::run>()).arguments.transfer);
  CHECK(end.why.code == errc::cancelled);
  CHECK(l.queue.remove(2, {}, emit) == send_queue::removed::absent);
  CHECK(l.queue.empty());
}

TEST_CASE("where all that have started wait for bytes, more start if that was asked for") {
  far_end l;
  const auto arriving = [] { return std::make_shared<stream>(std::vector<std::uint64_t>{4, 1u << 20}); };
  const auto announced = [&] {
    std::size_t count = 0;
    for (const auto& m : l.out) count += (m.get_if<wire::run>() != nullptr);
    return count;
  };
  for (std::uint64_t i = 1; i <= send_queue::max_active; ++i) l.queue.push(run(i), arriving(), i);
  const std::uint64_t behind = send_queue::max_active + 1;
  l.queue.push(run(behind), value(2u << 20), behind);
  SUBCASE("not asked for") {
    l.pump();
    CHECK(announced() == send_queue::max_active);
    CHECK(l.finished == 0);
  }
  SUBCASE("asked for") {
    l.queue.start_when_starved();
    l.pump();
    CHECK(announced() == send_queue::max_active + 1);
    CHECK(l.finished == 1);
  }
}

TEST_CASE("no more transfers at once than the peer allows") {
  far_end l;
  wire::limits few;
  few.transfers = 2;
  l.queue.set_limits(few);
  for (std::uint64_t i = 1; i <= 5; ++i) l.queue.push(run(i), value(20u << 20), i);
  l.pump();
  std::size_t announced = 0;
  for (const auto& m : l.out) announced += (m.get_if<wire::run>() != nullptr);
  CHECK(announced == 2);
  CHECK(l.queue.would_overtake());
}
