// SPDX-License-Identifier: BSL-1.0
#include "ledger.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <utility>

#include "dtask/sim/world.hpp"

namespace sim = dtask::sim;
namespace control = dtask::control;
using dtask::effect;
using dtask::errc;

// The judge is judged: each rule is broken once by hand and has to be noticed.
namespace {

constexpr sim::process_id coordinator = 1, worker = 2, client = 3;

struct books {
  books() { book.worker_known(coordinator, 10, 2, 1); }
  std::uint64_t submit(effect e) {
    harness::call_entry c;
    c.job.id = book.next_job();
    c.client = client;
    c.call = 100 + c.job.id;
    c.effect_class = e;
    book.submitted(c);
    book.sent(client, c.call, coordinator);
    return c.job.id;
  }
  std::uint64_t run(std::uint64_t job, std::uint32_t fence, std::uint32_t slot, effect e) {
    control::run_job r;
    r.job = 500 + job;
    r.fence = fence;
    r.slot = slot;
    r.effect_class = e;
    return book.started(worker, slot, 2, job, coordinator, r);
  }
  void complete(std::uint64_t job, std::uint64_t execution) {
    control::complete end;
    end.call = 100 + job;
    end.value = harness::encode(harness::virtual_result{job, execution}, 0);
    book.completed(client, end, {}, {});
  }
  void complete(std::uint64_t job, errc code) {
    control::complete end;
    end.call = 100 + job;
    end.why.code = code;
    book.completed(client, end, {}, {});
  }
  bool noticed(const std::string& words) const {
    for (const std::string& v : book.violations())
      if (v.find(words) != std::string::npos) return true;
    return false;
  }
  sim::virtual_scheduler clock;
  sim::trace log{clock};
  harness::ledger book{clock, log};
};

}  // namespace

TEST_CASE("ledger: an honest life is not blamed") {
  books b;
  const auto job = b.submit(effect::at_most_once);
  b.book.lease_granted(coordinator, 10, 500 + job, 1, effect::at_most_once);
  const auto e = b.run(job, 1, 0, effect::at_most_once);
  b.book.execution_ended(worker, 0, e);
  b.book.lease_ended(coordinator, 500 + job, 1, true);
  b.complete(job, e);
  CHECK(b.book.violations().empty());
  CHECK(b.book.open_calls() == 0);
}

TEST_CASE("ledger: a fenced result is noticed, and one of a lease that was taken back") {
  for (const bool granted_again : {true, false}) {
    books b;
    const auto job = b.submit(effect::idempotent);
    b.book.lease_granted(coordinator, 10, 500 + job, 1, effect::idempotent);
    const auto late = b.run(job, 1, 0, effect::idempotent);
    b.book.link_of_worker_gone(coordinator, 10);
    b.book.leases_void(coordinator, 10);
    if (granted_again) b.book.lease_granted(coordinator, 10, 500 + job, 2, effect::idempotent);
    b.book.lease_ended(coordinator, 500 + job, 1, true);
    b.complete(job, late);
    CHECK(b.noticed(granted_again ? "which was fenced by 2" : "lease that had been taken back"));
  }
}

TEST_CASE("ledger: slots that are used twice, or are not there") {
  books b;
  const auto one = b.submit(effect::pure), two = b.submit(effect::pure);
  b.book.lease_granted(coordinator, 10, 500 + one, 1, effect::pure);
  b.book.lease_granted(coordinator, 10, 500 + two, 1, effect::pure);
  b.run(one, 1, 0, effect::pure);
  b.run(two, 1, 0, effect::pure);
  CHECK(b.noticed("two jobs in slot 0"));
  books c;
  const auto three = c.submit(effect::pure);
  c.book.lease_granted(coordinator, 10, 500 + three, 1, effect::pure);
  c.run(three, 1, 2, effect::pure);
  CHECK(c.noticed("in slot 2 of 2"));
}

TEST_CASE("ledger: a job that may run once runs twice, or is sent ahead") {
  books b;
  const auto job = b.submit(effect::at_most_once);
  b.book.lease_granted(coordinator, 10, 500 + job, 1, effect::at_most_once);
  b.run(job, 1, 0, effect::at_most_once);
  b.book.link_of_worker_gone(coordinator, 10);
  b.book.lease_granted(coordinator, 10, 500 + job, 2, effect::at_most_once);
  CHECK(b.noticed("second attempt"));
  b.run(job, 2, 1, effect::at_most_once);
  CHECK(b.noticed("runs twice"));
  books c;
  for (std::uint64_t n = 0; n < 3; ++n) {
    c.submit(effect::at_most_once);
    c.book.lease_granted(coordinator, 10, 500 + n, 1, effect::at_most_once);
  }
  CHECK(c.noticed("sent ahead"));
}

