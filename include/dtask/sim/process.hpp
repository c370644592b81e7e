// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/action.hpp"
#include "dtask/sim/network.hpp"
#include "dtask/sim/world.hpp"
#include "dtask/wire/frame.hpp"
#include "dtask/wire/link.hpp"

DTASK_BEGIN
namespace sim {

/// A simulated process: drives one state machine of `Action`s over its links, as node/ does with real ones. It can be
/// frozen, killed, or end by itself; it is not started a second time.
///
/// The derived class owns the machine and forwards to it. Thread safety: none.
template <class Action>
class process {
 public:
  process(world& in, host_id host, std::string name)
      : in_(in), id_(++in.last_process), host_(host), name_(std::move(name)), wake_(in.clock, [this] {
          when_awake([this] { on_time(); });
        }) {}
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  process_id id() const noexcept { return id_; }
  host_id host() const noexcept { return host_; }
  const std::string& name() const noexcept { return name_; }
  bool alive() const noexcept { return alive_; }
  bool frozen() const noexcept { return frozen_; }
  std::size_t links() const noexcept { return links_.size(); }
  /// Bytes that wait in the links.
  std::size_t unsent() const noexcept {
    std::size_t total = 0;
    for (const auto& [id, l] : links_) total += l->at->unsent();
    return total;
  }

  /// The most that one link had waiting at any time.
  std::size_t most_unsent_bytes() const noexcept { return most_unsent_; }

  /// Stops the process where it stands (SIGSTOP): its system still takes bytes, nothing of it runs.
  void freeze() {
    if (!alive_ || frozen_) return;
    in_.log.event(name_, "freeze");
    in_.book.disturbed();
    frozen_ = true;
    in_.net.freeze(host_);
  }
  void thaw() {
    if (!alive_ || !frozen_) return;
    in_.log.event(name_, "thaw");
    frozen_ = false;
    in_.net.thaw(host_);
    // What came while it slept happens now, in no particular order to the links' bytes.
    for (auto& late : std::exchange(late_, {}))
      in_.clock.call_after(duration::zero(), [this, each = std::move(late)] { when_awake(each.first, each.second); });
  }
  /// Ends the process at once. `politely`: its system delivers what it holds. `silently`: its machine dies with it,
  /// nobody is told.
  void kill(bool politely, bool silently) {
    if (!alive_) return;
    in_.log.event(name_, "killed", politely, silently);
    in_.book.disturbed();
    end(politely, silently);
  }

 protected:
  ~process() = default;

  // ---- what the derived class forwards to its machine ----
  virtual void link_received(control::link_id link, wire::message&& m) = 0;
  virtual void link_heard(control::link_id link) = 0;
  virtual void link_closed(control::link_id link, const error& why) = 0;
  virtual void link_unsent(control::link_id link, std::size_t bytes) = 0;
  virtual void tick() = 0;
  virtual time_point next_tick() const = 0;
  virtual void take_actions(std::vector<Action>& out) = 0;
  virtual void carry_out(Action& what) = 0;
  /// The process is over, however it ended.
  virtual void died() = 0;
  /// Looks at a message on its way out.
  virtual void sees_sent(control::link_id, const wire::message&) {}
  /// The machine has come to rest.
  virtual void turn_ended() {}

  time_point now() const noexcept { return in_.clock.now(); }
  virtual_link* link(control::link_id id) const {
    const auto at = links_.find(id);
    return at == links_.end() ? nullptr : at->second->at.get();
  }
  /// Takes over this end of a new connection.
  control::link_id adopt(network::end end, const wire::limits& own) {
    const control::link_id id = ++last_link_;
    auto& l = links_[id];
    l = std::make_unique<attached>(*this, id, std::move(end));
    l->at->attach(*l, own);
    return id;
  }
  /// Runs `what` now, or at the end of the freeze; never after the end of the process.
  void when_awake(std::function<void()> what) {
    when_awake(std::move(what), [] {});
  }
  /// Connects to `to`, if it listens, and says how that went. Where the process has ended before it could take the
  /// connection, its system closes it.
  void dial(host_id to, std::function<void(network::end, const error&)> then) {
    dials_.push_back(now());
    while (dials_.front() + std::chrono::seconds(1) <= now()) dials_.pop_front();
    if (dials_.size() == most_dials)
      in_.book.violated(name_ + " dials " + std::to_string(most_dials) + " times within a second");
    in_.net.dial(host_, to, [this, then = std::move(then)](network::end end, const error& why) {
      when_awake([then, end, why] { then(end, why); },
                 [end] {
                   if (end) end->process_died(true);
                 });
    });
  }

