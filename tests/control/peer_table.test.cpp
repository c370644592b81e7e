// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/peer_table.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

namespace {

const time_point start = time_point{} + 1h;

}  // namespace

TEST_CASE("a connection is a stranger until it has a role or is gone") {
  peer_table peers;
  peer& a = peers.insert(1, "a", true, start);
  peer& b = peers.insert(2, "b", false, start);
  peers.insert(3, "c", false, start);
  CHECK(a.trusted);
  CHECK(b.heard == start);
  CHECK(peers.strangers() == 3);
  peers.set_role(a, peer_role::client, 4);
  CHECK(a.index == 4);
  peers.set_role(b, peer_role::closing, none);
  CHECK(peers.strangers() == 1);
  peers.set_role(a, peer_role::closing, a.index);
  CHECK(peers.strangers() == 1);
  CHECK(peers.check() == "");
  const std::unique_ptr<peer> gone = peers.take(3);
  CHECK(gone->address == "c");
  CHECK(peers.strangers() == 0);
  CHECK(peers.take(3) == nullptr);
  CHECK(peers.size() == 2);
  CHECK(peers.check() == "");
}

TEST_CASE("a connection is found while it is in the table, and no link is 0") {
  peer_table peers;
  peer& a = peers.insert(1, "a", false, start);
  peers.insert(2, "b", false, start);
  CHECK(peers.find(0) == nullptr);
  CHECK(peers.find(1) == &a);
  CHECK(std::as_const(peers).find(1) == &a);
  CHECK(peers.find(2)->address == "b");
  peers.find(1);
  peers.take(1);
  CHECK(peers.find(1) == nullptr);
}

TEST_CASE("each peer that was touched is flushed, one that flushing touches too, and one that is gone is not") {
  peer_table peers;
  peer& a = peers.insert(1, "a", false, start);
  peer& b = peers.insert(2, "b", false, start);
  peer& c = peers.insert(3, "c", false, start);
  peers.touch(a);
  peers.touch(a);
  peers.touch(c);
  peers.take(3);
  CHECK(peers.check() == "");
  std::vector<link_id> flushed;
  peers.end_turn([&](peer& p) {
    flushed.push_back(p.link);
    if (p.link == 1) peers.touch(b);
  });
  CHECK(flushed == std::vector<link_id>{1, 2});
  flushed.clear();
  peers.end_turn([&](peer& p) { flushed.push_back(p.link); });
  CHECK(flushed.empty());
}

TEST_CASE("what was sent counts for its turn, and takes acknowledgements along") {
  peer_table peers;
  peer& a = peers.insert(1, "a", false, start);
  CHECK(!peers.sent_in_turn(a));
  peers.sent(a);
  CHECK(peers.sent_in_turn(a));
  CHECK(!a.dirty);
  a.acks.push_back(7);
  peers.sent(a);
  CHECK(a.dirty);
  peers.end_turn([](peer&) {});
  CHECK(!a.dirty);
  CHECK(!peers.sent_in_turn(a));
}

TEST_CASE("broadcasts on their way in are summed, other payloads are not") {
  peer_table peers;
  peer& a = peers.insert(1, "a", false, start);
  const auto arriving = [&](payload_of what, const char* text) {
    incoming i;
    i.what = what;
    i.from = make_stream(payload{bytes::copy(std::string_view(text)), {}});
    a.in.push_back(std::move(i));
  };
  arriving(payload_of::arguments, "12345");
  arriving(payload_of::broadcast, "123");
  CHECK(peers.arriving_broadcasts() == 3);
}

TEST_CASE("check finds what was written past the table") {
  peer_table peers;
  peer& a = peers.insert(1, "a", false, start);
  a.dirty = true;
  CHECK(peers.check() == "a peer that has something to send is forgotten: a");
  a.dirty = false;
  a.role = peer_role::observer;
  CHECK(peers.check() == "strangers: counted 1, found 0");
  a.role = peer_role::worker;
  CHECK(peers.check() == "a peer is nobody's: a");
}
