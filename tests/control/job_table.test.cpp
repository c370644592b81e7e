// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/job_table.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <vector>

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

namespace {

const time_point origin{};

/// As the coordinator makes one: of a session, and waiting.
std::uint32_t queued(job_table& jobs) {
  const std::uint32_t j = jobs.insert();
  jobs[j].session = 0;
  jobs.enter(j, job_phase::queued);
  return j;
}

}  // namespace

TEST_CASE("each phase is counted, and open is all but finished") {
  job_table jobs;
  const std::uint32_t a = queued(jobs), b = queued(jobs);
  CHECK(jobs.count(job_phase::queued) == 2);
  CHECK(jobs.open() == 2);
  jobs.enter(a, job_phase::blocked);
  jobs.queue_alone(b);
  CHECK(jobs.count(job_phase::blocked) == 1);
  CHECK(jobs.alone().front() == b);
  CHECK(jobs.check() == "");
  jobs.leave_alone(b);
  CHECK(jobs.alone().empty());
  CHECK(jobs.check().starts_with("a job is nowhere"));
  jobs.fail(b, {.code = errc::cancelled, .message = "not wanted"});
  jobs.settle(b);
  CHECK(jobs.open() == 1);
  CHECK(jobs.cancelled() == 1);
  CHECK(jobs.failed() == 0);
  CHECK(jobs.check() == "");
  jobs.erase(b);
  CHECK(jobs.size() == 1);
  CHECK(jobs.count(job_phase::finished) == 0);
  CHECK(jobs.check() == "");
}

TEST_CASE("an attempt has a new fence, and its end voids the call to give it back") {
  job_table jobs;
  const std::uint32_t j = queued(jobs);
  jobs.begin_attempt(j, 7);
  CHECK(jobs[j].fence == 1);
  CHECK(jobs[j].worker == 7);
  CHECK(jobs.leases() == 1);
  jobs.recall(j);
  CHECK(jobs.recalls() == 1);
  jobs.start_attempt(j);
  CHECK(jobs.recalls() == 0);
  CHECK(jobs[j].attempts == 1);
  CHECK(jobs.check() == "");
  jobs.end_attempt(j);
  CHECK(jobs.leases() == 0);
  CHECK(jobs.check().starts_with("a placed job has no worker"));
  jobs.place_again(j);
  jobs.enter(j, job_phase::pausing);
  CHECK(jobs[j].worker == none);
  CHECK(jobs.placed_again() == 1);
  CHECK(jobs.check() == "");
  jobs.begin_attempt(j, 8);
  jobs.recall(j);
  jobs.end_attempt(j);
  CHECK(jobs.recalls() == 0);
  CHECK(jobs[j].fence == 2);
}

TEST_CASE("the timer is the earlier of deadline and wake, and ends with the job") {
  job_table jobs(0, origin);
  const std::uint32_t j = queued(jobs), k = queued(jobs);
  jobs[j].deadline = origin + 20ms;
  CHECK(jobs.check().starts_with("an open job with a deadline has no timer"));
  jobs[j].wake = origin + 10ms;
  jobs.arm(j);
  jobs.arm(k);
  CHECK(jobs.check() == "");
  CHECK(jobs.next_time() <= origin + 10ms);
  std::vector<std::uint32_t> fired;
  const auto fire = [&](std::uint32_t each) { fired.push_back(each); };
  jobs.advance(origin + 9ms, fire);
  CHECK(fired.empty());
  jobs.advance(origin + 10ms, fire);
  CHECK(fired == std::vector<std::uint32_t>{j});
  jobs[j].wake = never;
  jobs.arm(j);
  jobs.succeed(j);
  jobs.settle(j);
  CHECK(jobs.succeeded() == 1);
  CHECK(jobs.next_time() == never);
  CHECK(jobs.check() == "");
}

TEST_CASE("check finds what was written past the table") {
  job_table jobs;
  const std::uint32_t j = queued(jobs);
  jobs[j].phase = job_phase::pausing;
  CHECK(jobs.check() == "jobs in phase 2: counted 1, found 0");
  jobs[j].phase = job_phase::placed;
  jobs[j].attempt_live = true;
  CHECK(jobs.check() != "");
  jobs[j].phase = job_phase::queued;
  CHECK(jobs.check().starts_with("a job waits while a worker holds it"));
  jobs[j].attempt_live = false;
  jobs[j].recalled = true;
  CHECK(jobs.check() == "recalls: counted 0, found 1");
  jobs[j].recalled = false;
  jobs[j].session = none;
  CHECK(jobs.check().starts_with("an open job has no session"));
}

TEST_CASE("a finished job has a value or a cause, and is not kept for nothing") {
  job_table jobs;
  const std::uint32_t j = queued(jobs);
  jobs.settle(j);
  CHECK(jobs.check().starts_with("a finished job has neither a value nor a cause"));
  jobs.fail(j, {.code = errc::worker_lost, .message = "gone"});
  CHECK(jobs.failed() == 1);
  CHECK(jobs.check() == "");
  jobs[j].accepted = true;
  CHECK(jobs.check().starts_with("a record is kept for nothing"));
}
