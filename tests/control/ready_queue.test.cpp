// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/ready_queue.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "dtask/control/worker_table.hpp"

using namespace dtask;
using namespace dtask::control;

TEST_CASE("lanes of a type take turns, whatever their length") {
  job_table jobs;
  type_table types;
  ready_queue ready(jobs, types);
  const auto t = static_cast<std::uint16_t>(types.acquire({"job/1", 1, "int()"}));
  lane a, b, c;
  a.type = b.type = c.type = t;
  const auto add = [&](lane& l, std::uint64_t call, bool front = false) {
    const std::uint32_t j = jobs.insert();
    jobs[j].call = call;
    if (front)
      ready.push_front(l, j);
    else
      ready.push_back(l, j);
  };
  for (std::uint64_t i = 0; i < 4; ++i) add(a, 10 + i);
  add(b, 20);
  add(c, 30);
  add(c, 31);
  CHECK(ready.size() == 7);
  CHECK(types[t].queued == 7);
  std::vector<std::uint64_t> order;
  const auto take = [&] {
    lane& first = *types[t].ring;
    const std::uint32_t j = first.jobs.front();
    const bool last = first.jobs.size() == 1;
    order.push_back(jobs[j].call);
    ready.erase(first, j);
    if (!last) ready.rotate(t);
    jobs.erase(j);
  };
  take();
  take();
  add(b, 21);
  add(a, 9, true);
  while (ready.size() != 0) take();
  CHECK(order == std::vector<std::uint64_t>{10, 20, 30, 9, 21, 31, 11, 12, 13});
  CHECK(ready.active().empty());
  CHECK(types[t].ring == nullptr);
}

TEST_CASE("a suspended lane keeps its jobs and gets no turn") {
  job_table jobs;
  type_table types;
  ready_queue ready(jobs, types);
  const auto t = static_cast<std::uint16_t>(types.acquire({"job/1", 1, "int()"}));
  lane a, b;
  a.type = b.type = t;
  const std::uint32_t first = jobs.insert(), second = jobs.insert(), third = jobs.insert();
  ready.push_back(a, first);
  ready.push_back(b, second);
  ready.suspend(a);
  ready.suspend(a);
  CHECK(types[t].ring == &b);
  CHECK(b.next == &b);
  ready.push_back(a, third);
  CHECK(types[t].ring == &b);
  CHECK(b.next == &b);
  ready.erase(a, first);
  ready.suspend(b);
  CHECK(types[t].ring == nullptr);
  CHECK(ready.active().empty());
  CHECK(ready.size() == 2);
  CHECK(types[t].queued == 2);
  ready.resume(a);
  ready.resume(b);
  CHECK(types[t].ring == &a);
  CHECK(a.next == &b);
  CHECK(ready.active().size() == 1);
  ready.suspend(a);
  ready.erase(a, third);
  ready.resume(a);
  CHECK(types[t].ring == &b);
  ready.erase(b, second);
  CHECK(ready.active().empty());
  CHECK(ready.size() == 0);
}

TEST_CASE("types: one number for each pair of name and schema, for as long as somebody names it") {
  type_table types;
  const auto a = types.acquire({"job/1", 1, "int()"});
  const auto b = types.acquire({"job/1", 2, "int(int)"});
  CHECK(a != b);
  CHECK(types.acquire({"job/1", 1, "int()"}) == a);
  CHECK(types.rival(a) == none);
  types[b].workers = 1;
  CHECK(types.rival(a) == b);
  CHECK(types.rival(b) == none);
  types.release(a);
  CHECK(types.named("job/1").size() == 2);
  types.release(a);
  CHECK(types.named("job/1").size() == 1);
  types.release(b);
  CHECK(types.named("job/1").empty());
  CHECK(types.size() == 0);
}

TEST_CASE("a class of workers: the least loaded first, equals in turn") {
  slab<worker_record> workers;
  worker_class kind;
  std::uint16_t level = 0;
  CHECK(kind.least(level) == none);
  std::vector<std::uint32_t> w;
  for (int i = 0; i < 3; ++i) w.push_back(workers.insert());
  kind.place(workers, w[0], 32);
  kind.place(workers, w[1], 200);
  kind.place(workers, w[2], 16);
  CHECK(kind.least(level) == w[2]);
  CHECK(level == 16);
  kind.place(workers, w[2], 200);
  kind.place(workers, w[0], 0xffff);
  CHECK(kind.least(level) == w[1]);
  kind.place(workers, w[1], 255);
  CHECK(kind.least(level) == w[2]);
  kind.place(workers, w[2], 0xffff);
  CHECK(kind.least(level) == w[1]);
  kind.place(workers, w[1], 0xffff);
  CHECK(kind.least(level) == none);
}
