// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "chaos_plan.hpp"
#include "dtask/base/error.hpp"
#include "simulation.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

/// What came out of one random simulation.
struct chaos_report {
  std::uint64_t seed = 0;
  std::vector<std::string> violations;  ///< empty: everything held
  std::uint64_t hash = 0;               ///< over all that happened
  std::uint64_t steps = 0;
  std::uint64_t calls = 0;
  std::uint64_t executions = 0;
  std::uint64_t faults = 0;
  std::map<errc, std::uint64_t> ends;
  duration took{};    ///< virtual time of all
  duration healed{};  ///< from the last fault to the last end of a call
};

/// A random cluster with random jobs and random faults, all from one seed, run to its end: faults for a while, then
/// none, then every call has to end and everything has to be given back. What must hold is judged by the `ledger` at
/// every step.
class chaos {
 public:
  explicit chaos(std::uint64_t seed, std::FILE* trace_to = nullptr)
      : seed_(seed), draw_(seed ^ 0xc4a05u), plan_(draw_), all_(seed, plan_.network, trace_to) {}

  chaos_report run(unsigned check_every = 8) {
    all_.check_every(check_every);
    begin();
    if (!plan_.calm) schedule_fault();
    all_.run_for(plan_.fault_time);
    faults_over_ = true;
    // Pauses are not cut short: nobody knows of the last fault when it is over.
    all_.run_until([this] { return paused_ == 0; }, std::chrono::minutes(2));
    const time_point calm_again = all_.now();
    heal();
    all_.run_for(std::chrono::milliseconds(1));  // calls that frozen clients were told to make are made
    // Work that is still to do, on the one slot that may be left, and what the cluster needs to notice and repair: the
    // stated bound.
    const bool ended =
        all_.run_until([this] { return all_.book().open_calls() == 0 && nothing_waits(); }, plan_.bound());
    const duration healed = all_.now() - calm_again;
    if (!ended && all_.sound()) {
      std::string open;
      for (const call_entry& c : all_.book().calls())
        if (!c.ended && open.size() < 400) open += (open.empty() ? "" : ", ") + all_.book().name(c);
      all_.book().violated(std::to_string(all_.book().open_calls()) + " calls have not ended " +
                           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(plan_.bound()).count()) +
                           " s after the last fault: " + open + "; " + counts());
    }
    if (all_.sound()) end();
    chaos_report out;
    out.seed = seed_;
    out.violations = all_.violations();
    out.hash = all_.in().log.hash();
    out.steps = all_.steps();
    out.calls = all_.book().submitted_calls();
    out.executions = all_.book().executions().size();
    out.faults = faults_;
    out.ends = all_.book().ends();
    out.took = all_.now() - began_;
    out.healed = healed;
    return out;
  }

 private:
  struct place {
    host_id host = 0;
    worker_process::setting setting;
    worker_process* now = nullptr;
    bool replaced = false;  ///< a new process is on its way
  };

  void begin() {
    began_ = all_.now();
    if (plan_.tight) all_.book().may_overload();
    if (plan_.slow) all_.book().slow_network();
    if (!plan_.calm) all_.book().disturbed();
    start_coordinator();
    for (std::uint32_t i = 0; i < plan_.workers; ++i) {
      place p;
      p.host = all_.new_host();
      p.setting = plan_.worker(draw_, i);
      places_.push_back(p);
    }
    for (std::size_t i = 0; i < places_.size(); ++i)
      at(i == 0 ? duration::zero() : draw_.time(duration::zero(), plan_.join_within), [this, i] { start(i); });
    for (std::uint32_t i = 0; i < plan_.clients; ++i)
      at(draw_.time(duration::zero(), plan_.fault_time / 4), [this] { start_client(plan_.calls); });
    supervise();
  }

  template <class F>
  void at(duration after, F f) {
    all_.in().clock.call_after(after, std::move(f));
  }
  void start(std::size_t i) {
    place& p = places_[i];
    p.replaced = false;
    if (p.now == nullptr || !p.now->alive()) p.now = &all_.start_worker(p.setting, p.host);
  }
  /// Replaces worker processes that ended, as spawn:// and launchers do.
  void supervise() {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      place& p = places_[i];
      if (p.now == nullptr || p.now->alive() || p.replaced || ending_) continue;
      p.replaced = true;
      if (all_.coordinator_up() && draw_.chance(0.3))
        all_.coordinator().process_ended(p.now->pid(), "killed by signal 9");
      at(faults_over_ ? std::chrono::milliseconds(200)
                      : draw_.time(std::chrono::milliseconds(10), std::chrono::seconds(4)),
         [this, i] {
           if (!ending_) start(i);
         });
    }
    if (!ending_) at(std::chrono::milliseconds(50), [this] { supervise(); });
  }
  void start_client(std::uint32_t calls) {
    client_process& c = all_.start_client(plan_.client(draw_));
    const duration left = plan_.fault_time - (all_.now() - began_);
    for (std::uint32_t i = 0; i < plan_.broadcasts; ++i)
      at(draw_.time(duration::zero(), left), [this, &c] {
        const std::size_t which = draw_.below(std::size(value_names));
        const char* const name = value_names[which];
        const std::size_t size = plan_.broadcast_size(draw_);
        const blob_kind usual = which < 2 ? blob_kind::broadcast : blob_kind::published;
        const blob_kind other = which < 2 ? blob_kind::published : blob_kind::broadcast;
        const blob_kind kind = draw_.chance(0.2) ? blob_kind::withdrawn : draw_.chance(0.2) ? other : usual;
        if (draw_.chance(0.05)) c.broadcast(std::string(std::size_t{2} << 20, 'n'), size);  // no frame holds that name
        c.broadcast(name, size, kind);
      });
    duration when{};
    for (std::uint32_t i = 0; i < calls; ++i) {
      if (!draw_.chance(plan_.burst)) when = draw_.time(duration::zero(), left);
      at(when, [&c, wish = plan_.wish(draw_)] { c.call(wish); });
    }
    if (draw_.chance(0.3)) at(draw_.time(duration::zero(), left), [&c] { c.query_status(); });
    if (plan_.calls_again != 0) c.on_end([this, &c](const call_entry&, const control::complete&) { again(c); });
  }
  /// Some clients make another call whenever one has ended.
  void again(client_process& c) {
    if (faults_over_ || plan_.calls_again == 0) return;
    --plan_.calls_again;
    at(duration::zero(), [&c, wish = plan_.wish(draw_)] { c.call(wish); });
  }
  /// What the coordinator says about its jobs.
  std::string counts() {
    if (!all_.coordinator_up()) return "no coordinator is up";
    const cluster_status r = all_.coordinator().report();
    return "the coordinator has " + std::to_string(r.queued) + " jobs queued, " + std::to_string(r.assigned) +
           " assigned, " + std::to_string(r.running) + " running, " + std::to_string(r.waiting_retry) +
           " waiting to retry, and " + std::to_string(r.result_bytes) + " bytes of results";
  }
  bool nothing_waits() {
    for (const client_process* c : all_.living_clients())
      if (c->open() != 0) return false;
    return true;
  }

  void schedule_fault() {
    const double mean = static_cast<double>(plan_.fault_interval.count());
    double u = 0;
    for (int i = 0; i < 3; ++i) u += static_cast<double>(draw_.below(1'000'000)) / 1'500'000.0;
    at(duration(static_cast<std::int64_t>(mean * u)), [this] {
      if (faults_over_) return;
      one_fault();
      schedule_fault();
    });
  }
  host_id any_host() {
    std::vector<host_id> hosts;
    for (const place& p : places_) hosts.push_back(p.host);
    for (const client_process* c : all_.living_clients()) hosts.push_back(c->host());
    return hosts[draw_.below(hosts.size())];
  }
  void one_fault() {
    const std::vector<fault>& kinds = plan_.faults;
    if (kinds.empty()) return;
    ++faults_;
    const std::vector<worker_process*> workers = all_.living_workers();
    const std::vector<client_process*> clients = all_.living_clients();
    worker_process* const w = workers.empty() ? nullptr : workers[draw_.below(workers.size())];
    client_process* const c = clients.empty() ? nullptr : clients[draw_.below(clients.size())];
    const duration shorter = draw_.time(std::chrono::milliseconds(50), std::chrono::seconds(3));
    const duration longer = draw_.time(std::chrono::seconds(3), std::chrono::seconds(14));
    const duration lasts = draw_.chance(0.5) ? shorter : longer;
    const duration pause = draw_pause();
    switch (kinds[draw_.below(kinds.size())]) {
      case fault::break_link:
        all_.net().break_one();
        break;
      case fault::break_host:
        all_.net().break_all(any_host());
        break;
      case fault::partition:
        partition(any_host(), lasts);
        break;
      case fault::freeze_worker:
        if (w != nullptr) freeze(*w, pause);
        break;
      case fault::freeze_client:
        if (c != nullptr) {
          all_.book().client_frozen(c->id());
          freeze(*c, pause);
        }
        break;
      case fault::freeze_coordinator:
        if (all_.coordinator_up()) freeze(all_.coordinator(), pause);
        break;
      case fault::kill_worker:
        if (w != nullptr) kill(*w);
        break;
      case fault::kill_all_workers:
        for (worker_process* each : workers) each->kill(draw_.chance(0.7), false);
        break;
      case fault::drain_worker:
        if (w != nullptr) w->drain();
        break;
      case fault::slow_worker:
        if (w != nullptr) w->set_slowness(draw_.chance(0.5) ? 8 : 1);
        break;
      case fault::kill_coordinator:
        if (all_.coordinator_up()) {
          kill(all_.coordinator());
          at(lasts, [this] { restart_coordinator(); });
        }
        break;
      case fault::end_coordinator:
        if (all_.coordinator_up()) {
          all_.book().disturbed();
          if (draw_.chance(0.8))
            all_.coordinator().drain();
          else
            all_.coordinator().stop();
          follow_coordinator(lasts);
        }
        break;
      case fault::kill_client:
        if (c != nullptr && clients.size() > 1) {
          kill(*c);
          start_client(plan_.calls / 4);
        }
        break;
      case fault::close_client:
        if (c != nullptr && clients.size() > 1) {
          c->close(draw_.chance(0.3));
          start_client(plan_.calls / 4);
        }
        break;
    }
  }
  /// A process that stands still: long enough to be taken for dead, sometimes for longer than anybody waits for it.
  duration draw_pause() {
    if (draw_.chance(0.4)) return draw_.time(std::chrono::milliseconds(50), std::chrono::seconds(5));
    if (draw_.chance(0.9)) return draw_.time(std::chrono::seconds(5), std::chrono::seconds(15));
    return draw_.time(std::chrono::seconds(60), std::chrono::seconds(80));
  }
  // Two draws are two statements: the order of a call's arguments is the compiler's.
  template <class Node>
  void kill(Node& n) {
    const bool politely = draw_.chance(0.7), silently = draw_.chance(0.2);
    n.kill(politely, silently);
  }
  template <class Node>
  void freeze(Node& n, duration time) {
    n.freeze();
    ++paused_;
    at(time, [this, &n] {
      --paused_;
      n.thaw();
    });
  }
  void partition(host_id host, duration time) {
    all_.book().disturbed();
    const bool to = draw_.chance(0.7), from = !to || draw_.chance(0.7);
    if (to) all_.net().block(host, simulation::coordinator_host);
    if (from) all_.net().block(simulation::coordinator_host, host);
    at(time, [this, host] {
      all_.net().unblock(host, simulation::coordinator_host);
      all_.net().unblock(simulation::coordinator_host, host);
    });
  }
  /// Another one takes its place some time after it has ended.
  void follow_coordinator(duration later) {
    if (all_.coordinator_up())
      return at(std::chrono::milliseconds(20), [this, later] {
        if (!ending_) follow_coordinator(later);
      });
    at(faults_over_ ? std::chrono::milliseconds(200) : later, [this] { restart_coordinator(); });
  }
  void restart_coordinator() {
    if (!all_.coordinator_up() && !ending_) start_coordinator();
  }
  void start_coordinator() {
    coordinator_process& c = all_.start_coordinator(plan_.coordinator);
    c.on_failure([this](process_id worker) { break_after_failure(worker); });
    c.on_transfer([this](process_id sender, bool result) { break_in_transfer(sender, result); });
  }
  /// Aimed at what is half way: the link of a client breaks while its broadcast arrives, or a result for some client.
  void break_in_transfer(process_id sender, bool result) {
    if (faults_over_ || plan_.calm || !draw_.chance(0.1)) return;
    const std::vector<client_process*> clients = all_.living_clients();
    if (clients.empty()) return;
    const client_process* client = clients[draw_.below(clients.size())];
    for (const client_process* each : clients)
      if (!result && each->id() == sender) client = each;
    ++faults_;
    at(draw_.time(duration::zero(), std::chrono::milliseconds(20)),
       [this, host = client->host()] { all_.net().break_all(host); });
  }
  /// Aimed at the fences: the link breaks before the worker has read that its report came, so it reports the failed
  /// attempt again, perhaps when the next attempt runs there.
  void break_after_failure(process_id worker) {
    if (faults_over_ || plan_.calm || !draw_.chance(0.3)) return;
    for (const worker_process* w : all_.living_workers())
      if (w->id() == worker) {
        ++faults_;
        const host_id host = w->host();
        at(draw_.time(std::chrono::milliseconds(1), std::chrono::milliseconds(8)),
           [this, host] { all_.net().break_all(host); });
        return;
      }
  }
  void heal() {
    all_.net().unblock_all();
    for (worker_process* w : all_.living_workers()) {
      w->thaw();
      w->set_slowness(1);
    }
    for (client_process* c : all_.living_clients()) c->thaw();
    if (all_.coordinator_up()) all_.coordinator().thaw();
    restart_coordinator();
  }

  /// Everybody leaves, in order; then nothing may be left.
  void end() {
    // Jobs that a client gave up by itself end at the coordinator a little later.
    all_.run_for(std::chrono::seconds(12));
    all_.book().check_all_answered(all_.coordinator().id());
    for (client_process* c : all_.living_clients()) c->close(draw_.chance(0.2));
    const auto all_closed = [this] { return all_.living_clients().empty(); };
    if (!all_.run_until(all_closed, std::chrono::seconds(20)) && all_.sound())
      all_.book().violated("a client does not close");
    // Sessions of clients that were killed, and jobs that ignore being stopped, take their time.
    const auto nobody = [this] {
      const cluster_status r = all_.coordinator().report();
      return r.clients == 0 && r.queued + r.assigned + r.running + r.waiting_retry == 0 && r.payload_bytes == 0 &&
             r.broadcast_bytes == 0;
    };
    all_.run_until(nobody, plan_.coordinator.session_grace + plan_.coordinator.lost_after + std::chrono::seconds(10));
    if (!all_.sound()) return;
    all_.coordinator().check_empty();
    const auto forgotten = [this] {
      for (const worker_process* w : all_.living_workers())
        if (w->open_sessions() != 0) return false;
      return true;
    };
    if (!all_.run_until(forgotten, std::chrono::seconds(10)) && all_.sound())
      all_.book().violated("a worker keeps the session of a client that is gone");
    ending_ = true;
    for (worker_process* w : all_.living_workers())
      if (draw_.chance(0.5)) w->drain();
    if (draw_.chance(0.5)) all_.run_for(draw_.time(duration::zero(), std::chrono::seconds(2)));
    all_.coordinator().drain();
    const auto all_over = [this] { return !all_.coordinator_up() && all_.living_workers().empty(); };
    if (!all_.run_until(all_over, plan_.coordinator.drain_within + std::chrono::seconds(90)) && all_.sound())
      all_.book().violated(all_.coordinator_up() ? "the coordinator does not stop after it was told to drain"
                                                 : "a worker does not end after the coordinator has gone");
    all_.run_for(std::chrono::seconds(10));
    if (const std::string open = all_.net().open_ends(); all_.sound() && !open.empty())
      all_.book().violated("connections are still open after everybody has left: host " + open);
  }

  const std::uint64_t seed_;
  random_source draw_;
  chaos_plan plan_;
  simulation all_;
  time_point began_{};
  std::vector<place> places_;
  std::uint64_t faults_ = 0;
  std::uint32_t paused_ = 0;
  bool faults_over_ = false;
  bool ending_ = false;
};

/// Runs the simulation of one seed.
inline chaos_report run_chaos(std::uint64_t seed, std::FILE* trace_to = nullptr, unsigned check_every = 8) {
  return chaos(seed, trace_to).run(check_every);
}

}  // namespace harness
