// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dtask/control.hpp"

/// A cluster of the three machines on virtual time, connected by queues of messages without encoding: enough to tell
/// each rule as a short story. Everything that happens is a function of the calls made here. Jobs run until the story
/// ends them, unless a worker is `quick`.
namespace story {

using namespace dtask;
using namespace std::chrono_literals;

inline wire::digest sum(std::span<const std::span<const std::byte>> runs) {
  wire::digest d{14695981039346656037ULL, 0};
  for (const auto& run : runs)
    for (const std::byte b : run) {
      d[0] = (d[0] ^ static_cast<std::uint64_t>(b)) * 1099511628211ULL;
      ++d[1];
    }
  return d;
}
inline payload text(std::string s) { return {bytes::from(std::move(s)), {}}; }
inline payload big(std::size_t size, char fill = 'x') {
  return {bytes::copy("b"), {bytes::from(std::string(size, fill))}};
}
inline wire::job_type type(std::string name, std::uint64_t schema = 1) {
  return {name, schema, "int(int)/" + std::to_string(schema)};
}

class machines {
 public:
  using link_id = control::link_id;
  struct node {
    link_id link = 0;     // 0: none
    bool frozen = false;  // SIGSTOP: nothing in, nothing out, no ticks
    bool dead = false;
  };
  struct worker : node {
    std::unique_ptr<control::worker_state> state;
    std::vector<control::run_job> running;
    std::vector<control::run_job> ran;  // every attempt that was begun
    std::vector<control::stop_job> stops;
    std::map<std::string, std::string> blobs;
    std::vector<std::string> blob_log;
    std::map<std::string, std::uint64_t> announced;
    std::map<std::uint64_t, wire::failure> fetches;  // ended
    std::optional<control::exit> ended;
    bool quick = false;
    bool dial_wanted = false;
    std::uint32_t most_running = 0;
  };
  struct client : node {
    std::unique_ptr<control::client_state> state;
    std::map<std::uint64_t, control::complete> done;
    std::vector<control::call_changed> changes;
    std::map<std::uint64_t, wire::failure> broadcasts;
    std::vector<control::status_arrived> reports;
    std::vector<control::offline> offlines;
    std::vector<std::uint64_t> accepted;
    int onlines = 0;
    bool closed = false;
    bool dial_wanted = false;
  };
  control::coordinator_options options;
  control::worker_options worker_options;
  control::client_options client_options;
  time_point now{1h};
  std::unique_ptr<control::coordinator_state> coordinator;
  std::deque<worker> workers;
  std::deque<client> clients;
  std::vector<std::string> log;
  std::uint64_t messages = 0;
  bool stopped = false;
  std::string violation;
  std::function<void(const wire::message&, bool to_coordinator)> spy;

