// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/session_table.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace dtask;
using namespace dtask::control;

namespace {

struct fixture {
  control::coordinator_options options;
  job_table jobs;
  type_table types;
  ready_queue ready{jobs, types};
  session_table sessions{options, jobs, ready};

  fixture() { options.session_bytes = 100; }
  std::uint32_t session(const char* label = "host/c") {
    return sessions.insert(label, {static_cast<std::uint16_t>(types.acquire({"job/1", 1, "int()"}))});
  }
  std::uint32_t job(std::uint32_t s, std::uint64_t call, std::uint64_t cost) {
    const std::uint32_t j = jobs.insert();
    jobs[j].call = call;
    jobs[j].cost = cost;
    jobs[j].type = sessions[s].types[0];
    sessions.add(s, j);
    return j;
  }
  void succeed(std::uint32_t j, std::size_t size) {
    jobs[j].held.put(payload{bytes::from(std::vector<std::byte>(size)), {}});
    jobs.succeed(j);
    sessions.hold_result(j);
    jobs.settle(j);
  }
};

cached_value value(std::uint64_t number, const char* name, std::size_t size) {
  cached_value v;
  v.number = number;
  v.name = name;
  v.value = make_stream(payload{bytes::from(std::vector<std::byte>(size)), {}});
  return v;
}

}  // namespace

TEST_CASE("the index has pages where calls lie, and names the jobs in their order") {
  call_index index;
  CHECK(index.at(5000) == none);
  index.set(5000, 1);
  index.set(3, 2);
  CHECK(index.at(5000) == 1);
  CHECK(index.at(5001) == none);
  CHECK(index.jobs() == std::vector<std::uint32_t>{2, 1});
  index.set(3, none);
  CHECK(index.jobs() == std::vector<std::uint32_t>{1});
}

TEST_CASE_FIXTURE(fixture, "a session finds its job by the call, and owes its cost as credit once it is gone") {
  const std::uint32_t s = session();
  const std::uint32_t j = job(s, (std::uint64_t{1} << 32) | 5, 30);
  sessions.queue(j, false);
  CHECK(sessions.job_of(s, (std::uint64_t{1} << 32) | 5) == j);
  CHECK(sessions.job_of(s, 5) == none);  // an earlier call of the position
  CHECK(sessions.held_bytes() == 30);
  CHECK(sessions[s].held_bytes == 30);
  CHECK(sessions.check(0) == "");
  sessions.leave_queue(j);
  sessions.remove(j);
  CHECK(jobs[j].session == none);
  CHECK(sessions.held_bytes() == 0);
  CHECK(sessions[s].owed_credit == 30);
  CHECK(sessions.job_of(s, (std::uint64_t{1} << 32) | 5) == none);
  CHECK(sessions.check(0) == "");
  sessions.attach(s, 3);
  CHECK(sessions[s].owed_credit == 0);
}

TEST_CASE_FIXTURE(fixture, "results that are not taken keep the queued jobs of their session waiting, and no other's") {
  const std::uint32_t a = session("host/a"), b = session("host/b");
  const std::uint32_t first = job(a, 1, 1), second = job(a, 2, 1), other = job(b, 1, 1);
  for (const std::uint32_t j : {first, second, other}) sessions.queue(j, false);
  sessions.leave_queue(first);
  succeed(first, 100);
  CHECK(sessions.result_bytes() == 100);
  CHECK(sessions[a].suspended);
  CHECK(sessions[a].lanes[0].next == nullptr);
  CHECK(sessions[b].lanes[0].next != nullptr);
  CHECK(sessions.check(0) == "");
  sessions.remove(first);
  CHECK(sessions.result_bytes() == 0);
  CHECK(!sessions[a].suspended);
  CHECK(sessions[a].lanes[0].next != nullptr);
  CHECK(sessions.check(0) == "");
}

TEST_CASE_FIXTURE(fixture, "a blocked job is in its session's list, a queued one at the asked end of its lane") {
  const std::uint32_t s = session();
  const std::uint32_t i = job(s, 1, 1), j = job(s, 2, 1), k = job(s, 3, 1);
  sessions.block(i);
  CHECK(sessions[s].blocked.front() == i);
  CHECK(jobs.count(job_phase::blocked) == 1);
  CHECK(sessions.check(0) == "");
  sessions.unblock(i);
  sessions.queue(j, false);
  sessions.queue(i, false);
  sessions.queue(k, true);
  CHECK(sessions[s].lanes[0].jobs.front() == k);
  CHECK(sessions[s].lanes[0].jobs.back() == i);
  CHECK(sessions.check(0) == "");
}

