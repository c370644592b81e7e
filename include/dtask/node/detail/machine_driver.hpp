// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/control/action.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/node/detail/process_memory.hpp"
#include "dtask/wire/link.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace detail {

/// Connects a state machine of control/ to links and a timer. It decides nothing: events go in, actions are carried out
/// in order.
///
/// `Self` derives from it and has `perform(action&)` for the actions of its own and `settled()`, called when no action
/// is left. Everything happens on one io_context thread.
template <class Self, class Machine, class Action>
class machine_driver {
 public:
  machine_driver(const machine_driver&) = delete;
  machine_driver& operator=(const machine_driver&) = delete;

 protected:
  template <class... Args>
  explicit machine_driver(net::executor where, Args&&... args)
      : machine_(std::forward<Args>(args)...), where_(where), timer_(std::in_place, where) {}
  ~machine_driver() = default;

  static time_point now() noexcept { return std::chrono::time_point_cast<duration>(clock_type::now()); }

  /// Takes a link over and gives it a number; its events go to the machine from now on.
  control::link_id attach(std::unique_ptr<net::link> link) {
    std::uint32_t index = 0;
    if (free_.empty()) {
      index = static_cast<std::uint32_t>(places_.size());
      places_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    place& p = places_[index];
    const control::link_id id = (std::uint64_t{++p.generation} << 32) | index;
    p.attached = std::make_unique<attachment>(static_cast<Self&>(*this), id, std::move(link));
    ++links_;
    measure();
    return id;
  }
  /// Begins to receive, after the machine has been told of the link.
  void start(control::link_id id) {
    if (attachment* a = find(id)) a->link->start(*a);
  }
  net::link* link(control::link_id id) noexcept {
    attachment* const a = find(id);
    return a ? a->link.get() : nullptr;
  }
  std::size_t links() const noexcept { return links_; }
  /// Ends all links without a word.
  void drop_links() {
    for (place& p : places_) p.attached.reset();
    links_ = 0;
  }

  /// Carries out what the machine wants until it wants nothing more, then sets the timer.
  void settle() {
    if (settling_) return;
    settling_ = true;
    for (;;) {
      machine_.take_actions(actions_, now());
      if (actions_.empty()) break;
      for (Action& a : actions_) a.visit([this](auto& each) { this->carry_out(each); });
      for (const control::link_id id : touched_) {
        if (attachment* a = find(id)) {
          a->touched = false;
          machine_.unsent(id, a->link->unsent(), now());
        }
      }
      touched_.clear();
    }
    settling_ = false;
    self().settled();
    set_timer();
  }
  /// What the links hold, and what the process does.
  memory_use measure_now() const {
    memory_use held = process_memory::shared().measure();
    for (const place& p : places_)
      if (p.attached) held.links += p.attached->link->held_bytes();
    return held;
  }
  /// No timer and no event from links any more. The timer is given up, since handles keep a node for longer than its
  /// thread lives.
  void silence() {
    silent_ = true;
    timer_.reset();
  }
  /// Hands what was sent to the system before something happens that must not overtake it.
  void flush_all() {
    for (place& p : places_)
      if (p.attached && p.attached->unflushed) {
        p.attached->unflushed = false;
        p.attached->link->flush();
      }
  }

  Machine machine_;

 private:
  struct attachment final : wire::link_events {
    attachment(Self& o, control::link_id i, std::unique_ptr<net::link> l) : owner(o), id(i), link(std::move(l)) {}
    void received(wire::message m) override { owner.machine_.received(id, std::move(m), now()); }
    void batch_end() override {
      owner.machine_.heard(id, now());
      owner.settle();
    }
    void drained() override {
      owner.machine_.unsent(id, link->unsent(), now());
      owner.settle();
    }
    void closed(const error& why) override { owner.ended(id, why); }
    machine_driver& owner;
    control::link_id id;
    std::unique_ptr<net::link> link;
    bool touched = false;
    bool unflushed = false;
  };
  struct place {
    std::uint32_t generation = 0;
    std::unique_ptr<attachment> attached;
  };

  Self& self() noexcept { return static_cast<Self&>(*this); }
  attachment* find(control::link_id id) noexcept {
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= places_.size()) return nullptr;
    attachment* const a = places_[index].attached.get();
    return a && a->id == id ? a : nullptr;
  }
  void ended(control::link_id id, const error& why) {
    const error kept = why;
    const auto index = static_cast<std::uint32_t>(id);
    // The link may be destroyed inside its own event; the attachment goes with it, so nothing of it is used afterwards.
    const std::unique_ptr<attachment> gone = std::move(places_[index].attached);
    free_.push_back(index);
    --links_;
    machine_.closed(id, kept, now());
    settle();
  }

  void carry_out(control::send& a) {
    attachment* const at = find(a.link);
    if (!at) return;
    at->link->send(std::move(a.what));
    at->unflushed = true;
    if (!std::exchange(at->touched, true)) touched_.push_back(a.link);
  }
  void carry_out(control::set_limits& a) {
    if (attachment* at = find(a.link)) at->link->set_limits(a.agreed);
  }
  void carry_out(control::close_link& a) {
    attachment* const at = find(a.link);
    if (!at) return;
    if (a.now)
      at->link->abort(a.why);
    else
      at->link->close();
  }
  void carry_out(control::note& a) { log(a.level, a.event, a.text); }
  template <class Other>
  void carry_out(Other& a) {
    self().perform(a);
  }

  /// Now and then a machine that tells others is told what the process holds.
  void measure() {
    if constexpr (requires { machine_.measured(memory_use(), time_point()); }) {
      const time_point when = now();
      if (when < measure_at_) return;
      measure_at_ = when + std::chrono::milliseconds(500);
      machine_.measured(measure_now(), when);
    }
  }
  void set_timer() {
    if (silent_) return;
    const time_point next = machine_.next_tick();
    if (next >= armed_for_) return;  // the one that is set comes first and sets the next
    armed_for_ = next;
    timer_->expires_at(std::chrono::time_point_cast<clock_type::duration>(next));
    net::wait(*timer_, [this, alive = std::weak_ptr<int>(alive_)](const boost::system::error_code& ec) {
      if (ec || alive.expired() || silent_) return;
      armed_for_ = never;
      measure();
      machine_.tick(now());
      settle();
    });
  }

  net::executor where_;
  std::optional<net::timer> timer_;
  time_point armed_for_ = never;
  time_point measure_at_{};
  std::vector<Action> actions_;
  std::vector<place> places_;
  std::vector<std::uint32_t> free_;
  std::vector<control::link_id> touched_;
  std::size_t links_ = 0;
  bool settling_ = false;
  bool silent_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace detail
DTASK_END