TEST_CASE("ledger: a lease that is granted while it is held, or with an old fence") {
  books b;
  b.book.lease_granted(coordinator, 10, 7, 2, effect::pure);
  b.book.lease_granted(coordinator, 10, 7, 3, effect::pure);
  CHECK(b.noticed("is held"));
  b.book.lease_ended(coordinator, 7, 3, false);
  b.book.lease_granted(coordinator, 10, 7, 3, effect::pure);
  CHECK(b.noticed("no newer fence"));
}

TEST_CASE("ledger: two ends of a call, and ends that nothing explains") {
  books b;
  const auto job = b.submit(effect::pure);
  b.complete(job, errc::cancelled);
  CHECK(b.noticed("ended cancelled"));
  b.complete(job, errc::worker_lost);
  CHECK(b.noticed("ended twice"));
  books c;
  c.book.accepted(coordinator, 20, 1);
  c.book.result_sent(coordinator, 20, 1, 5, errc::ok);
  c.book.result_sent(coordinator, 20, 1, 6, errc::ok);  // again on another link: allowed
  CHECK(c.book.violations().empty());
  c.book.result_sent(coordinator, 20, 1, 6, errc::ok);
  CHECK(c.noticed("two results"));
  c.book.result_sent(coordinator, 20, 1, 7, errc::worker_lost);
  CHECK(c.noticed("has two ends"));
}

TEST_CASE("ledger: a call whose arguments did not come whole is accepted anew, also after an end") {
  books b;
  b.book.accepted(coordinator, 20, 1);
  b.book.result_sent(coordinator, 20, 1, 5, errc::worker_lost);
  b.book.not_accepted(coordinator, 20, 1);
  b.book.accepted(coordinator, 20, 1);
  b.book.result_sent(coordinator, 20, 1, 6, errc::ok);
  CHECK(b.book.violations().empty());
  b.book.not_accepted(coordinator, 20, 1);
  b.book.result_sent(coordinator, 20, 1, 7, errc::ok);
  CHECK(b.noticed("never accepted"));
}

TEST_CASE("ledger: an accepted job without an end") {
  books b;
  b.book.session_of(coordinator, 20, client);
  b.book.welcomed(client, coordinator, 20);
  b.book.accepted(coordinator, 20, 1);
  b.book.check_all_answered(coordinator);
  CHECK(b.noticed("was accepted and has no end"));
}

TEST_CASE("ledger: a value that is another job's") {
  books b;
  const auto job = b.submit(effect::pure), other = b.submit(effect::pure);
  b.book.lease_granted(coordinator, 10, 500 + other, 1, effect::pure);
  const auto e = b.run(other, 1, 0, effect::pure);
  b.book.lease_ended(coordinator, 500 + other, 1, true);
  b.complete(job, e);
  CHECK(b.noticed("execution that never was"));
}

TEST_CASE("ledger: no_worker sooner than stated after the last worker has left") {
  const auto ends_after = [](std::chrono::seconds without) {
    books b;
    const dtask::wire::job_type type{"work/1", 1, "a -> b"};
    harness::call_entry c;
    c.client = client;
    c.call = 100;
    c.no_worker_after = std::chrono::seconds(5);
    c.type = type;
    b.book.submitted(c);
    b.book.session_of(coordinator, 20, client);
    b.book.accepted(coordinator, 20, 100);
    b.clock.run_until(b.clock.now() + std::chrono::seconds(4));
    b.book.worker_serves(coordinator, 10, {type});
    b.clock.run_until(b.clock.now() + std::chrono::seconds(4));
    b.book.worker_leaves(coordinator, 10);
    b.clock.run_until(b.clock.now() + without);
    b.book.result_sent(coordinator, 20, 100, 1, errc::no_worker, true);
    return b.noticed("ended no_worker");
  };
  CHECK(ends_after(std::chrono::seconds(1)));
  CHECK(!ends_after(std::chrono::seconds(5)));
}