TEST_CASE_FIXTURE(fixture, "a broadcast is counted from its first byte until a newer one of its name is held") {
  const std::uint32_t s = session();
  sessions.reserve_broadcast(40);
  CHECK(sessions.check(40) == "");
  CHECK(sessions.check(0) != "");
  CHECK(sessions.check(std::nullopt) == "");
  sessions.hold_broadcast(s, value(1, "w", 40));
  CHECK(sessions[s].broadcasts.settled() == 1);
  sessions.reserve_broadcast(10);
  sessions.hold_broadcast(s, value(2, "w", 10));
  CHECK(sessions.broadcast_bytes() == 10);
  sessions.reserve_broadcast(5);
  sessions.free_broadcast(5);
  CHECK(sessions.check(0) == "");
}

TEST_CASE_FIXTURE(fixture, "a session that is over leaves no bytes behind") {
  const std::uint32_t s = session(), other = session("host/other");
  const std::uint32_t i = job(s, 1, 30), j = job(s, 2, 40), k = job(other, 1, 7);
  sessions.queue(k, false);
  succeed(i, 20);
  sessions.queue(j, false);
  sessions.reserve_broadcast(10);
  sessions.hold_broadcast(s, value(1, "w", 10));
  sessions.attach(s, 4);
  CHECK(sessions.close(s) == std::vector<std::uint32_t>{i, j});
  CHECK(sessions[s].link == 0);
  sessions.leave_queue(j);
  jobs[i].session = jobs[j].session = none;
  sessions.erase(s);
  CHECK(sessions.held_bytes() == 7);
  CHECK(sessions.result_bytes() == 0);
  CHECK(sessions.broadcast_bytes() == 0);
  CHECK(sessions.check(0) == "");
}

TEST_CASE_FIXTURE(fixture, "check finds what was written past the table") {
  const std::uint32_t s = session();
  const std::uint32_t j = job(s, 1, 30);
  sessions.queue(j, false);
  jobs[j].cost = 31;
  CHECK(sessions.check(0) == "held bytes: counted 30, found 31");
  jobs[j].cost = 30;
  jobs[j].call = 2;
  CHECK(sessions.check(0).starts_with("a session does not find its job"));
  jobs[j].call = 1;
  sessions[s].results = 1;
  CHECK(sessions.check(0) == "results of host/c: counted 1, found 0");
  sessions[s].results = 0;
  sessions[s].lanes[0].suspended = true;
  CHECK(sessions.check(0) == "a lane of host/c waits for nothing, or does not wait");
  sessions[s].lanes[0].suspended = false;
  jobs[j].session = 9;
  CHECK(sessions.check(0).starts_with("a job of a session that is gone"));
}

TEST_CASE("call_index: nothing where nothing was set") {
  call_index calls;
  CHECK(calls.at(0) == none);
  CHECK(calls.at(0xffffffffU) == none);
  CHECK(calls.jobs().empty());
}

TEST_CASE("call_index: positions at the ends of pages, in their order, and taken back") {
  constexpr std::uint32_t page = call_index::page;
  call_index calls;
  // Set from behind: pages in between are not made.
  calls.set(5 * page, 50);
  calls.set(page, 30);
  calls.set(page - 1, 20);
  calls.set(0, 10);
  CHECK(calls.at(0) == 10);
  CHECK(calls.at(1) == none);
  CHECK(calls.at(page - 1) == 20);
  CHECK(calls.at(page) == 30);
  CHECK(calls.at(3 * page) == none);
  CHECK(calls.at(5 * page) == 50);
  CHECK(calls.at(6 * page) == none);
  CHECK(calls.jobs() == std::vector<std::uint32_t>{10, 20, 30, 50});
  calls.set(page - 1, none);
  calls.set(0, 11);
  CHECK(calls.at(page - 1) == none);
  CHECK(calls.jobs() == std::vector<std::uint32_t>{11, 30, 50});
}
