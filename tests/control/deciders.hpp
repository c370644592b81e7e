// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dtask/control/delivery.hpp"
#include "dtask/control/distribution.hpp"
#include "dtask/control/job_lifecycle.hpp"
#include "dtask/control/membership.hpp"
#include "dtask/control/placement.hpp"
#include "dtask/control/random_sequence.hpp"
#include "dtask/control/reception.hpp"

/// The coordinator's deciders over their tables, without a router, peers or time: a test calls one of them and looks at
/// what it has sent and what the tables say.
namespace deciding {

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

inline wire::digest sum(std::span<const std::span<const std::byte>> runs) {
  wire::digest d{7, 0};
  for (const auto& run : runs)
    for (const std::byte b : run) d[0] = d[0] * 31 + static_cast<std::uint64_t>(b);
  return d;
}
inline payload text(std::string s) { return {bytes::from(std::move(s)), {}}; }

struct deciders {
  time_point now = time_point{} + 1h;
  random_sequence random{1};
  coordinator_tables tables;
  switchboard out{tables.peers};
  delivery deliver{tables, out};
  job_lifecycle lifecycle{tables, out, deliver};
  distribution distribute{tables, out, lifecycle};
  placement place{tables, out, deliver, lifecycle, distribute};
  reception receive{tables, out, deliver, lifecycle, distribute};
  membership members{tables, out, deliver, lifecycle, distribute, place, random, 9, now};

  explicit deciders(control::coordinator_options options = {}) : tables(with_digest(std::move(options)), 9, now) {}
  static control::coordinator_options with_digest(control::coordinator_options options) {
    options.digest = &sum;
    return options;
  }

  peer& stranger(link_id link) { return tables.peers.insert(link, "10.0.0." + std::to_string(link), false, now); }
  static wire::hello hello(wire::role role, std::uint64_t schema = 1) {
    wire::hello m;
    m.role = role;
    m.name = role == wire::role::client ? "c" : "w";
    m.host = "host";
    m.slots = role == wire::role::worker ? 1 : 0;
    m.jobs = {{"job/1", schema, "int(int)/" + std::to_string(schema)}};
    return m;
  }
  peer& client(link_id link, std::uint64_t schema = 1) {
    peer& p = stranger(link);
    members.hello(p, hello(wire::role::client, schema), false, now);
    return p;
  }
  peer& worker(link_id link, std::uint32_t slots = 1, std::uint64_t schema = 1) {
    peer& p = stranger(link);
    wire::hello m = hello(wire::role::worker, schema);
    m.slots = slots;
    members.hello(p, std::move(m), false, now);
    return p;
  }
  static wire::submit call(std::uint64_t number, std::string arguments = "a", effect effect_class = effect::pure) {
    wire::submit m;
    m.call = number;
    m.effect_class = effect_class;
    m.arguments.whole = text(std::move(arguments));
    return m;
  }
  /// The job of a call that was accepted.
  std::uint32_t submit(peer& c, wire::submit m) {
    const std::uint64_t number = m.call;
    if (!lifecycle.submitted(c, std::move(m), false, now).empty()) return none;
    return tables.sessions.job_of(c.index, number);
  }

  /// The messages that were sent on this link since the last look, of any kind; other links' are dropped.
  std::vector<wire::message> sent(const peer& to) {
    std::vector<coordinator_action> actions;
    out.take(actions);
    std::vector<wire::message> messages;
    for (coordinator_action& a : actions)
      if (control::send* const s = a.get_if<control::send>(); s != nullptr && s->link == to.link)
        messages.push_back(std::move(s->what));
    return messages;
  }
  /// Of those, the ones of one kind.
  template <class Message>
  std::vector<Message> sent(const peer& to) {
    std::vector<Message> found;
    for (wire::message& m : sent(to))
      if (Message* const each = m.get_if<Message>()) found.push_back(std::move(*each));
    return found;
  }
  std::string check() const { return tables.check(true); }
};

}  // namespace deciding
