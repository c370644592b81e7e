// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/machine_driver.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace control = dtask::control;
namespace wire = dtask::wire;
using dtask::errc;
using dtask::error;
using dtask::time_point;
using namespace std::chrono_literals;

namespace {

using words = std::vector<std::string>;

/// What happened, in order, as the link, the machine and the process tell it.
words* story = nullptr;
void told(std::string what) { story->push_back(std::move(what)); }

struct fake_link final : wire::link {
  explicit fake_link(std::string its) : name(std::move(its)) {}
  ~fake_link() override { told(name + " destroyed"); }
  void send(wire::message m) override {
    told(name + " send " + std::to_string(m.get_if<wire::ping>() ? m.get_if<wire::ping>()->stamp : 0));
    ++queued;
  }
  void flush() override {
    told(name + " flush");
    queued = 0;
  }
  void close() override { told(name + " close"); }
  void abort(const error&) override { told(name + " abort"); }
  std::size_t unsent() const noexcept override { return queued; }
  void set_limits(const wire::limits&) override { told(name + " limits"); }
  std::string peer() const override { return name; }

  std::string name;
  std::size_t queued = 0;
  wire::link_events* events = nullptr;
};

struct own_action {
  int number = 0;
};
using action = wire::one_of<control::send, control::set_limits, control::close_link, control::note, own_action>;

struct fake_machine {
  void received(control::link_id, wire::message&&, time_point) { told("received"); }
  void heard(control::link_id, time_point) { told("heard"); }
  void closed(control::link_id, const error& why, time_point) { told("closed " + why.cause()); }
  void unsent(control::link_id, std::size_t bytes, time_point) { told("unsent " + std::to_string(bytes)); }
  void connected(control::link_id, time_point) { told("connected"); }
  void dial_failed(const error& why, time_point) { told("dial failed " + why.cause()); }
  void measured(const dtask::memory_use& held, time_point) { told("measured " + std::to_string(held.links)); }
  void tick(time_point) { told("tick"); }
  time_point next_tick() const { return at; }
  void take_actions(std::vector<action>& out, time_point) {
    out.clear();
    if (batches.empty()) return;
    out.swap(batches.front());
    batches.pop_front();
  }
  template <class... Actions>
  void wants(Actions... each) {
    std::vector<action> batch;
    (batch.emplace_back(std::move(each)), ...);
    batches.push_back(std::move(batch));
  }
  std::deque<std::vector<action>> batches;
  time_point at = dtask::never;
};

class fake_process {
 public:
  bool ended = false;
  bool eager = false;
  bool measures = false;
  unsigned most_rounds = 100;
  time_point wake = dtask::never;

 protected:
  using link_pointer = std::unique_ptr<fake_link>;
  static time_point now() { return time_point(1h); }
  static void begin(fake_link& link, wire::link_events& events) {
    told(link.name + " begins");
    link.events = &events;
  }
  static std::size_t buffered_by(const fake_link&) { return 7; }
  bool time_to_measure() const { return measures; }
  static dtask::memory_use measure() { return {}; }
  void wake_at(time_point at) { wake = at; }
  bool goes_on(unsigned rounds) const { return !ended && rounds < most_rounds; }
  bool over() const { return ended; }
  bool flushes_first() const { return eager; }
  static void flush_after_turn(fake_link& link) { told(link.name + " turn over"); }
  static void log(const control::note& a) { told("log " + a.text); }
  virtual void rang() = 0;
  ~fake_process() = default;
};

struct node final : control::machine_driver<node, fake_machine, action, fake_process> {
  using driver::attach;
  using driver::begin;
  using driver::dialed;
  using driver::flush_links;
  using driver::links;
  using driver::rang;
  using driver::settle;
  using driver::take_links;

  void act(own_action& a) {
    told("act " + std::to_string(a.number));
    if (a.number == 13) ended = true;
    if (a.number == 99) settle();  // from inside its own turn: the turn that runs goes on
  }
  void settled() { told("settled"); }

  fake_machine machine_;
};

struct scene {
  scene() { story = &all; }
  ~scene() {
    n.take_links();
    story = nullptr;
  }
  fake_link& add(const std::string& name) {
    auto made = std::make_unique<fake_link>(name);
    fake_link& link = *made;
    ids.push_back(n.attach(std::move(made)));
    n.begin(ids.back());
    return link;
  }
  static control::send ping(control::link_id to, std::uint64_t stamp) { return {to, wire::ping{stamp}}; }
  words since() { return std::exchange(all, {}); }

