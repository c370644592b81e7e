// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/memory_use.hpp"
#include "dtask/base/result.hpp"
#include "dtask/control/action.hpp"
#include "dtask/wire/link.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// Connects a state machine of this room to links, a clock, and what carries its decisions out; the same for real
/// processes and for simulated ones. It decides nothing: events go in, and when a batch of them is over, actions are
/// carried out in their order until there are none.
///
/// `Process` is what the machine lives in, and the base of the driver:
///
///     link_pointer                       owns a wire::link
///     now()                              the time of its clock
///     begin(link, events)                the link begins to receive, and reports to `events`
///     buffered_by(link)                  bytes of memory that a link holds
///     time_to_measure(), measure()       whether a machine that tells others is told what the process holds; and that
///     wake_at(time)                      calls the virtual `rang()` then or a little later; `never`: not at all
///     goes_on(rounds)                    whether actions are still carried out, in this round of one turn
///     over()                             whether it has ended, so that its links say nothing any more
///     flushes_first()                    whether bytes go to the system before the machine is told how many wait
///     flush_after_turn(link)             after a round in which something was sent on the link
///     log(note)
///
/// `Self` derives from the driver, owns `machine_` and has `act(action&)` for the actions that are its own. It may
/// shadow the hooks: `receive` and `lose`, which tell the machine; `sees_sent`, `sees_closing`, which look on; and
/// `settled`, called when no action is left. Thread safety: none, all on the thread of the links.
template <class Self, class Machine, class Action, class Process>
class machine_driver : public Process {
 public:
  machine_driver(const machine_driver&) = delete;
  machine_driver& operator=(const machine_driver&) = delete;

 protected:
  using link_pointer = typename Process::link_pointer;
  using driver = machine_driver;

  template <class... Args>
  explicit machine_driver(Args&&... args) : Process(std::forward<Args>(args)...) {}
  ~machine_driver() = default;

  /// Takes a link over and gives it a number, higher than any before; `begin` follows, once the machine knows it.
  link_id attach(link_pointer link) {
    std::uint32_t place = 0;
    if (free_.empty()) {
      place = static_cast<std::uint32_t>(places_.size());
      places_.emplace_back();
    } else {
      place = free_.back();
      free_.pop_back();
    }
    const link_id id = (std::uint64_t{++attached_} << 32) | place;
    places_[place] = std::make_unique<attachment>(self(), id, std::move(link));
    ++links_;
    measure_now_and_then();
    return id;
  }
  /// The link begins to receive.
  void begin(link_id id) {
    if (attachment* a = find(id)) Process::begin(*a->link, *a);
  }
  /// What became of the machine's wish to dial.
  void dialed(result<link_pointer> made) {
    if (!made) {
      self().machine_.dial_failed(made.error(), this->now());
      return settle();
    }
    const link_id id = attach(std::move(made).value());
    self().machine_.connected(id, this->now());
    begin(id);
    settle();
  }
  std::size_t links() const noexcept { return links_; }
  /// Calls `f(link)` for each.
  template <class F>
  void each_link(F&& f) {
    for (const auto& a : places_)
      if (a) f(*a->link);
  }
  /// Lets all links go without a word. They end when what is returned is destroyed: one of them may be calling.
  std::shared_ptr<void> take_links() {
    auto all = std::make_shared<std::vector<std::unique_ptr<attachment>>>();
    all->swap(places_);
    free_.clear();
    touched_.clear();
    links_ = 0;
    return all;
  }
  /// Hands what was sent to the system before something happens that must not overtake it.
  void flush_links() {
    for (const auto& a : places_)
      if (a && std::exchange(a->unflushed, false)) a->link->flush();
  }
  /// What the links hold, and what the process does.
  memory_use measure_now() const {
    memory_use all = Process::measure();
    for (const auto& a : places_)
      if (a) all.links += Process::buffered_by(*a->link);
    return all;
  }

