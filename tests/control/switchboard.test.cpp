// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/switchboard.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace dtask;
using namespace dtask::control;

TEST_CASE("switchboard: what was decided comes out once, in its order") {
  peer_table peers;
  switchboard out(peers);
  peer& a = peers.insert(1, "a", false, {});
  out.say(log_level::info, "first", "1");
  out.send(a, wire::ping{7});
  out.act(stopped{});
  CHECK(peers.sent_in_turn(a));
  std::vector<coordinator_action> actions(5);
  out.take(actions);
  REQUIRE(actions.size() == 3);
  REQUIRE(actions[0].get_if<note>() != nullptr);
  CHECK(actions[0].get_if<note>()->event == "first");
  REQUIRE(actions[1].get_if<send>() != nullptr);
  CHECK(actions[1].get_if<send>()->link == 1);
  CHECK(actions[2].get_if<stopped>() != nullptr);
  out.take(actions);
  CHECK(actions.empty());
}

TEST_CASE("switchboard: after its refusal a peer hears nothing more, and is closed once") {
  peer_table peers;
  switchboard out(peers);
  peer& p = peers.insert(4, "p", false, {});
  out.refuse(p, errc::refused, "no");
  out.send(p, wire::ping{1});
  out.close(p, error(errc::closed, "again"), true);
  CHECK(p.role == peer_role::closing);
  CHECK(peers.strangers() == 0);
  std::vector<coordinator_action> actions;
  out.take(actions);
  std::vector<const send*> sends;
  std::vector<const close_link*> closes;
  for (const coordinator_action& a : actions) {
    if (const send* const s = a.get_if<send>()) sends.push_back(s);
    if (const close_link* const c = a.get_if<close_link>()) closes.push_back(c);
  }
  REQUIRE(sends.size() == 1);
  CHECK(sends[0]->what.get_if<wire::refuse>() != nullptr);
  REQUIRE(closes.size() == 1);
  CHECK(!closes[0]->now);
  CHECK(closes[0]->why.code() == errc::refused);
}
