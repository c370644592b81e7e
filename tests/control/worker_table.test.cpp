// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/worker_table.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

namespace {

const time_point start = time_point{} + 1h;

struct fixture {
  control::coordinator_options options;
  job_table jobs;
  type_table types;
  worker_table workers{options, jobs, types};

  std::uint16_t type(const char* name) { return static_cast<std::uint16_t>(types.acquire({name, 1, "int()"})); }
  std::uint32_t worker(std::uint32_t slots) {
    const std::uint32_t w = workers.insert("host", "w");
    const std::uint16_t t = type("job/1");
    workers[w].slots = workers[w].usable = slots;
    workers.attach(w, 1 + w, start);
    workers.enrol(w, {{t, 0}});
    workers.offer(w, t);
    workers.reload(w);
    return w;
  }
  std::uint32_t job(effect effect_class = effect::pure) {
    const std::uint32_t j = jobs.insert();
    jobs[j].session = 0;
    jobs[j].effect_class = effect_class;
    return j;
  }
  void finish(std::uint32_t j) {
    jobs.succeed(j);
    jobs.settle(j);
  }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "idle and backlog follow each attempt") {
  const std::uint32_t a = worker(1), b = worker(2);
  CHECK(workers[a].label == "host/w#1");
  CHECK(workers[b].label == "host/w#2");
  CHECK(workers.idle() == 2);
  const std::uint32_t i = job(), j = job();
  workers.take(a, i, start);
  CHECK(workers.idle() == 1);
  CHECK(workers.backlog() == 0);
  workers.take(a, j, start);
  CHECK(workers.backlog() == 1);
  workers.start_attempt(i);
  CHECK(workers[a].running == 1);
  CHECK(workers.describe(a, start).running == 1);
  CHECK(workers.describe(a, start).prefetched == 1);
  CHECK(workers.check() == "");
  workers.end_attempt(i);
  workers.end_attempt(i);  // it has none any more
  finish(i);
  CHECK(workers[a].running == 0);
  CHECK(workers.backlog() == 0);
  CHECK(workers.check() == "");
  workers.set_slots(b, 0, 2);
  CHECK(workers.idle() == 0);
  workers.set_slots(b, 9, 0);
  CHECK(workers[b].usable == 2);
  CHECK(workers.idle() == 1);
  CHECK(workers.check() == "");
}

TEST_CASE_FIXTURE(fixture, "a worker that is away, suspect or draining takes nothing") {
  const std::uint32_t w = worker(1);
  std::uint16_t level = 0;
  const worker_class& kind = *workers[w].kind;
  CHECK(kind.least(level) == w);
  workers.detach(w, start);
  CHECK(workers.idle() == 0);
  CHECK(kind.least(level) == none);
  workers.attach(w, 9, start);
  workers.reload(w);
  CHECK(kind.least(level) == w);
  CHECK(workers.advance(w, start + options.suspect_after));
  CHECK(workers.idle() == 0);
  CHECK(workers.hear(w, start + options.suspect_after));
  CHECK(!workers.hear(w, start + options.suspect_after));
  CHECK(workers.idle() == 1);
  const std::uint16_t t = workers[w].positions[0].first;
  CHECK(types[t].workers == 1);
  CHECK(workers.stop_offering(w));
  CHECK(!workers.stop_offering(w));
  CHECK(types[t].workers == 0);
  CHECK(workers.idle() == 0);
  CHECK(workers.check() == "");
}

TEST_CASE_FIXTURE(fixture, "a reserved worker takes nothing else, until its job has run or does not want it") {
  const std::uint32_t w = worker(2);
  const std::uint32_t j = job();
  jobs.queue_alone(j);
  workers.reserve(w, j);
  CHECK(workers.idle() == 0);
  workers.unreserve(j);
  CHECK(jobs[j].worker == none);
  CHECK(workers.idle() == 1);
  workers.reserve(w, j);
  jobs.leave_alone(j);
  workers.take(w, j, start);
  CHECK(workers.idle() == 0);
  CHECK(workers.check() == "");
  const std::uint32_t other = job();
  workers.take(w, other, start);
  CHECK(workers.check() == "a job that must be alone has company on host/w#1");
  workers.end_attempt(other);
  finish(other);
  workers.end_attempt(j);
  finish(j);
  CHECK(workers[w].reserved_for == none);
  CHECK(workers.idle() == 1);
  CHECK(workers.check() == "");
}

TEST_CASE_FIXTURE(fixture, "the record of a worker that is gone stays while a result names it") {
  const std::uint32_t a = worker(1), b = worker(1);
  const std::uint16_t t = workers[a].positions[0].first;
  CHECK(types[t].classes.size() == 1);
  workers.keep_name(a);
  workers.keep_name(a);
  for (const std::uint32_t w : {a, b}) {
    workers.detach(w, start);
    workers.stop_offering(w);
    workers.retire(w);
  }
  CHECK(!workers.live(b));
  CHECK(workers.live(a));
  CHECK(workers[a].gone);
  CHECK(workers.check() == "");
  workers.drop_name(a);
  CHECK(workers.live(a));
  workers.drop_name(a);
  CHECK(!workers.live(a));
  CHECK(types.size() == 0);
  CHECK(workers.check() == "");
}

TEST_CASE_FIXTURE(fixture, "check finds what was written past the table") {
  const std::uint32_t w = worker(1);
  const std::uint32_t i = job(effect::at_most_once), j = job(effect::at_most_once);
  workers.take(w, i, start);
  jobs[i].started = true;
  CHECK(workers.check() == "running jobs of host/w#1 are miscounted");
  jobs[i].started = false;
  workers.take(w, j, start);
  CHECK(workers.check() == "jobs that may not run twice were prefetched to host/w#1");
  workers.end_attempt(j);
  finish(j);
  CHECK(workers.check() == "");
  workers[w].idle = true;
  CHECK(workers.check() == "the sums over the workers are wrong");
  workers[w].idle = false;
  jobs.begin_attempt(j, w);
  CHECK(workers.check() == "leases: 1 in lists, 2 in records");
  jobs[j].worker = 77;
  CHECK(workers.check().starts_with("a lease on a worker that is gone"));
}

TEST_CASE("worker_class: the least loaded first, equals take turns, and who takes nothing is not found") {
  constexpr std::uint16_t out = 0xffff;
  slab<worker_record> workers;
  worker_class kind;
  std::uint16_t level = 1;
  CHECK(kind.least(level) == none);
  CHECK(level == out);
  const std::uint32_t a = workers.insert(), b = workers.insert(), c = workers.insert();
  kind.place(workers, a, 5);
  kind.place(workers, b, 5);
  kind.place(workers, c, worker_class::top);
  CHECK(kind.least(level) == a);
  CHECK(level == 5);
  // Placed where it is already, it keeps its turn; placed elsewhere and back, it goes to the end.
  kind.place(workers, a, 5);
  CHECK(kind.least(level) == a);
  kind.place(workers, a, 6);
  kind.place(workers, a, 5);
  CHECK(kind.least(level) == b);
  kind.place(workers, b, out);
  CHECK(kind.least(level) == a);
  kind.place(workers, a, out);
  CHECK(kind.least(level) == c);
  CHECK(level == worker_class::top);
  kind.place(workers, c, out);
  CHECK(kind.least(level) == none);
  kind.place(workers, c, out);
  CHECK(kind.least(level) == none);
}

TEST_CASE("worker_class: every level, at the edges of the map's words") {
  slab<worker_record> workers;
  worker_class kind;
  std::vector<std::uint32_t> placed;
  const std::vector<std::uint16_t> levels{255, 192, 191, 128, 127, 64, 63, 1, 0};
  for (const std::uint16_t level : levels) {
    placed.push_back(workers.insert());
    kind.place(workers, placed.back(), level);
    std::uint16_t found = 0;
    CHECK(kind.least(found) == placed.back());
    CHECK(found == level);
  }
  while (!placed.empty()) {
    std::uint16_t found = 0;
    CHECK(kind.least(found) == placed.back());
    CHECK(found == levels[placed.size() - 1]);
    kind.place(workers, placed.back(), 0xffff);
    placed.pop_back();
  }
}

TEST_CASE("worker_classes: one for each set of types, until its last worker goes") {
  worker_classes kinds;
  worker_class* const one = kinds.acquire({1, 2});
  CHECK(kinds.acquire({1, 2}) == one);
  worker_class* const other = kinds.acquire({1});
  CHECK(other != one);
  CHECK(kinds.acquire({}) != other);
  CHECK_FALSE(worker_classes::release(*one));
  CHECK(worker_classes::release(*one));
  kinds.forget(*one);
  worker_class* const again = kinds.acquire({1, 2});
  CHECK(again->refs == 1);
  CHECK(kinds.acquire({1}) == other);
  // What is not among them is no matter.
  const worker_class stranger;
  kinds.forget(stranger);
  CHECK(kinds.acquire({1}) == other);
}

TEST_CASE("worker_record: positions of types, and sessions that it serves") {
  worker_record w;
  CHECK(w.position_of(0) == none);
  w.positions = {{2, 7}, {4, 0}, {9, 3}};
  CHECK(w.position_of(2) == 7);
  CHECK(w.position_of(4) == 0);
  CHECK(w.position_of(9) == 3);
  using type = std::uint16_t;
  for (const type absent : {type{0}, type{3}, type{5}, type{10}}) CHECK(w.position_of(absent) == none);
  CHECK(w.serving(1) == nullptr);
  served_session first, second;
  first.session = 1, second.session = 2;
  w.serves.push_back(std::move(first));
  w.serves.push_back(std::move(second));
  REQUIRE(w.serving(2) != nullptr);
  w.serving(2)->upto = 5;
  CHECK(w.serving(2)->upto == 5);
  CHECK(w.serving(1)->upto == 0);
  CHECK(w.serving(3) == nullptr);
}