  /// Carries out what the machine decided, until it has nothing left to say: the end of every turn.
  void settle() {
    unsigned rounds = 0;
    while (alive_) {
      take_actions(actions_);
      if (actions_.empty()) break;
      if (++rounds > 10000) {
        in_.book.violated(name_ + " never comes to rest at one instant");
        break;
      }
      touched_.clear();
      for (Action& a : actions_) {
        carry_out(a);
        if (!alive_) return;
      }
      // Sometimes the system has taken the bytes before the machine is told, sometimes after.
      const bool flush_first = in_.chance.chance(0.5);
      for (const control::link_id id : touched_)
        if (virtual_link* const l = link(id)) {
          if (flush_first) l->flush();
          link_unsent(id, l->unsent());
        }
      for (const control::link_id id : touched_)
        if (virtual_link* const l = link(id)) l->flush();
    }
    if (!alive_) return;
    turn_ended();
    // A real driver's clock rings late now and then.
    const time_point next = next_tick();
    if (next != never)
      wake_.set(std::max(next, now()) + (in_.chance.chance(0.25)
                                             ? in_.chance.time(duration::zero(), std::chrono::milliseconds(3))
                                             : duration::zero()));
    else
      wake_.clear();
  }

  void carry(control::send& a) {
    virtual_link* const l = link(a.link);
    if (l == nullptr) return;
    if (in_.log.written())
      in_.log.event(name_, "send", a.link, 0, 0, wire::type_name(static_cast<std::uint8_t>(a.what.index() + 1)));
    sees_sent(a.link, a.what);
    l->send(std::move(a.what));
    if (touched_.empty() || touched_.back() != a.link) touched_.push_back(a.link);
    if (l->unsent() > most_unsent_) most_unsent_ = l->unsent();
  }
  void carry(control::set_limits& a) {
    if (virtual_link* const l = link(a.link)) l->set_limits(a.agreed);
  }
  void carry(control::close_link& a) {
    in_.log.event(name_, "close", a.link, a.now, static_cast<std::uint64_t>(a.why.code()), a.why.what());
    if (virtual_link* const l = link(a.link)) {
      if (a.now)
        l->abort(a.why);
      else
        l->close();
    }
  }
  void carry(control::note& a) {
    if (in_.log.written()) in_.log.event(name_, a.event, 0, 0, 0, a.text);
  }
  /// Hands to the system what the links hold.
  void flush_links() {
    for (auto& [id, l] : links_) l->at->flush();
  }
  /// The machine said that it is done: links that still write do so, nothing else happens.
  void end_in_order() {
    if (!alive_) return;
    for (auto& [id, l] : links_) {
      l->at->close();
      l->at->detach();
    }
    finish();
  }
  world& in_;

 private:
  struct attached final : wire::link_events {
    attached(process& p, control::link_id link, network::end end) : owner(p), id(link), at(std::move(end)) {}
    void received(wire::message m) override {
      owner.in_.log.event(owner.name_, "received", id, m.index(), 0,
                          wire::type_name(static_cast<std::uint8_t>(m.index() + 1)));
      if (owner.alive_) owner.link_received(id, std::move(m));
    }
    void batch_end() override {
      if (owner.alive_) owner.link_heard(id);
      owner.settle();
    }
    void drained() override {
      owner.link_unsent(id, at->unsent());
      owner.settle();
    }
    void closed(const error& why) override {
      process& p = owner;
      const control::link_id link = id;
      p.in_.log.event(p.name_, "closed", link, static_cast<std::uint64_t>(why.code()), 0, why.what());
      p.links_.erase(link);  // this object too
      p.link_closed(link, why);
      p.settle();
    }
    process& owner;
    control::link_id id;
    network::end at;
  };

  void on_time() {
    if (now() == last_tick_ && ++same_instant_ > 100) {
      in_.book.violated(name_ + " wants to be woken again and again at one instant");
      return;
    }
    if (now() != last_tick_) same_instant_ = 0;
    last_tick_ = now();
    tick();
    settle();
  }
  void when_awake(std::function<void()> what, std::function<void()> if_ended) {
    if (!alive_)
      if_ended();
    else if (frozen_)
      late_.emplace_back(std::move(what), std::move(if_ended));
    else
      what();
  }
  void end(bool politely, bool silently) {
    for (auto& [id, l] : links_) l->at->detach();
    in_.net.process_died(host_, politely, silently);
    finish();
  }
  void finish() {
    alive_ = false;
    frozen_ = false;
    wake_.clear();
    for (auto& [what, if_ended] : std::exchange(late_, {})) if_ended();
    died();
    // The links' own objects stay until now: one of them may be calling.
    in_.clock.call_after(duration::zero(), [gone = std::make_shared<decltype(links_)>(std::move(links_))] {});
    links_.clear();
  }

  const process_id id_;
  const host_id host_;
  const std::string name_;
  /// In one second: the shortest pauses that the simulation draws double from 50 to 100 ms, and a link that lasted is
  /// dialed again at once.
  static constexpr std::size_t most_dials = 30;
  std::deque<time_point> dials_;
  bool alive_ = true;
  bool frozen_ = false;
  std::uint64_t last_link_ = 0;
  std::map<control::link_id, std::unique_ptr<attached>> links_;
  std::vector<Action> actions_;
  std::vector<control::link_id> touched_;
  std::vector<std::pair<std::function<void()>, std::function<void()>>> late_;  // what waits for the thaw
  std::size_t most_unsent_ = 0;
  time_point last_tick_{};
  unsigned same_instant_ = 0;
  alarm wake_;
};

}  // namespace sim
DTASK_END
