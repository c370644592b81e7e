// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/decider.hpp"

#include <doctest/doctest.h>

using namespace dtask;
using namespace dtask::control;

namespace {

struct looks : decider {
  looks(coordinator_tables& tables, switchboard& out) : decider(tables, out) {}
  using decider::client_peer;
  using decider::worker_peer;
};

}  // namespace

TEST_CASE("decider: a worker and a session have a connection while they are attached") {
  coordinator_tables tables({}, 1, {});
  switchboard out(tables.peers);
  looks at(tables, out);
  peer& p = tables.peers.insert(1, "p", false, {});
  const std::uint32_t w = tables.workers.insert("host", "w"), s = tables.sessions.insert("host/c", {});
  CHECK(at.worker_peer(w) == nullptr);
  CHECK(at.client_peer(s) == nullptr);
  tables.workers.attach(w, 1, {});
  tables.sessions.attach(s, 1);
  CHECK(at.worker_peer(w) == &p);
  CHECK(at.client_peer(s) == &p);
  tables.workers.detach(w, {});
  tables.sessions.detach(s, {});
  CHECK(at.worker_peer(w) == nullptr);
  CHECK(at.client_peer(s) == nullptr);
}
