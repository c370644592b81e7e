// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/sim/network_traits.hpp"
#include "dtask/sim/random_source.hpp"
#include "dtask/sim/trace.hpp"
#include "dtask/sim/virtual_link.hpp"
#include "dtask/sim/virtual_scheduler.hpp"

DTASK_BEGIN
namespace sim {

/// The network between simulated hosts: connections that can be slow, break, or fall silent.
///
/// Thread safety: none.
class network final : public virtual_link::surroundings {
 public:
  using end = std::shared_ptr<virtual_link>;
  /// The two ends of a connection are born together and die together.
  using accepted = std::function<void(end)>;
  using dialled = std::function<void(end, const error&)>;

  network(virtual_scheduler& clock, random_source chance, trace& log, const network_traits& traits)
      : clock_(clock), chance_(chance), log_(log), traits_(traits) {}

  /// Connections to `host` are given to `to`, until `unlisten`.
  void listen(host_id host, accepted to) { listening_[host] = std::move(to); }
  void unlisten(host_id host) { listening_.erase(host); }

  /// Connects `from` with `to`; `then` is called once, never inside this call.
  void dial(host_id from, host_id to, dialled then) {
    const duration way = chance_.time(traits_.latency_min, traits_.latency_max);
    clock_.call_after(way, [this, from, to, way, then = std::move(then)]() mutable {
      arrive(from, to, way, std::move(then), clock_.now() + traits_.dial_gives_up);
    });
  }

  /// Bytes from `from` do not reach `to` any more, without either being told.
  void block(host_id from, host_id to) {
    blocked_.insert({from, to});
    log_.event("net", "block", from, to);
  }
  void unblock(host_id from, host_id to) {
    blocked_.erase({from, to});
    log_.event("net", "unblock", from, to);
    resume_all();
  }
  void unblock_all() {
    blocked_.clear();
    resume_all();
  }
  bool blocked(host_id from, host_id to) const override { return !blocked_.empty() && blocked_.contains({from, to}); }

  void freeze(host_id host) { frozen_.insert(host); }
  void thaw(host_id host) {
    frozen_.erase(host);
    resume_all();
  }
  bool frozen(host_id host) const override { return !frozen_.empty() && frozen_.contains(host); }

  /// The process at `host` ended. `silently`: its machine with it, so nobody is told until `machine_back`.
  void process_died(host_id host, bool politely, bool silently) {
    for (const auto& c : links())
      for (virtual_link& l : c->ends)
        if (l.here() == host && !l.over()) {
          if (silently)
            l.machine_died();
          else
            l.process_died(politely);
        }
    frozen_.erase(host);
  }
  void machine_back(host_id host) {
    for (const auto& c : links())
      for (virtual_link& l : c->ends)
        if (l.here() == host) l.machine_back();
  }
  /// Breaks one living connection, drawn by chance, or all of `host`. Returns how many.
  std::size_t break_one() {
    const std::vector<std::shared_ptr<connection>> all = links();
    if (all.empty()) return 0;
    cut(*all[chance_.below(all.size())]);
    return 1;
  }
  std::size_t break_all(host_id host) {
    std::size_t count = 0;
    for (const auto& c : links())
      if (c->ends[0].here() == host || c->ends[1].here() == host) {
        cut(*c);
        ++count;
      }
    return count;
  }
  /// Breaks what has been stuck for too long, as TCP does after enough retransmissions. The driver of the simulation
  /// calls it now and then.
  void end_stuck_links() {
    const time_point since = clock_.now() - traits_.stuck_link_ends;
    for (const auto& c : links())
      if ((c->ends[0].stuck_since(since) && blocked(c->ends[0].there(), c->ends[0].here())) ||
          (c->ends[1].stuck_since(since) && blocked(c->ends[1].there(), c->ends[1].here())))
        cut(*c);
  }
  /// The traits of connections made from now on.
  void set_traits(const network_traits& traits) noexcept { traits_ = traits; }

  /// What went wrong that never should: one line each.
  const std::vector<std::string>& faults() const noexcept { return faults_; }
  /// The ends that are not over, by their hosts; empty: none.
  std::string open_ends() {
    std::string out;
    for (const auto& c : links())
      for (const virtual_link& l : c->ends)
        if (!l.over()) out += (out.empty() ? "" : ", ") + std::to_string(l.here()) + " to " + std::to_string(l.there());
    return out;
  }

 private:
  struct connection {
    connection(network& net, host_id from, host_id to, const link_traits& there, const link_traits& back)
        : ends{{net, net.clock_, net.chance_, from, to, wire::side::connecting, there},
               {net, net.clock_, net.chance_, to, from, wire::side::listening, back}} {
      virtual_link::join(ends[0], ends[1]);
    }
    virtual_link ends[2];
  };

  void broken(const std::string& why) override {
    if (faults_.size() < 16) faults_.push_back(why);
  }
  void arrive(host_id from, host_id to, duration way, dialled then, time_point give_up) {
    if (blocked(from, to) || blocked(to, from)) {
      if (clock_.now() >= give_up)
        return then(nullptr, error(errc::unreachable, "no answer", "sim:" + std::to_string(to)));
      clock_.call_after(std::chrono::milliseconds(500),
                        [this, from, to, way, then = std::move(then), give_up]() mutable {
                          arrive(from, to, way, std::move(then), give_up);
                        });
      return;
    }
    const auto listener = listening_.find(to);
    if (listener == listening_.end()) {
      clock_.call_after(way, [to, then = std::move(then)] {
        then(nullptr, error(errc::unreachable, "connection refused", "sim:" + std::to_string(to)));
      });
      return;
    }
    const link_traits there = draw(way), back = draw(way);
    auto c = std::make_shared<connection>(*this, from, to, there, back);
    connections_.push_back(c);
    log_.event("net", "connect", from, to);
    listener->second(end(c, &c->ends[1]));
    clock_.call_after(way, [c, then = std::move(then)] { then(end(c, &c->ends[0]), {}); });
  }
  link_traits draw(duration way) {
    link_traits t;
    t.latency = way;
    t.jitter = traits_.jitter;
    t.bytes_per_second = traits_.bytes_per_second;
    t.window = static_cast<std::size_t>(chance_.spread(traits_.window_min, traits_.window_max));
    t.tiny_reads = traits_.tiny_reads;
    return t;
  }
  void cut(connection& c) {
    log_.event("net", "cut", c.ends[0].here(), c.ends[1].here());
    for (virtual_link& l : c.ends) l.cut_off(error(errc::io_error, "connection broken", l.peer()));
  }
  void resume_all() {
    for (const auto& c : links())
      for (virtual_link& l : c->ends) l.resume();
  }
  /// The connections that are not over at both ends; the others are let go.
  std::vector<std::shared_ptr<connection>> links() {
    std::erase_if(connections_, [](const std::shared_ptr<connection>& c) {
      return c->ends[0].over() && c->ends[1].over() && c.use_count() == 1;
    });
    std::vector<std::shared_ptr<connection>> open;
    for (const auto& c : connections_)
      if (!c->ends[0].over() || !c->ends[1].over()) open.push_back(c);
    return open;
  }

  virtual_scheduler& clock_;
  random_source chance_;
  trace& log_;
  network_traits traits_;
  std::map<host_id, accepted> listening_;
  std::set<std::pair<host_id, host_id>> blocked_;
  std::set<host_id> frozen_;
  std::vector<std::shared_ptr<connection>> connections_;
  std::vector<std::string> faults_;
};

}  // namespace sim
DTASK_END
