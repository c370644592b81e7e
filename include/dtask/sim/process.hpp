// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/memory_use.hpp"
#include "dtask/base/result.hpp"
#include "dtask/control/action.hpp"
#include "dtask/sim/network.hpp"
#include "dtask/sim/world.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/link.hpp"

DTASK_BEGIN
namespace sim {

/// A simulated process: what a machine lives in where clock, links and chance are virtual; the `Process` of
/// `control::machine_driver`. It can be frozen, killed, or end by itself; it is not started a second time.
///
/// Thread safety: none.
class process {
 public:
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  process_id id() const noexcept { return id_; }
  host_id host() const noexcept { return host_; }
  const std::string& name() const noexcept { return name_; }
  bool alive() const noexcept { return alive_; }
  bool frozen() const noexcept { return frozen_; }
  /// The most bytes that one link had waiting at any time.
  std::size_t most_unsent_bytes() const noexcept { return most_unsent_; }

  /// Stops the process where it stands (SIGSTOP): its system still takes bytes, nothing of it runs.
  void freeze() {
    if (!alive_ || frozen_) return;
    in_.log.event(name_, "freeze");
    in_.watch.disturbed();
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
    in_.watch.disturbed();
    each_link([](virtual_link& l) { l.detach(); });
    in_.net.process_died(host_, politely, silently);
    finish();
  }

 protected:
  using link_pointer = network::end;

  /// `own`: the limits that its links offer.
  process(world& in, host_id host, const std::string& role, const wire::limits& own)
      : in_(in),
        id_(++in.last_process),
        host_(host),
        name_(role + std::to_string(id_)),
        own_(own),
        wake_(in.clock, [this] { when_awake([this] { on_time(); }); }) {}
  ~process() = default;

  // ---- what the driver needs ----

  time_point now() const noexcept { return in_.clock.now(); }
  void begin(virtual_link& link, wire::link_events& events) { link.attach(events, own_); }
  static std::size_t buffered_by(const virtual_link& link) noexcept { return link.unsent(); }
  /// Now and then, and what it finds differs each time.
  bool time_to_measure() { return in_.chance.chance(0.1); }
  memory_use measure() const {
    memory_use use;
    use.resident = in_.chance.below(1000);
    return use;
  }
  /// A real driver's clock rings late now and then.
  void wake_at(time_point next) {
    if (next == never) return wake_.clear();
    wake_.set(std::max(next, now()) + (in_.chance.chance(0.25)
                                           ? in_.chance.time(duration::zero(), std::chrono::milliseconds(3))
                                           : duration::zero()));
  }
  bool goes_on(unsigned rounds) {
    if (rounds <= 10000) return alive_;
    in_.watch.violated(name_ + " never comes to rest at one instant");
    return false;
  }
  bool over() const noexcept { return !alive_; }
  /// Sometimes the system has taken the bytes before the machine is told, sometimes after.
  bool flushes_first() { return in_.chance.chance(0.5); }
  void flush_after_turn(virtual_link& link) { link.flush(); }
  void log(const control::note& a) {
    if (in_.log.written()) in_.log.event(name_, a.event, 0, 0, 0, a.text);
  }
  virtual void rang() = 0;

  // ---- what it needs of the driver ----

  virtual void each_link(const std::function<void(virtual_link&)>& f) = 0;
  /// Lets all links go; they end with what is returned.
  virtual std::shared_ptr<void> drop_links() = 0;
  /// The process is over, however it ended.
  virtual void died() = 0;

  /// Runs `what` now, or at the end of the freeze; never after the end of the process: then `if_ended`.
  void when_awake(std::function<void()> what) {
    when_awake(std::move(what), [] {});
  }
  void when_awake(std::function<void()> what, std::function<void()> if_ended) {
    if (!alive_)
      if_ended();
    else if (frozen_)
      late_.emplace_back(std::move(what), std::move(if_ended));
    else
      what();
  }
  /// Connects to `to`, if it listens, and says how that went. Where the process has ended before it could take the
  /// connection, its system closes it.
  void dial(host_id to, std::function<void(result<network::end>)> then) {
    dials_.push_back(now());
    while (dials_.front() + std::chrono::seconds(1) <= now()) dials_.pop_front();
    if (dials_.size() == most_dials)
      in_.watch.violated(name_ + " dials " + std::to_string(most_dials) + " times within a second");
    in_.net.dial(host_, to, [this, then = std::move(then)](network::end end, const error& why) {
      when_awake([then, end, why] { then(end ? result<network::end>(end) : result<network::end>(why)); },
                 [end] {
                   if (end) end->process_died(true);
                 });
    });
  }
  void saw_unsent(std::size_t bytes) noexcept { most_unsent_ = std::max(most_unsent_, bytes); }
  /// The machine said that it is done: links that still write do so, nothing else happens.
  void end_in_order() {
    if (!alive_) return;
    each_link([](virtual_link& l) {
      l.close();
      l.detach();
    });
    finish();
  }
  world& in_;

 private:
  void on_time() {
    if (now() == last_tick_ && ++same_instant_ > 100) {
      in_.watch.violated(name_ + " wants to be woken again and again at one instant");
      return;
    }
    if (now() != last_tick_) same_instant_ = 0;
    last_tick_ = now();
    rang();
  }
  void finish() {
    alive_ = false;
    frozen_ = false;
    wake_.clear();
    for (auto& [what, if_ended] : std::exchange(late_, {})) if_ended();
    died();
    // The links' own objects stay until now: one of them may be calling.
    in_.clock.call_after(duration::zero(), [gone = drop_links()] {});
  }

  const process_id id_;
  const host_id host_;
  const std::string name_;
  const wire::limits own_;
  /// In one second: the shortest pauses that the simulation draws double from 50 to 100 ms, and a link that lasted is
  /// dialed again at once.
  static constexpr std::size_t most_dials = 30;
  std::deque<time_point> dials_;
  bool alive_ = true;
  bool frozen_ = false;
  std::vector<std::pair<std::function<void()>, std::function<void()>>> late_;  // what waits for the thaw
  std::size_t most_unsent_ = 0;
  time_point last_tick_{};
  unsigned same_instant_ = 0;
  alarm wake_;
};

}  // namespace sim
DTASK_END