  machines() { options.digest = worker_options.digest = client_options.digest = &sum; }
  void start_coordinator(std::uint64_t seed = 1) {
    coordinator = std::make_unique<control::coordinator_state>(options, seed, now);
    stopped = false;
    settle();
  }
  std::size_t add_worker(std::uint32_t slots, std::vector<wire::job_type> jobs = {type("job/1")}, bool quick = false) {
    worker& w = workers.emplace_back();
    w.quick = quick;
    control::identity who{wire::role::worker,
                          "w" + std::to_string(workers.size() - 1),
                          "host",
                          static_cast<std::uint32_t>(100 + workers.size()),
                          slots,
                          0,
                          std::move(jobs)};
    w.state = std::make_unique<control::worker_state>(std::move(who), worker_options, workers.size());
    w.state->start(now);
    settle();
    return workers.size() - 1;
  }
  std::size_t add_client(std::vector<wire::job_type> jobs = {type("job/1")}) {
    client& c = clients.emplace_back();
    control::identity who{wire::role::client, "c" + std::to_string(clients.size() - 1), "host", 1, 0, 0,
                          std::move(jobs)};
    c.state = std::make_unique<control::client_state>(std::move(who), client_options, clients.size());
    c.state->start(now);
    settle();
    return clients.size() - 1;
  }
  std::uint64_t submit(std::size_t c, effect e = effect::pure, payload arguments = text("a"), call_request r = {}) {
    r.wishes.effect_class = e;
    r.arguments = std::move(arguments);
    const std::uint64_t id = clients[c].state->submit(std::move(r), now);
    settle();
    return id;
  }
  /// Ends the oldest attempt that runs on this worker.
  void finish(std::size_t w, std::string value = "v", wire::failure why = {}) {
    const control::run_job j = workers[w].running.front();
    workers[w].running.erase(workers[w].running.begin());
    workers[w].state->job_finished(j.job, j.fence, std::move(why), text(std::move(value)), now);
    settle();
  }
  void finish_with(std::size_t w, payload value) {
    const control::run_job j = workers[w].running.front();
    workers[w].running.erase(workers[w].running.begin());
    workers[w].state->job_finished(j.job, j.fence, {}, std::move(value), now);
    settle();
  }
  void finish_all(std::size_t w) {
    while (!workers[w].running.empty()) finish(w);
  }
  /// SIGKILL: the process is gone; its peer sees the connection break.
  void kill(std::size_t w) {
    workers[w].dead = true;
    break_link(workers[w]);
    settle();
  }
  void freeze(std::size_t w, bool frozen = true) {
    workers[w].frozen = frozen;
    settle();
  }
  /// Both ends see the connection break; what was under way is lost.
  void break_link(node& n) {
    if (n.link == 0) return;
    const link_id gone = std::exchange(n.link, 0);
    to_coordinator_.erase(gone);
    to_node_.erase(gone);
    if (coordinator) coordinator->closed(gone, error(errc::io_error, "connection reset"), now);
    tell_closed(n, gone);
  }
  void kill_coordinator() {
    coordinator.reset();
    for (worker& w : workers) drop(w);
    for (client& c : clients) drop(c);
    settle();
  }
  /// Lets the time pass, ticking whoever wants to be.
  void pass(duration d) {
    const time_point until = now + d;
    settle();
    for (;;) {
      time_point at = coordinator ? coordinator->next_tick() : never;
      for (worker& w : workers)
        if (!w.dead && !w.frozen) at = std::min(at, w.state->next_tick());
      for (client& c : clients)
        if (!c.dead && !c.frozen) at = std::min(at, c.state->next_tick());
      if (at > until) break;
      now = std::max(now, at);
      if (coordinator) coordinator->tick(now);
      for (worker& w : workers)
        if (!w.dead && !w.frozen) w.state->tick(now);
      for (client& c : clients)
        if (!c.dead && !c.frozen) c.state->tick(now);
      settle();
    }
    now = until;
  }
  const control::complete& result(std::size_t c, std::uint64_t call) {
    static const control::complete nothing{0, {.code = errc::io_error, .message = "NO RESULT"}, {}, 0, {}};
    const auto at = clients[c].done.find(call);
    return at == clients[c].done.end() ? nothing : at->second;
  }
  bool is_done(std::size_t c, std::uint64_t call) { return clients[c].done.contains(call); }
  bool logged(std::string_view what) const {
    for (const std::string& line : log)
      if (line.find(what) != std::string::npos) return true;
    return false;
  }
  cluster_status report() { return coordinator->report(now); }

  /// Carries out all actions and delivers all messages until nothing moves.
  void settle() {
    for (int rounds = 0; rounds < 1000000; ++rounds) {
      bool moved = false;
      if (coordinator) moved |= run_coordinator();
      for (std::size_t w = 0; w < workers.size(); ++w) moved |= run_worker(workers[w]);
      for (std::size_t c = 0; c < clients.size(); ++c) moved |= run_client(clients[c]);
      moved |= deliver();
      check();
      if (!moved) return;
    }
    violation = "the machines do not come to rest";
  }