  /// The time has come that the machine waited for.
  void rang() override {
    measure_now_and_then();
    self().machine_.tick(this->now());
    settle();
  }
  /// Carries out what the machine wants until it wants nothing more, then sets the timer: the end of every turn.
  void settle() {
    if (settling_) return;
    settling_ = true;
    for (unsigned rounds = 0; this->goes_on(rounds); ++rounds) {
      self().machine_.take_actions(actions_, this->now());
      if (actions_.empty()) break;
      for (Action& a : actions_) {
        a.visit([this](auto& each) { this->carry_out(each); });
        if (this->over()) break;
      }
      tell_unsent();
    }
    settling_ = false;
    if (this->over()) return;
    self().settled();
    if (!this->over()) this->wake_at(self().machine_.next_tick());
  }

  // ---- what Self may shadow ----

  void receive(link_id link, wire::message&& m) { self().machine_.received(link, std::move(m), this->now()); }
  void lose(link_id link, const error& why) { self().machine_.closed(link, why, this->now()); }
  void sees_sent(link_id, const wire::message&) {}
  void sees_closing(const close_link&) {}
  void settled() {}

 private:
  struct attachment final : wire::link_events {
    attachment(Self& o, link_id i, link_pointer l) : owner(o), id(i), link(std::move(l)) {}
    void received(wire::message m) override {
      if (!owner.over()) owner.receive(id, std::move(m));
    }
    void batch_end() override {
      if (owner.over()) return;
      owner.machine_.heard(id, owner.now());
      owner.settle();
    }
    void drained() override {
      if (owner.over()) return;
      owner.machine_.unsent(id, link->unsent(), owner.now());
      owner.settle();
    }
    void closed(const error& why) override { owner.link_ended(id, why); }
    Self& owner;
    link_id id;
    link_pointer link;
    bool touched = false;
    bool unflushed = false;
  };

  Self& self() noexcept { return static_cast<Self&>(*this); }
  attachment* find(link_id id) noexcept {
    const auto place = static_cast<std::uint32_t>(id);
    if (place >= places_.size()) return nullptr;
    attachment* const a = places_[place].get();
    return a && a->id == id ? a : nullptr;
  }
  void link_ended(link_id id, const error& why) {
    const error kept = why;
    const auto place = static_cast<std::uint32_t>(id);
    // The link may be destroyed inside its own event; the attachment goes with it, so nothing of it is used afterwards.
    const std::unique_ptr<attachment> gone = std::move(places_[place]);
    free_.push_back(place);
    --links_;
    self().lose(id, kept);
    settle();
  }
  void tell_unsent() {
    const bool flush_first = this->flushes_first();
    for (const link_id id : touched_) {
      attachment* const a = find(id);
      if (!a) continue;
      a->touched = false;
      if (flush_first) a->link->flush();
      self().machine_.unsent(id, a->link->unsent(), this->now());
    }
    for (const link_id id : touched_)
      if (attachment* a = find(id)) this->flush_after_turn(*a->link);
    touched_.clear();
  }

  void carry_out(send& a) {
    attachment* const at = find(a.link);
    if (!at) return;
    self().sees_sent(a.link, a.what);
    at->link->send(std::move(a.what));
    at->unflushed = true;
    if (!std::exchange(at->touched, true)) touched_.push_back(a.link);
  }
  void carry_out(set_limits& a) {
    if (attachment* at = find(a.link)) at->link->set_limits(a.agreed);
  }
  void carry_out(close_link& a) {
    self().sees_closing(a);
    attachment* const at = find(a.link);
    if (!at) return;
    if (a.now)
      at->link->abort(a.why);
    else
      at->link->close();
  }
  void carry_out(note& a) { this->log(a); }
  template <class Other>
  void carry_out(Other& a) {
    self().act(a);
  }

  void measure_now_and_then() {
    if constexpr (requires(Machine& m) { m.measured(memory_use(), time_point()); })
      if (this->time_to_measure()) self().machine_.measured(measure_now(), this->now());
  }

  std::vector<Action> actions_;
  std::vector<std::unique_ptr<attachment>> places_;
  std::vector<std::uint32_t> free_;
  std::vector<link_id> touched_;
  std::size_t links_ = 0;
  std::uint32_t attached_ = 0;
  bool settling_ = false;
};

}  // namespace control
DTASK_END