  words all;
  node n;
  std::vector<control::link_id> ids;
};

}  // namespace

TEST_CASE("machine_driver: a batch of events, then actions in their order, then the timer") {
  scene s;
  fake_link& a = s.add("a");
  CHECK(s.since() == words{"a begins"});
  s.n.machine_.wants(scene::ping(s.ids[0], 1), own_action{1}, control::note{dtask::log_level::info, "event", "said"},
                     scene::ping(s.ids[0], 2));
  s.n.machine_.wants(control::set_limits{s.ids[0], {}}, own_action{2});
  s.n.machine_.at = time_point(2h);
  a.events->received(wire::ping{5});
  CHECK(s.since() == words{"received"});  // nothing is decided before the batch is over
  a.events->batch_end();
  CHECK(s.since() == words{"heard", "a send 1", "act 1", "log said", "a send 2", "unsent 2", "a turn over", "a limits",
                           "act 2", "settled"});
  CHECK(s.n.wake == time_point(2h));
  a.events->drained();
  CHECK(s.since() == words{"unsent 2", "settled"});
  s.n.rang();
  CHECK(s.since() == words{"tick", "settled"});
}

TEST_CASE("machine_driver: bytes may go to the system before the machine is told, and before what must not overtake") {
  scene s;
  s.add("a");
  s.add("b");
  s.since();
  s.n.eager = true;
  s.n.machine_.wants(scene::ping(s.ids[0], 1));
  s.n.settle();
  CHECK(s.since() == words{"a send 1", "a flush", "unsent 0", "a turn over", "settled"});
  s.n.flush_links();
  CHECK(s.since() == words{"a flush"});  // nothing was sent on b
  s.n.flush_links();
  CHECK(s.since().empty());
}

TEST_CASE("machine_driver: a link that is gone swallows what is sent, also when its place is taken") {
  scene s;
  fake_link& a = s.add("a");
  const control::link_id old = s.ids[0];
  s.since();
  s.n.machine_.wants(scene::ping(old, 1));
  a.events->closed(error(errc::io_error, "reset"));
  CHECK(s.since() == words{"closed reset", "settled", "a destroyed"});
  CHECK(s.n.links() == 0);
  s.add("b");
  CHECK(s.ids[1] > old);
  s.n.machine_.wants(scene::ping(old, 2), control::close_link{old, {}, true}, control::set_limits{old, {}},
                     control::close_link{s.ids[1], {}, false}, control::close_link{s.ids[1], {}, true});
  s.since();
  s.n.settle();
  CHECK(s.since() == words{"b close", "b abort", "settled"});
}

TEST_CASE("machine_driver: dialing") {
  scene s;
  s.n.dialed(error(errc::unreachable, "refused"));
  CHECK(s.since() == words{"dial failed refused", "settled"});
  s.n.measures = true;
  s.n.dialed(std::make_unique<fake_link>("a"));
  // The machine knows the link before anything can come on it.
  CHECK(s.since() == words{"measured 7", "connected", "a begins", "settled"});
  CHECK(s.n.links() == 1);
}

TEST_CASE("machine_driver: where the process ends nothing follows") {
  scene s;
  fake_link& a = s.add("a");
  s.since();
  s.n.machine_.wants(own_action{13}, own_action{14});
  s.n.machine_.wants(own_action{15});
  s.n.machine_.at = time_point(2h);
  s.n.settle();
  CHECK(s.since() == words{"act 13"});
  CHECK(s.n.wake == dtask::never);
  a.events->received(wire::ping{1});
  a.events->batch_end();
  a.events->drained();
  CHECK(s.since().empty());
  auto links = s.n.take_links();
  CHECK(s.n.links() == 0);
  CHECK(s.since().empty());  // one of them may be calling
  links.reset();
  CHECK(s.since() == words{"a destroyed"});
}

TEST_CASE("machine_driver: a turn inside a turn is the same turn, and rounds have an end") {
  scene s;
  s.n.machine_.wants(own_action{99});
  s.n.machine_.wants(own_action{1});
  s.n.settle();
  CHECK(s.since() == words{"act 99", "act 1", "settled"});
  s.n.most_rounds = 2;
  for (int i = 0; i < 3; ++i) s.n.machine_.wants(own_action{i});
  s.n.settle();
  CHECK(s.since() == words{"act 0", "act 1", "settled"});
}