 private:
  void check() {
    if (!violation.empty()) return;
    if (coordinator) violation = coordinator->check();
    for (worker& w : workers)
      if (violation.empty()) violation = w.state->check();
    for (client& c : clients)
      if (violation.empty()) violation = c.state->check();
  }
  void drop(node& n) {
    if (n.link == 0) return;
    const link_id gone = std::exchange(n.link, 0);
    to_coordinator_.erase(gone);
    to_node_.erase(gone);
    tell_closed(n, gone);
  }
  void tell_closed(node& n, link_id gone) {
    for (worker& w : workers)
      if (&w == &n && !w.dead) w.state->closed(gone, error(errc::io_error, "connection reset"), now);
    for (client& c : clients)
      if (&c == &n && !c.dead) c.state->closed(gone, error(errc::io_error, "connection reset"), now);
  }
  template <class Node>
  void connect(Node& n) {
    if (!coordinator) return n.state->dial_failed(error(errc::unreachable, "connection refused"), now);
    n.link = ++last_link_;
    coordinator->opened(n.link, "peer:" + std::to_string(n.link), false, now);
    n.state->connected(n.link, now);
  }
  bool run_coordinator() {
    coordinator->take_actions(coordinator_actions_, now);
    if (coordinator_actions_.empty()) return false;
    for (control::coordinator_action& a : coordinator_actions_) {
      if (auto* s = a.get_if<control::send>())
        to_node_[s->link].push_back(std::move(s->what));
      else if (auto* n = a.get_if<control::note>())
        log.push_back(std::string(n->event) + " " + n->text);
      else if (auto* c = a.get_if<control::close_link>())
        closing_.push_back(c->link);
      else if (a.get_if<control::stopped>() != nullptr)
        stopped = true;
    }
    return true;
  }
  bool run_worker(worker& w) {
    if (w.dead || w.frozen) return false;
    bool moved = false;
    w.state->take_actions(worker_actions_, now);
    for (control::worker_action& a : worker_actions_) {
      moved = true;
      if (auto* s = a.get_if<control::send>())
        to_coordinator_[s->link].push_back(std::move(s->what));
      else if (auto* n = a.get_if<control::note>())
        log.push_back("worker " + std::string(n->event) + " " + n->text);
      else if (a.get_if<control::dial>() != nullptr)
        connect(w);
      else if (auto* c = a.get_if<control::close_link>())
        closing_.push_back(c->link);
      else if (auto* s2 = a.get_if<control::stop_job>())
        w.stops.push_back(*s2);
      else if (auto* b = a.get_if<control::blob_available>()) {
        w.blobs[b->name] = std::string(b->value.view());
        w.blob_log.push_back(b->name);
      } else if (auto* told = a.get_if<control::blob_announced>()) {
        w.announced[told->name] = told->number;
        w.blobs.erase(told->name);
      } else if (auto* g = a.get_if<control::blob_withdrawn>()) {
        w.announced.erase(g->name);
        w.blobs.erase(g->name);
      } else if (auto* f = a.get_if<control::fetched>()) {
        w.fetches[f->request] = f->why;
      } else if (auto* e = a.get_if<control::exit>())
        w.ended = *e;
      else if (auto* r = a.get_if<control::run_job>()) {
        w.ran.push_back(*r);
        w.running.push_back(std::move(*r));
        w.most_running = std::max(w.most_running, static_cast<std::uint32_t>(w.running.size()));
      }
    }
    if (w.quick)
      for (control::run_job& r : std::exchange(w.running, {}))
        w.state->job_finished(r.job, r.fence, {}, std::move(r.arguments), now);
    return moved;
  }
  bool run_client(client& c) {
    if (c.dead || c.frozen) return false;
    bool moved = false;
    c.state->take_actions(client_actions_, now);
    for (control::client_action& a : client_actions_) {
      moved = true;
      if (auto* s = a.get_if<control::send>())
        to_coordinator_[s->link].push_back(std::move(s->what));
      else if (auto* n = a.get_if<control::note>())
        log.push_back("client " + std::string(n->event) + " " + n->text);
      else if (a.get_if<control::dial>() != nullptr)
        connect(c);
      else if (auto* l = a.get_if<control::close_link>())
        closing_.push_back(l->link);
      else if (auto* d = a.get_if<control::complete>()) {
        if (c.done.contains(d->call)) violation = "a call was completed twice";
        c.done.emplace(d->call, std::move(*d));
      } else if (auto* ch = a.get_if<control::call_changed>())
        c.changes.push_back(*ch);
      else if (auto* b = a.get_if<control::broadcast_complete>())
        c.broadcasts.emplace(b->number, b->why);
      else if (auto* st = a.get_if<control::status_arrived>())
        c.reports.push_back(std::move(*st));
      else if (auto* off = a.get_if<control::offline>())
        c.offlines.push_back(*off);
      else if (a.get_if<control::online>() != nullptr)
        ++c.onlines;
      else if (const auto* in = a.get_if<control::accepted>())
        c.accepted.push_back(in->call);
      else if (a.get_if<control::closed>() != nullptr)
        c.closed = true;
    }
    return moved;
  }
  bool deliver() {
    bool moved = false;
    for (auto* n : nodes()) {
      if (n->link == 0) continue;
      if (coordinator) {
        const link_id link = n->link;
        std::deque<wire::message> batch = std::exchange(to_coordinator_[link], {});
        for (wire::message& m : batch) {
          moved = true;
          ++messages;
          if (spy) spy(m, true);
          coordinator->received(link, std::move(m), now);
        }
        if (!batch.empty()) coordinator->unsent(link, 0, now);
      }
      if (n->frozen || n->dead) continue;
      const link_id link = n->link;
      std::deque<wire::message> batch = std::exchange(to_node_[link], {});
      for (wire::message& m : batch) {
        moved = true;
        ++messages;
        if (spy) spy(m, false);
        receive(*n, link, std::move(m));
      }
      if (!batch.empty() && coordinator) coordinator->unsent(link, 0, now);
    }
    for (worker& w : workers)
      if (w.link != 0 && !w.dead) w.state->unsent(w.link, 0, now);
    for (client& c : clients)
      if (c.link != 0 && !c.dead) c.state->unsent(c.link, 0, now);
    for (const link_id link : std::exchange(closing_, {})) {
      moved = true;
      for (auto* n : nodes())
        if (n->link == link) {
          n->link = 0;
          // The other end reads what was written before the end, then sees it.
          if (coordinator) {
            for (wire::message& m : std::exchange(to_coordinator_[link], {}))
              coordinator->received(link, std::move(m), now);
            coordinator->closed(link, error(errc::closed, "closed by the peer"), now);
          }
          if (!n->frozen && !n->dead) {
            for (wire::message& m : std::exchange(to_node_[link], {})) receive(*n, link, std::move(m));
            tell_closed(*n, link);
          }
          to_coordinator_.erase(link);
          to_node_.erase(link);
        }
    }
    return moved;
  }
  void receive(node& n, link_id link, wire::message&& m) {
    for (worker& w : workers)
      if (&w == &n) return w.state->received(link, std::move(m), now);
    for (client& c : clients)
      if (&c == &n) return c.state->received(link, std::move(m), now);
  }
  std::vector<node*> nodes() {
    std::vector<node*> all;
    for (worker& w : workers) all.push_back(&w);
    for (client& c : clients) all.push_back(&c);
    return all;
  }

  link_id last_link_ = 0;
  std::map<link_id, std::deque<wire::message>> to_coordinator_, to_node_;
  std::vector<link_id> closing_;
  std::vector<control::coordinator_action> coordinator_actions_;
  std::vector<control::worker_action> worker_actions_;
  std::vector<control::client_action> client_actions_;
};

/// A coordinator whose peers are the test: what they send is what a story needs, and what it sends them is kept.
struct bare {
  control::coordinator_options options;
  time_point now{1h};
  std::unique_ptr<control::coordinator_state> state;
  std::vector<std::pair<control::link_id, wire::message>> sent;
  std::vector<control::link_id> closed;
  std::string violation;

  bare() { options.digest = &sum; }
  void start() { state = std::make_unique<control::coordinator_state>(options, 1, now); }
  void take() {
    std::vector<control::coordinator_action> out;
    for (state->take_actions(out, now); !out.empty(); state->take_actions(out, now))
      for (auto& a : out) {
        if (auto* s = a.get_if<control::send>())
          sent.emplace_back(s->link, std::move(s->what));
        else if (const auto* l = a.get_if<control::close_link>())
          closed.push_back(l->link);
      }
    if (violation.empty()) violation = state->check();
  }
  void get(control::link_id link, wire::message m) {
    state->received(link, std::move(m), now);
    take();
  }
  /// A peer says hello; what it is answered.
  wire::welcome join(control::link_id link, wire::role role, std::uint32_t slots = 1,
                     std::vector<wire::job_type> jobs = {type("job/1")}, wire::hello h = {}) {
    h.role = role;
    h.name = "n" + std::to_string(link);
    h.host = "host";
    h.slots = slots;
    h.jobs = std::move(jobs);
    state->opened(link, "peer", false, now);
    get(link, std::move(h));
    const auto said = all<wire::welcome>(link);
    return said.empty() ? wire::welcome{} : said.back();
  }
  void gone(control::link_id link) {
    state->closed(link, error(errc::io_error, "connection reset"), now);
    take();
  }
  /// What the link takes has been written.
  void drained(control::link_id link) {
    state->unsent(link, 0, now);
    take();
  }
  void tick() {
    state->tick(now);
    take();
  }
  wire::submit submit(std::uint32_t position, payload arguments = text("a"), effect e = effect::pure) {
    wire::submit s;
    s.call = std::uint64_t{1} << 32 | position;
    s.effect_class = e;
    s.arguments.whole = std::move(arguments);
    return s;
  }
  template <class M>
  std::vector<M> all(control::link_id link) const {
    std::vector<M> out;
    for (const auto& each : sent)
      if (const M* const x = each.second.template get_if<M>(); x != nullptr && each.first == link) out.push_back(*x);
    return out;
  }
};

}  // namespace story
