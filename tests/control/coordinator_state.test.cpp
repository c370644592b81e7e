// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/coordinator_state.hpp"

#include <doctest/doctest.h>

#include "control/story.hpp"
#include "dtask/wire/outbox.hpp"

using namespace story;

namespace {
errc code(machines& c, std::size_t client, std::uint64_t call) { return c.result(client, call).why.code; }
}  // namespace

TEST_CASE("a job goes to the worker and its value comes back") {
  machines c;
  c.start_coordinator();
  c.add_worker(2);
  c.add_client();
  const auto call = c.submit(0, effect::pure, text("hello"));
  REQUIRE(c.workers[0].running.size() == 1);
  CHECK(c.workers[0].running[0].arguments.body.view() == "hello");
  CHECK(c.workers[0].running[0].attempt == 1);
  c.finish(0, "answer");
  REQUIRE(c.is_done(0, call));
  CHECK(c.result(0, call).value.body.view() == "answer");
  CHECK(c.result(0, call).attempts == 1);
  CHECK(c.result(0, call).worker == "host/w0#1");
  c.pass(2 * control::acknowledge_within);
  const auto r = c.report();
  CHECK(r.succeeded == 1);
  CHECK(r.payload_bytes == 0);
  CHECK(c.violation == "");
}

TEST_CASE("jobs that wait for a worker run when one joins") {
  machines c;
  c.start_coordinator();
  c.add_client();
  const auto call = c.submit(0);
  c.pass(30s);
  c.add_worker(1, {type("job/1")}, true);
  CHECK(code(c, 0, call) == errc::ok);
  CHECK(c.violation == "");
}

TEST_CASE("no worker for 60 seconds") {
  machines c;
  c.start_coordinator();
  c.add_client();
  const auto call = c.submit(0);
  c.pass(59s);
  CHECK(!c.is_done(0, call));
  c.pass(2s);
  CHECK(code(c, 0, call) == errc::no_worker);

  SUBCASE("counted anew since the last worker left") {
    const auto w = c.add_worker(1);
    const auto running = c.submit(0);
    const auto waiting = c.submit(0);
    c.pass(100s);
    c.kill(w);
    c.pass(50s);
    CHECK(!c.is_done(0, waiting));
    c.pass(30s);
    CHECK(code(c, 0, waiting) == errc::no_worker);
    CHECK(code(c, 0, running) == errc::no_worker);
  }
  SUBCASE("a job's own time") {
    call_request r;
    r.wishes.no_worker_after = 2s;
    const auto quick = c.submit(0, effect::pure, text("a"), std::move(r));
    c.pass(3s);
    CHECK(code(c, 0, quick) == errc::no_worker);
  }
  CHECK(c.violation == "");
}

TEST_CASE("where no worker is connected, a job's end tells how the last process ended that was to be one") {
  machines c;
  c.start_coordinator();
  c.add_client();
  const auto ended = [&c](std::string how) {
    c.coordinator->process_ended(4711, std::move(how), c.now);
    c.settle();
  };
  const auto said = [&c](errc expected, duration deadline) {
    call_request r;
    r.wishes.no_worker_after = 2s;
    r.wishes.deadline = deadline;
    const auto call = c.submit(0, effect::pure, text("a"), std::move(r));
    c.pass(3s);
    CHECK(code(c, 0, call) == expected);
    const wire::failure& why = c.result(0, call).why;
    return why.message + " | " + why.remedy;
  };
  const auto has = [](const std::string& all, std::string_view part) { return all.find(part) != std::string::npos; };
  std::string last = said(errc::no_worker, no_deadline);
  CHECK_FALSE(has(last, "process"));
  CHECK(has(last, "start a worker that registers this job"));
  ended("killed by signal 9 (Killed)");
  ended("ended with exit code 0");
  last = said(errc::no_worker, no_deadline);
  CHECK(has(last, "none is connected; the last process that was to be one: ended with exit code 0"));
  CHECK(has(last, "dtask::worker_role"));
  last = said(errc::deadline_exceeded, 1s);
  CHECK(has(last, "while the job waited for a worker: none is connected"));
  CHECK(has(last, "ended with exit code 0"));
  // It is forgotten where one comes.
  const auto w = c.add_worker(1, {type("other/1")});
  last = said(errc::no_worker, no_deadline);
  CHECK(has(last, "1 connected, none registered it"));
  c.kill(w);
  c.pass(10s);
  last = said(errc::no_worker, no_deadline);
  CHECK_FALSE(has(last, "process"));
  CHECK(c.violation == "");
}

TEST_CASE("another schema is refused with both sides named, whoever came first") {
  machines c;
  c.start_coordinator();
  std::uint64_t call = 0;
  SUBCASE("the worker first") {
    c.add_worker(1, {type("job/1", 7)});
    c.add_client({type("job/1", 8)});
    call = c.submit(0);
  }
  SUBCASE("the job first") {
    c.add_client({type("job/1", 8)});
    call = c.submit(0);
    CHECK(!c.is_done(0, call));
    c.add_worker(1, {type("job/1", 7)});
  }
  SUBCASE("when the last right worker leaves") {
    c.add_worker(1, {type("job/1", 7)});
    c.add_worker(1, {type("job/1", 8)});
    c.add_client({type("job/1", 8)});
    c.submit(0);
    call = c.submit(0);
    CHECK(!c.is_done(0, call));
    c.kill(1);
    c.pass(6s);
  }
  CHECK(code(c, 0, call) == errc::schema_mismatch);
  const std::string text = c.result(0, call).why.message;
  CHECK(text.find("host/c0") != std::string::npos);
  CHECK(text.find("host/w0") != std::string::npos);
  CHECK(text.find("int(int)/7") != std::string::npos);
  CHECK(text.find("int(int)/8") != std::string::npos);
  CHECK(c.violation == "");
}

TEST_CASE("slots, prefetch and what is never prefetched") {
  machines c;
  c.options.prefetch_min = 2;
  c.start_coordinator();
  c.add_worker(2);
  c.add_client();
  SUBCASE("pure jobs: one per slot and two more per slot in advance") {
    for (int i = 0; i < 20; ++i) c.submit(0);
    CHECK(c.report().running == 2);
    CHECK(c.report().assigned == 4);
    CHECK(c.report().queued == 14);
    CHECK(c.workers[0].most_running == 2);
  }
  SUBCASE("at_most_once: only what runs") {
    for (int i = 0; i < 20; ++i) c.submit(0, effect::at_most_once);
    CHECK(c.report().running == 2);
    CHECK(c.report().assigned == 0);
  }
  while (!c.workers[0].running.empty()) c.finish(0);
  CHECK(c.clients[0].done.size() == 20);
  CHECK(c.workers[0].most_running == 2);
  CHECK(c.violation == "");
}

TEST_CASE("the least loaded worker is chosen") {
  machines c;
  c.start_coordinator();
  c.add_worker(4);
  c.add_worker(2);
  c.add_client();
  for (int i = 0; i < 3; ++i) c.submit(0);
  CHECK(c.workers[0].running.size() == 2);
  CHECK(c.workers[1].running.size() == 1);
  for (int i = 0; i < 3; ++i) c.submit(0);
  CHECK(c.workers[0].running.size() == 4);
  CHECK(c.workers[1].running.size() == 2);
}

TEST_CASE("clients take turns") {
  machines c;
  c.options.prefetch_max = 0;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  c.add_client();
  for (int i = 0; i < 100; ++i) c.submit(0, effect::pure, text("first"));
  const auto late = c.submit(1, effect::pure, text("second"));
  c.finish(0);
  c.finish(0);
  c.finish(0);
  CHECK(c.is_done(1, late));
  CHECK(c.violation == "");
}

TEST_CASE("prefetched jobs come back when another worker is idle") {
  machines c;
  c.options.prefetch_min = 3;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  std::vector<std::uint64_t> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(c.submit(0));
  CHECK(c.report().assigned == 3);
  c.add_worker(2);
  c.pass(1s);
  CHECK(c.workers[1].running.size() == 2);
  CHECK(c.report().assigned == 1);
  c.finish_all(1);
  c.pass(1s);
  c.finish_all(1);
  c.finish_all(0);
  for (const auto call : calls) CHECK(c.result(0, call).attempts == 1);
  CHECK(c.violation == "");
}

TEST_CASE("a worker that dies: by the effect class of its jobs") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  SUBCASE("pure: placed again as the second attempt") {
    const auto call = c.submit(0);
    c.kill(0);
    c.add_worker(1);
    c.pass(3s);
    REQUIRE(c.workers[1].running.size() == 1);
    CHECK(c.workers[1].running[0].attempt == 2);
    c.finish(1, "second");
    CHECK(c.result(0, call).value.body.view() == "second");
    CHECK(c.result(0, call).attempts == 2);
    CHECK(c.report().placed_again == 1);
  }
  SUBCASE("at_most_once: worker_lost") {
    const auto call = c.submit(0, effect::at_most_once);
    const auto waiting = c.submit(0, effect::at_most_once);
    c.kill(0);
    c.pass(3s);
    CHECK(code(c, 0, call) == errc::worker_lost);
    CHECK(c.result(0, call).why.place.find("host/w0") != std::string::npos);
    CHECK(!c.is_done(0, waiting));
    c.add_worker(1, {type("job/1")}, true);
    CHECK(code(c, 0, waiting) == errc::ok);
  }
  SUBCASE("prefetched jobs are no suspects and spend no attempt") {
    const auto running = c.submit(0);
    const auto prefetched = c.submit(0);
    c.kill(0);
    c.add_worker(2, {type("job/1")}, true);
    c.pass(3s);
    CHECK(c.result(0, running).attempts == 2);
    CHECK(c.result(0, prefetched).attempts == 1);
  }
  SUBCASE("no retries left") {
    call_request r;
    r.wishes.retry.retries = 1;
    const auto call = c.submit(0, effect::idempotent, text("a"), std::move(r));
    c.kill(0);
    c.add_worker(1);
    c.pass(3s);
    c.kill(1);
    c.pass(3s);
    CHECK(code(c, 0, call) == errc::worker_lost);
    CHECK(c.result(0, call).attempts == 2);
  }
  SUBCASE("a launcher that saw it end says why") {
    call_request r;
    r.wishes.retry.retries = 0;
    const auto call = c.submit(0, effect::pure, text("a"), std::move(r));
    c.coordinator->process_ended(101, "killed by signal 11; stderr: boom", c.now);
    c.settle();
    CHECK(!c.is_done(0, call));
    c.kill(0);
    c.pass(1ms);
    CHECK(code(c, 0, call) == errc::worker_lost);
    CHECK(c.result(0, call).why.message.find("signal 11") != std::string::npos);
  }
  CHECK(c.violation == "");
}

TEST_CASE("silence: suspect after 3 s, lost after 5 s, and a late result is fenced off") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto call = c.submit(0);
  c.freeze(0);
  c.pass(3500ms);
  CHECK(c.report().workers[0].state == "suspect");
  SUBCASE("it comes back as a suspect") {
    c.freeze(0, false);
    c.pass(2s);
    CHECK(c.report().workers[0].state == "up");
    c.finish(0);
    CHECK(c.result(0, call).attempts == 1);
  }
  SUBCASE("it comes back too late") {
    const auto second = c.add_worker(1);
    CHECK(c.workers[second].running.empty());
    c.pass(3s);
    REQUIRE(c.workers[second].running.size() == 1);
    // It still runs its attempt, hears that its link is gone, comes back as a stranger and finishes the old attempt.
    c.freeze(0, false);
    c.pass(2s);
    CHECK(!c.workers[0].stops.empty());
    c.finish(0, "late");
    CHECK(!c.is_done(0, call));
    c.finish(second, "right");
    CHECK(c.result(0, call).value.body.view() == "right");
    CHECK(c.result(0, call).attempts == 2);
  }
  CHECK(c.violation == "");
}

TEST_CASE("a worker whose link breaks comes back and keeps its jobs") {
  machines c;
  c.options.prefetch_min = 2;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto first = c.submit(0, effect::at_most_once);
  const auto second = c.submit(0);
  c.break_link(c.workers[0]);
  SUBCASE("while they run") {
    c.pass(500ms);
    CHECK(c.workers[0].state->exited() == false);
    CHECK(c.report().workers.size() == 1);
    c.finish(0, "kept");
    c.finish(0);
  }
  SUBCASE("a result from the time without a link is sent again") {
    c.workers[0].state->job_finished(c.workers[0].running[0].job, c.workers[0].running[0].fence, {}, text("kept"),
                                     c.now);
    c.workers[0].running.clear();
    c.pass(500ms);
    c.finish(0);
  }
  CHECK(c.result(0, first).value.body.view() == "kept");
  CHECK(c.result(0, first).attempts == 1);
  CHECK(c.result(0, second).attempts == 1);
  CHECK(c.violation == "");
}

TEST_CASE("a job that kills its workers runs alone after two deaths and is quarantined at the third") {
  machines c;
  c.start_coordinator();
  c.add_worker(2);
  c.add_client();
  const auto poison = c.submit(0, effect::pure, text("poison"));
  const auto other = c.submit(0, effect::pure, text("other"), [] {
    call_request r;
    r.wishes.retry.retries = 10;
    return r;
  }());
  c.kill(0);
  c.add_worker(2);
  c.pass(3s);
  CHECK(c.workers[1].running.size() == 2);
  c.kill(1);
  c.add_worker(2);
  c.pass(5s);
  // Both were running when two workers died: each runs alone now, one after the other.
  REQUIRE(c.workers[2].running.size() == 1);
  CHECK(c.workers[2].most_running == 1);
  const bool poison_first = c.workers[2].running[0].arguments.body.view() == "poison";
  if (!poison_first) {
    c.finish(2);
    c.pass(1s);
    CHECK(code(c, 0, other) == errc::ok);
    REQUIRE(c.workers[2].running.size() == 1);
  }
  c.kill(2);
  c.pass(5s);
  CHECK(code(c, 0, poison) == errc::quarantined);
  CHECK(c.result(0, poison).attempts == 3);
  CHECK(c.result(0, poison).why.message.find("host/w2") != std::string::npos);
  if (poison_first) {
    c.add_worker(2);
    c.pass(5s);
    c.finish(3);
    CHECK(code(c, 0, other) == errc::ok);
  }
  CHECK(c.violation == "");
}

TEST_CASE("a job that throws") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const wire::failure thrown{.code = errc::job_failed, .type = "std::runtime_error", .message = "no such file"};
  SUBCASE("is an answer") {
    const auto call = c.submit(0);
    c.finish(0, "", thrown);
    CHECK(code(c, 0, call) == errc::job_failed);
    CHECK(c.result(0, call).why.type == "std::runtime_error");
    CHECK(c.result(0, call).why.place == "host/w0, attempt 1");
    CHECK(c.report().failed == 1);
  }
  SUBCASE("is run again where its policy asks, with a growing pause") {
    call_request r;
    r.wishes.retry = {.retries = 2, .backoff = 100ms, .max_backoff = 1s, .on_exception = true};
    const auto call = c.submit(0, effect::idempotent, text("a"), std::move(r));
    c.finish(0, "", thrown);
    CHECK(c.report().waiting_retry == 1);
    c.pass(90ms);
    CHECK(c.workers[0].running.empty());
    c.pass(20ms);
    REQUIRE(c.workers[0].running.size() == 1);
    CHECK(c.workers[0].running[0].attempt == 2);
    c.finish(0, "", thrown);
    c.pass(150ms);
    CHECK(c.workers[0].running.empty());
    c.pass(100ms);
    REQUIRE(c.workers[0].running.size() == 1);
    c.finish(0, "", thrown);
    CHECK(code(c, 0, call) == errc::job_failed);
    CHECK(c.result(0, call).attempts == 3);
  }
  CHECK(c.violation == "");
}

TEST_CASE("deadlines") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto with = [](duration d) {
    call_request r;
    r.wishes.deadline = d;
    return r;
  };
  SUBCASE("of a queued job") {
    c.submit(0);
    const auto call = c.submit(0, effect::at_most_once, text("a"), with(2s));
    c.pass(1900ms);
    CHECK(!c.is_done(0, call));
    c.pass(150ms);
    CHECK(code(c, 0, call) == errc::deadline_exceeded);
  }
  SUBCASE("of a running job: its client hears at once, its slot is free when it has stopped") {
    const auto call = c.submit(0, effect::pure, text("a"), with(2s));
    const auto next = c.submit(0, effect::at_most_once);
    CHECK(c.workers[0].running[0].deadline == c.now + 2s);
    c.pass(2001ms);
    CHECK(code(c, 0, call) == errc::deadline_exceeded);
    REQUIRE(c.workers[0].stops.size() == 1);
    CHECK(c.workers[0].running.size() == 1);
    c.finish(0, "", {.code = errc::cancelled});
    CHECK(c.workers[0].running.size() == 1);
    c.finish(0);
    CHECK(code(c, 0, next) == errc::ok);
  }
  SUBCASE("none") {
    const auto call = c.submit(0, effect::pure, text("a"), with(no_deadline));
    c.pass(3h);
    CHECK(!c.is_done(0, call));
    c.finish(0);
    CHECK(code(c, 0, call) == errc::ok);
  }
  SUBCASE("an hour by default") {
    const auto call = c.submit(0);
    c.pass(61min);
    CHECK(code(c, 0, call) == errc::deadline_exceeded);
  }
  CHECK(c.violation == "");
}

TEST_CASE("cancellation") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto running = c.submit(0);
  const auto prefetched = c.submit(0);
  const auto queued = c.submit(0, effect::at_most_once);
  const auto cancel = [&](std::uint64_t call) {
    c.clients[0].state->cancel(call, c.now);
    c.settle();
  };
  cancel(queued);
  CHECK(code(c, 0, queued) == errc::cancelled);
  cancel(prefetched);
  CHECK(code(c, 0, prefetched) == errc::cancelled);
  cancel(running);
  CHECK(!c.is_done(0, running));
  REQUIRE(c.workers[0].stops.size() == 1);
  SUBCASE("it stops") {
    c.finish(0, "", {.code = errc::cancelled, .message = "stopped"});
    CHECK(code(c, 0, running) == errc::cancelled);
  }
  SUBCASE("it was done already") {
    c.finish(0, "done");
    CHECK(code(c, 0, running) == errc::ok);
  }
  SUBCASE("it ignores stop: abandoned after 5 s, its slot is lost, and without slots the worker leaves") {
    c.pass(4900ms);
    CHECK(!c.is_done(0, running));
    c.pass(200ms);
    CHECK(code(c, 0, running) == errc::cancelled);
    CHECK(c.result(0, running).why.message.find("job_abandoned") != std::string::npos);
    REQUIRE(c.workers[0].ended.has_value());
    CHECK(c.workers[0].ended->reason == control::exit_reason::no_slots);
    CHECK(c.report().workers.empty());
  }
  CHECK(c.workers[0].ran.size() == 1);
  CHECK(c.violation == "");
}

TEST_CASE("an abandoned job's slot is counted as lost, and comes back if the job ends after all") {
  machines c;
  c.start_coordinator();
  c.add_worker(2);
  c.add_client();
  const auto stuck = c.submit(0);
  c.clients[0].state->cancel(stuck, c.now);
  c.pass(6s);
  CHECK(c.is_done(0, stuck));
  CHECK(c.report().workers[0].lost_slots == 1);
  for (int i = 0; i < 3; ++i) c.submit(0, effect::at_most_once);
  CHECK(c.workers[0].running.size() == 2);  // the stuck one and one more
  c.finish(0);
  CHECK(c.report().workers[0].lost_slots == 0);
  CHECK(c.workers[0].running.size() == 2);
  CHECK(c.violation == "");
}

TEST_CASE("a worker drains: prefetched jobs go back, running ones end, nothing runs twice") {
  machines c;
  c.options.prefetch_min = 2;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  std::vector<std::uint64_t> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(c.submit(0));
  c.workers[0].state->drain(c.now);
  c.settle();
  CHECK(c.report().queued == 2);
  CHECK(!c.workers[0].ended);
  c.add_worker(1, {type("job/1")}, true);
  c.finish(0);
  REQUIRE(c.workers[0].ended.has_value());
  CHECK(c.workers[0].ended->reason == control::exit_reason::drained);
  for (const auto call : calls) CHECK(c.result(0, call).attempts == 1);
  CHECK(c.report().workers.size() == 1);
  CHECK(c.violation == "");
}

TEST_CASE("a job that a leaving worker had to stop is placed again") {
  machines c;
  c.worker_options.drain_within = 2s;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto call = c.submit(0);
  c.workers[0].state->drain(c.now);
  c.pass(2s);
  REQUIRE(c.workers[0].stops.size() == 1);
  c.finish(0, "", {.code = errc::cancelled, .message = "stopped"});
  CHECK(c.workers[0].ended.has_value());
  CHECK(!c.is_done(0, call));
  c.add_worker(1, {type("job/1")}, true);
  c.pass(1s);
  CHECK(code(c, 0, call) == errc::ok);
  CHECK(c.result(0, call).attempts == 2);
  CHECK(c.violation == "");
}

TEST_CASE("the coordinator drains") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto call = c.submit(0);
  c.coordinator->drain(c.now);
  c.settle();
  const auto late = c.submit(0, effect::at_most_once);
  const auto unwanted = c.submit(0);
  CHECK(!c.is_done(0, late));
  CHECK(!c.stopped);
  c.clients[0].state->cancel(unwanted, c.now);
  c.settle();
  CHECK(code(c, 0, unwanted) == errc::cancelled);
  SUBCASE("when its jobs have ended") { c.finish(0); }
  SUBCASE("when its time is over") { c.pass(31s); }
  c.pass(1s);
  CHECK(c.stopped);
  CHECK_FALSE(c.workers[0].ended);
  CHECK(!c.is_done(0, late));
  // Everybody goes on with the next one.
  c.start_coordinator(2);
  c.pass(5s);
  for (int i = 0; i < 3 && !c.workers[0].running.empty(); ++i) {
    c.finish(0);
    c.pass(1s);
  }
  CHECK(code(c, 0, call) == errc::ok);
  CHECK(code(c, 0, late) == errc::ok);
  CHECK(c.violation == "");
}

TEST_CASE("the coordinator drains and gives back what nobody has begun") {
  machines c;
  c.options.prefetch_max = 0;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto running = c.submit(0, effect::at_most_once);
  const auto waiting = c.submit(0, effect::at_most_once);
  c.coordinator->drain(c.now);
  c.settle();
  c.pass(31s);
  REQUIRE(c.stopped);
  c.start_coordinator(2);
  c.pass(5s);
  CHECK(code(c, 0, running) == errc::coordinator_lost);
  c.finish(0);  // nobody wants it any more
  c.pass(1s);
  REQUIRE(c.workers[0].running.size() == 1);
  c.finish(0);
  CHECK(code(c, 0, waiting) == errc::ok);
  CHECK(c.violation == "");
}

TEST_CASE("a draining coordinator turns calls away as far as the session's bytes go: the others are overloaded") {
  bare b;
  b.options.session_bytes = 4 * control::job_cost + 2;
  b.options.drain_within = 1s;  // before the clients count as silent
  b.start();
  b.join(1, wire::role::client);
  b.join(2, wire::role::client);
  b.get(1, b.submit(0));  // holds job_cost and one byte
  b.state->drain(b.now);
  b.take();
  const auto ends = [&b](control::link_id link, errc code) {
    std::vector<std::uint64_t> calls;
    for (const wire::result& r : b.all<wire::result>(link))
      if (r.why.code == code) calls.push_back(r.call);
    return calls;
  };
  const auto call = [&b](std::uint32_t position) { return b.submit(position).call; };
  using calls = std::vector<std::uint64_t>;
  // Three fit beside the job; a client that minds no credit sends more.
  for (std::uint32_t position = 1; position < 7; ++position) b.get(1, b.submit(position));
  CHECK(ends(1, errc::overloaded) == calls{call(4), call(5), call(6)});
  const auto credit = b.all<wire::credit>(1);
  REQUIRE_FALSE(credit.empty());
  // What was refused costs nothing, what was turned away keeps its credit until the end.
  std::uint64_t back = 0;
  for (const wire::credit& each : credit) back += each.bytes;
  CHECK(back == 3 * (control::job_cost + 1));
  // One that is cancelled makes room for another.
  b.get(1, wire::cancel{call(2)});
  CHECK(ends(1, errc::cancelled) == calls{call(2)});
  b.get(1, b.submit(7));
  b.get(1, b.submit(8));
  CHECK(ends(1, errc::overloaded) == calls{call(4), call(5), call(6), call(8)});
  // Each client has its own bound.
  b.get(2, b.submit(0));
  CHECK(b.all<wire::result>(2).empty());
  b.now += b.options.drain_within;
  b.tick();
  CHECK(ends(1, errc::closed) == calls{call(0), call(1), call(3), call(7)});
  CHECK(ends(2, errc::closed) == calls{call(0)});
  CHECK(b.violation == "");
}

TEST_CASE("the coordinator drains and sends the workers home where it is told to") {
  machines c;
  c.options.send_home = true;
  c.start_coordinator();
  c.add_worker(1);
  c.coordinator->drain(c.now);
  c.settle();
  c.pass(1s);
  REQUIRE(c.workers[0].ended);
  CHECK(c.workers[0].ended->reason == control::exit_reason::drained);
  CHECK(c.violation == "");
}

TEST_CASE("the end of a process waits for what it had sent: three deaths quarantine, whichever is heard first") {
  bare c;
  c.start();
  c.join(1, wire::role::client);
  wire::submit job = c.submit(0);
  job.effect_class = effect::pure;
  job.retry = {.retries = 5, .backoff = 1ms, .max_backoff = 1ms, .on_exception = false};
  c.get(1, std::move(job));
  for (control::link_id link = 2; link < 5; ++link) {
    wire::hello who;
    who.pid = static_cast<std::uint32_t>(100 + link);
    c.join(link, wire::role::worker, 1, {type("job/1")}, who);
    REQUIRE(c.all<wire::run>(link).size() == 1);
    const wire::run run = c.all<wire::run>(link)[0];
    c.state->process_ended(who.pid, "killed by signal 11", c.now);
    c.take();
    CHECK(c.state->report(c.now).running + c.state->report(c.now).assigned == 1);  // not yet lost
    c.get(link, wire::started{run.job, run.fence});
    c.state->closed(link, error(errc::closed, "closed by the peer"), c.now);
    c.take();
    c.now += 10ms;
    c.state->tick(c.now);
    c.take();
  }
  REQUIRE(c.all<wire::result>(1).size() == 1);
  CHECK(c.all<wire::result>(1)[0].why.code == errc::quarantined);
  CHECK(c.violation == "");
}

TEST_CASE("the end of a process is not waited for longer than a second") {
  bare c;
  c.start();
  c.join(1, wire::role::client);
  wire::hello who;
  who.pid = 102;
  c.join(2, wire::role::worker, 1, {type("job/1")}, who);
  c.get(1, c.submit(0));
  REQUIRE(c.all<wire::run>(2).size() == 1);
  c.state->process_ended(who.pid, "killed by signal 9", c.now);
  c.take();
  who.pid = 103;
  c.join(3, wire::role::worker, 1, {type("job/1")}, who);
  CHECK(c.all<wire::run>(3).empty());
  const time_point ended = c.now;
  while (c.all<wire::run>(3).empty() && c.now < ended + 10s) {
    c.now = std::max(c.now, c.state->next_tick());
    c.state->heard(3, c.now);
    c.state->heard(1, c.now);
    c.state->tick(c.now);
    c.take();
  }
  CHECK(c.now == ended + control::last_words_within);
  CHECK(c.violation == "");
}

TEST_CASE("a full queue answers overloaded, and the client tries again") {
  machines c;
  c.options.queue_bytes = 3 * control::job_cost + 100;
  c.start_coordinator();
  c.add_client();
  c.add_client();
  for (int i = 0; i < 3; ++i) c.submit(0, effect::at_most_once);
  call_request r;
  r.wishes.retry = {.retries = 2, .backoff = 1s, .max_backoff = 10s};
  const auto call = c.submit(1, effect::at_most_once, text("a"), std::move(r));
  CHECK(!c.is_done(1, call));
  SUBCASE("until it has room") {
    c.add_worker(4, {type("job/1")}, true);
    c.pass(2s);
    CHECK(code(c, 1, call) == errc::ok);
  }
  SUBCASE("or its retries are spent") {
    c.pass(10s);
    CHECK(code(c, 1, call) == errc::overloaded);
  }
  CHECK(c.violation == "");
}

TEST_CASE("arguments that can never fit the queue are too_large, with the number and its option") {
  machines c;
  c.options.queue_bytes = 4 * control::job_cost;
  c.options.session_bytes = 64 * control::job_cost;
  c.start_coordinator();
  c.add_client();
  const std::uint64_t most = c.options.queue_bytes - control::job_cost;
  call_request r;
  r.wishes.retry = {.retries = 2, .backoff = 1s, .max_backoff = 10s};
  const auto call = c.submit(0, effect::pure, text(std::string(most + 1, 'a')), std::move(r));
  CHECK(code(c, 0, call) == errc::too_large);
  CHECK(c.result(0, call).why.message.find(std::to_string(most) + " ") != std::string::npos);
  CHECK(c.result(0, call).why.remedy.find("--queue-bytes") != std::string::npos);
  CHECK(c.result(0, call).why.remedy.find("--session-bytes") == std::string::npos);
  // What just fits waits for a worker.
  const auto fits = c.submit(0, effect::pure, text(std::string(most, 'a')));
  c.pass(1s);
  CHECK(!c.is_done(0, fits));
  CHECK(c.violation == "");
}

TEST_CASE("credits: a client sends as much as the coordinator takes, and goes on when jobs end") {
  machines c;
  c.options.session_bytes = 16 * (control::job_cost + 100);
  c.options.prefetch_max = 0;
  c.client_options.unsent_bytes = 4 * (control::job_cost + 100);
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  std::vector<std::uint64_t> calls;
  for (int i = 0; i < 30; ++i) calls.push_back(c.submit(0, effect::pure, text(std::string(100, 'a'))));
  CHECK(c.report().payload_bytes <= c.options.session_bytes);
  CHECK(c.clients[0].accepted.size() == 20);
  while (!c.workers[0].running.empty()) c.finish(0);
  CHECK(c.clients[0].accepted == calls);
  CHECK(c.clients[0].done.size() == calls.size());
  c.pass(2 * control::acknowledge_within);
  CHECK(c.report().payload_bytes == 0);
  const auto large = c.submit(0, effect::pure, text(std::string(16 * 400, 'b')));
  CHECK(code(c, 0, large) == errc::too_large);
  CHECK(c.result(0, large).why.remedy.find("session_bytes") != std::string::npos);
  CHECK(c.violation == "");
}

TEST_CASE("a client that takes no results gets no more of them, and others are served") {
  machines c;
  c.options.session_bytes = 20'000;
  c.options.session_grace = 60s;
  c.options.prefetch_max = 0;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  c.add_client();
  std::vector<std::uint64_t> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(c.submit(0));
  c.clients[0].frozen = true;
  const std::string value(9'000, 'v');
  int ended = 0;
  for (; !c.workers[0].running.empty() && ended < 20; ++ended) c.finish(0, value);
  CHECK(ended == 3);
  CHECK(c.report().result_bytes == 27'000);
  CHECK(c.report().queued == 17);
  const auto other = c.submit(1);
  c.finish(0, value);
  CHECK(code(c, 1, other) == errc::ok);
  SUBCASE("until it takes them") {
    c.clients[0].frozen = false;
    c.settle();
    c.pass(2 * control::acknowledge_within);
    for (int i = 0; i < 100 && !c.workers[0].running.empty(); ++i) {
      c.finish(0, value);
      c.pass(2 * control::acknowledge_within);
    }
    for (const std::uint64_t call : calls) CHECK(code(c, 0, call) == errc::ok);
  }
  SUBCASE("nor are they lost to the clock or to a worker of theirs that leaves") {
    c.kill(0);
    c.pass(10s);
    c.add_worker(1);
    CHECK(c.workers[1].running.empty());
    c.break_link(c.clients[0]);
    c.clients[0].frozen = false;
    c.pass(100ms);
    for (int i = 0; i < 100 && !c.workers[1].running.empty(); ++i) {
      c.finish(1, value);
      c.pass(2 * control::acknowledge_within);
    }
    for (const std::uint64_t call : calls) CHECK(code(c, 0, call) == errc::ok);
  }
  SUBCASE("or its session ends") {
    c.clients[0].dead = true;
    c.break_link(c.clients[0]);
    c.pass(61s);
    CHECK(c.report().queued == 0);
  }
  c.pass(1s);
  CHECK(c.report().result_bytes == 0);
  CHECK(c.violation == "");
}

TEST_CASE("large results of many workers at once do not wait for each other's credit") {
  machines c;
  c.options.result_bytes = 1u << 20;
  c.options.limits.frame_blobs = 64u << 10;
  c.options.prefetch_max = 0;
  c.client_options.limits.transfers = 2;
  c.start_coordinator();
  c.add_worker(4);
  c.add_worker(4);
  c.add_client();
  std::vector<std::uint64_t> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(c.submit(0));
  // While the client reads nothing, each worker spends its credit on all of its results.
  c.clients[0].frozen = true;
  for (std::size_t w = 0; w < 2; ++w)
    while (!c.workers[w].running.empty()) c.finish_with(w, big(3u << 20));
  CHECK(c.clients[0].done.empty());
  c.clients[0].frozen = false;
  c.settle();
  for (const std::uint64_t call : calls) CHECK(code(c, 0, call) == errc::ok);
  c.pass(1s);
  CHECK(c.report().result_bytes == 0);
  CHECK(c.violation == "");
}

TEST_CASE("results that nobody gets do not cost their worker its credit") {
  machines c;
  c.options.result_bytes = 4u << 20;
  c.options.prefetch_max = 0;
  c.options.session_grace = 2s;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  SUBCASE("their deadline had passed") {
    for (int i = 0; i < 4; ++i) {
      call_request r;
      r.wishes.deadline = 1s;
      const auto late = c.submit(0, effect::pure, text("a"), std::move(r));
      c.pass(2s);
      CHECK(code(c, 0, late) == errc::deadline_exceeded);
      c.finish_with(0, big(3u << 20));
    }
  }
  SUBCASE("their client has gone") {
    for (int i = 0; i < 4; ++i) {
      const std::size_t leaving = c.add_client();
      c.submit(leaving);
      c.break_link(c.clients[leaving]);
      c.clients[leaving].dead = true;
      c.finish_with(0, big(3u << 20));
      c.pass(3s);
    }
  }
  const auto call = c.submit(0);
  c.finish_with(0, big(3u << 20));
  CHECK(code(c, 0, call) == errc::ok);
  CHECK(c.violation == "");
}

TEST_CASE("results of all clients together have a limit") {
  machines c;
  c.options.queue_bytes = 20'000;
  c.options.session_bytes = 15'000;
  c.options.prefetch_max = 0;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  c.add_client();
  c.add_client();
  for (std::size_t i = 0; i < 2; ++i)
    for (int n = 0; n < 8; ++n) c.submit(i);
  c.clients[0].frozen = c.clients[1].frozen = true;
  const std::string value(7'500, 'v');
  for (int i = 0; i < 3; ++i) c.finish(0, value);
  CHECK(c.report().result_bytes == 22'500);
  CHECK(c.workers[0].running.empty());
  const auto third = c.submit(2);
  CHECK(c.workers[0].running.empty());
  c.clients[0].frozen = c.clients[1].frozen = false;
  c.settle();
  c.pass(2 * control::acknowledge_within);
  for (int i = 0; i < 100 && !c.workers[0].running.empty(); ++i) {
    c.finish(0, value);
    c.pass(2 * control::acknowledge_within);
  }
  CHECK(code(c, 2, third) == errc::ok);
  CHECK(c.clients[0].done.size() == 8);
  CHECK(c.clients[1].done.size() == 8);
  CHECK(c.report().result_bytes == 0);
  CHECK(c.violation == "");
}

TEST_CASE("large payloads travel in chunks, both ways, and small messages pass them") {
  machines c;
  c.options.prefetch_min = 4;
  c.start_coordinator();
  c.add_worker(2);
  c.add_client();
  const std::size_t size = 40u << 20;
  std::size_t chunks = 0, largest = 0;
  c.spy = [&](const wire::message& m, bool) {
    if (const auto* piece = m.get_if<wire::chunk>()) {
      ++chunks;
      largest = std::max(largest, piece->data.size());
    }
  };
  effect e = effect::pure;
  SUBCASE("pure") {}
  SUBCASE("at_most_once") { e = effect::at_most_once; }
  const auto call = c.submit(0, e, big(size));
  REQUIRE(c.workers[0].running.size() == 1);
  CHECK(c.workers[0].running[0].arguments.blobs.at(0).size() == size);
  CHECK(chunks >= 80);
  CHECK(largest <= (1u << 20));
  c.finish_with(0, big(size, 'r'));
  REQUIRE(code(c, 0, call) == errc::ok);
  CHECK(c.result(0, call).value.blobs.at(0).size() == size);
  CHECK(c.result(0, call).value.blobs.at(0)[size - 1] == std::byte{'r'});
  const auto empty = c.submit(0, e, {bytes::copy("x"), {bytes{}, bytes::copy(std::string(100000, 'y')), bytes{}}});
  REQUIRE(c.workers[0].running.size() == 1);
  CHECK(c.workers[0].running[0].arguments.blobs.size() == 3);
  c.finish(0);
  CHECK(code(c, 0, empty) == errc::ok);
  CHECK(c.report().payload_bytes == 0);
  CHECK(c.violation == "");
}

TEST_CASE("strangers") {
  machines c;
  c.options.max_strangers = 3;
  c.start_coordinator();
  std::vector<control::coordinator_action> out;
  const auto refusal = [&](control::link_id link) {
    c.coordinator->take_actions(out, c.now);
    for (auto& a : out)
      if (auto* s = a.get_if<control::send>(); s != nullptr && s->link == link)
        if (auto* r = s->what.get_if<wire::refuse>()) return r->text + "/" + std::string(to_string(r->code));
    return std::string();
  };
  SUBCASE("say something else than hello") {
    c.coordinator->opened(1000, "x", false, c.now);
    c.coordinator->received(1000, wire::started{1, 1}, c.now);
    CHECK(refusal(1000).find("protocol_error") != std::string::npos);
  }
  SUBCASE("speak another version") {
    c.coordinator->opened(1000, "x", false, c.now);
    wire::hello h;
    h.version_min = h.version_max = 9;
    h.name = "new";
    c.coordinator->received(1000, h, c.now);
    const std::string text = refusal(1000);
    CHECK(text.find("version_mismatch") != std::string::npos);
    CHECK(text.find("speaks 9 to 9") != std::string::npos);
  }
  SUBCASE("say nothing") {
    c.coordinator->opened(1000, "x", false, c.now);
    c.coordinator->take_actions(out, c.now);
    for (int i = 0; i < 30; ++i) {
      c.now += 200ms;
      c.coordinator->tick(c.now);
    }
    c.coordinator->take_actions(out, c.now);
    bool closed = false;
    for (auto& a : out) closed |= a.get_if<control::close_link>() != nullptr;
    CHECK(closed);
  }
  SUBCASE("are too many") {
    for (control::link_id l = 1000; l < 1004; ++l) c.coordinator->opened(l, "x", false, c.now);
    CHECK(refusal(1003).find("overloaded") != std::string::npos);
  }
  SUBCASE("do not know the cookie") {
    c.options.cookie = 77;
    c.start_coordinator();
    c.coordinator->opened(1000, "x", false, c.now);
    c.coordinator->received(1000, wire::hello{}, c.now);
    CHECK(refusal(1000).find("cookie") != std::string::npos);
    c.coordinator->opened(1001, "pipe", true, c.now);
    c.coordinator->received(1001, wire::hello{}, c.now);
    CHECK(refusal(1001) == "");
  }
  CHECK(c.coordinator->check() == "");
}

TEST_CASE("a peer that breaks the protocol ends its own link only") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  c.add_client();
  const auto call = c.submit(1);
  SUBCASE("a client that submits a job it did not name") {
    c.coordinator->received(c.clients[0].link, wire::submit{.call = 1, .job = 9, .retry = {}, .arguments = {}}, c.now);
  }
  SUBCASE("a client that plays worker") {
    c.coordinator->received(c.clients[0].link, wire::done{.job = 1, .fence = 1, .why = {}, .value = {}}, c.now);
  }
  SUBCASE("a second hello") { c.coordinator->received(c.clients[0].link, wire::hello{}, c.now); }
  c.settle();
  CHECK(c.logged("closing"));
  c.finish(0);
  CHECK(code(c, 1, call) == errc::ok);
  CHECK(c.violation == "");
}

TEST_CASE("the end of an attempt, reported again after a break, does not end the next attempt on the same worker") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  call_request r;
  r.wishes.retry = {.retries = 3, .backoff = 1ms, .max_backoff = 1ms, .on_exception = true};
  const auto call = c.submit(0, effect::pure, text("a"), std::move(r));
  // The acknowledgement of the first end is lost with the link.
  c.spy = [&](const wire::message& m, bool to_coordinator) {
    if (to_coordinator && m.get_if<wire::done>() != nullptr) c.workers[0].frozen = true;
  };
  c.finish(0, "", {.code = errc::job_failed, .type = "std::exception", .message = "first"});
  c.spy = nullptr;
  c.pass(10ms);
  c.workers[0].frozen = false;
  c.break_link(c.workers[0]);
  c.pass(500ms);
  REQUIRE(c.workers[0].running.size() == 1);
  CHECK(c.workers[0].running[0].attempt == 2);
  CHECK(!c.is_done(0, call));
  CHECK(c.report().running == 1);
  c.finish(0, "second");
  CHECK(c.result(0, call).value.body.view() == "second");
  CHECK(c.result(0, call).attempts == 2);
  CHECK(c.violation == "");
}

TEST_CASE("a large result that is still on its way at the deadline: the slot comes back when it has all come") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  call_request r;
  r.wishes.deadline = 2s;
  const auto call = c.submit(0, effect::pure, text("a"), std::move(r));
  const auto next = c.submit(0, effect::at_most_once);
  const control::run_job j = c.workers[0].running.front();
  c.workers[0].running.clear();
  // The worker announces its result, and the first part of it comes; then it is held up until the deadline has passed.
  c.coordinator->received(c.workers[0].link, wire::done{j.job, j.fence, {}, {{}, 77, {4}}}, c.now);
  c.coordinator->received(c.workers[0].link, wire::chunk{77, 0, bytes::copy("ab")}, c.now);
  SUBCASE("its client hears of the deadline") {
    c.pass(2001ms);
    CHECK(code(c, 0, call) == errc::deadline_exceeded);
  }
  SUBCASE("its client is gone") {
    c.clients[0].state->abandon(c.now);
    c.settle();
    CHECK(c.report().clients == 0);
  }
  CHECK(c.report().running == 1);
  c.coordinator->received(c.workers[0].link, wire::chunk{77, 2, bytes::copy("cd")}, c.now);
  c.settle();
  if (c.report().clients != 0) {
    // Its next job reaches the worker, which (here) still believes that it runs the first.
    CHECK(c.report().assigned + c.report().running == 1);
  } else {
    CHECK(c.report().running == 0);
  }
  (void)next;
  CHECK(c.violation == "");
}

TEST_CASE("part of a message is a sign of life") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  c.submit(0);
  c.freeze(0);
  for (int i = 0; i < 20; ++i) {
    c.pass(1s);
    c.coordinator->heard(c.workers[0].link, c.now);
  }
  CHECK(c.report().workers[0].state == "up");
  c.pass(6s);
  CHECK(c.report().workers.empty());
  CHECK(c.violation == "");
}

TEST_CASE("a client that says goodbye in the middle of a broadcast leaves nothing of it behind") {
  bare c;
  c.options.broadcast_bytes = 1000;
  c.start();
  for (control::link_id link = 1; link <= 3; ++link) {
    c.join(link, wire::role::client);
    wire::broadcast b;
    b.number = 1;
    b.name = "m";
    b.value.transfer = 1;
    b.value.lengths = {0, 400};
    c.get(link, std::move(b));
    CHECK(c.state->report(c.now).broadcast_bytes == 400);
    c.get(link, wire::goodbye{});
    CHECK(c.state->report(c.now).broadcast_bytes == 0);
    c.gone(link);
  }
  CHECK(c.state->report(c.now).clients == 0);
  CHECK(c.violation == "");
}

TEST_CASE("a call beyond max_jobs is answered overloaded, and its client goes on") {
  machines c;
  c.options.max_jobs = 5;
  c.start_coordinator();
  c.add_client();
  std::vector<std::uint64_t> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(c.submit(0));
  c.pass(5s);
  for (int i = 0; i < 8; ++i) CHECK(c.is_done(0, calls[static_cast<std::size_t>(i)]) == (i >= 5));
  CHECK(code(c, 0, calls[7]) == errc::overloaded);
  CHECK(c.result(0, calls[7]).why.message.find("5 of 5 jobs") != std::string::npos);
  CHECK(!c.clients[0].closed);
  c.add_worker(1, {type("job/1")}, true);
  CHECK(code(c, 0, calls[0]) == errc::ok);
  CHECK(code(c, 0, c.submit(0)) == errc::ok);
  // However absurd the number, it costs an answer.
  wire::submit s;
  s.call = std::uint64_t{1} << 32 | 0xfffffff0;
  c.coordinator->received(c.clients[0].link, std::move(s), c.now);
  c.settle();
  CHECK(!c.logged("closing"));
  CHECK(c.violation == "");
}

TEST_CASE("the time without a worker is counted from when the last one left") {
  machines c;
  c.start_coordinator();
  c.add_client();
  c.submit(0, effect::at_most_once);
  const auto waiting = c.submit(0, effect::at_most_once);
  c.pass(5s);
  const auto w = c.add_worker(1);
  c.pass(53s);
  c.kill(w);  // lost a second later
  c.pass(59s);
  CHECK(!c.is_done(0, waiting));
  c.pass(3s);
  CHECK(code(c, 0, waiting) == errc::no_worker);
  CHECK(c.violation == "");
}

TEST_CASE("no value follows the end of its session to a worker") {
  bare c;
  c.start();
  c.join(1, wire::role::worker, 4);
  c.join(2, wire::role::client);
  c.state->unsent(1, wire::high_water, c.now);
  std::size_t size = 100'000;
  SUBCASE("that waits whole") {}
  SUBCASE("that waits to be cut") { size = 20 << 20; }
  SUBCASE("that has begun") {
    size = 20 << 20;
    c.state->unsent(1, 0, c.now);
  }
  wire::broadcast b;
  b.number = 1;
  b.name = "m";
  b.value.whole = {{}, {bytes::from(std::string(size, 'x'))}};
  const std::span<const std::byte> run = b.value.whole.blobs[0].span();
  b.hash = sum(std::span<const std::span<const std::byte>>(&run, 1));
  c.get(2, std::move(b));
  auto s = c.submit(0);
  s.broadcasts = 1;
  c.get(2, std::move(s));
  const auto begun = c.all<wire::blob>(1);
  c.get(2, wire::goodbye{});
  REQUIRE(c.all<wire::end_session>(1).size() == 1);
  const std::size_t chunks = c.all<wire::chunk>(1).size();
  for (int i = 0; i < 5; ++i) c.drained(1);
  CHECK(c.all<wire::blob>(1).size() == begun.size());
  CHECK(c.all<wire::chunk>(1).size() == chunks);
  CHECK(c.all<wire::abort_transfer>(1).size() == begun.size());
  CHECK(c.violation == "");
}

TEST_CASE("a worker is told of every session's end until it has confirmed it") {
  bare c;
  c.start();
  const wire::welcome w = c.join(1, wire::role::worker);
  c.join(2, wire::role::client);
  c.get(2, c.submit(0));
  const auto runs = c.all<wire::run>(1);
  REQUIRE(runs.size() == 1);
  c.get(1, wire::started{runs[0].job, runs[0].fence});
  c.get(1, wire::done{runs[0].job, runs[0].fence, {}, {}});
  const auto back = [&](control::link_id link) {
    wire::hello h;
    h.session = w.session;
    h.key = w.key;
    h.epoch = w.epoch;
    CHECK(c.join(link, wire::role::worker, 1, {type("job/1")}, h).resumed);
    return c.all<wire::end_session>(link);
  };
  SUBCASE("that came while it was away") {
    c.gone(1);
    c.get(2, wire::goodbye{});
  }
  SUBCASE("that was lost with its link") {
    c.get(2, wire::goodbye{});
    REQUIRE(c.all<wire::end_session>(1).size() == 1);
    c.gone(1);
  }
  const auto told = back(3);
  REQUIRE(told.size() == 1);
  CHECK(told[0].session == runs[0].session);
  c.now += 1s;
  c.tick();
  const auto pings = c.all<wire::ping>(3);
  REQUIRE(!pings.empty());
  c.gone(3);  // before the answer
  CHECK(back(4).size() == 1);
  c.now += 100ms;
  c.tick();
  c.now += 1s;
  c.tick();
  REQUIRE(!c.all<wire::ping>(4).empty());
  c.get(4, wire::pong{c.all<wire::ping>(4).back().stamp});
  c.gone(4);
  CHECK(back(5).empty());
  CHECK(c.violation == "");
}

namespace {
/// A worker (link 1) that runs one job and holds another with large arguments in advance, which is called back for an
/// idle worker (link 3).
struct called_back : bare {
  wire::run large;
  explicit called_back() {
    start();
    join(1, wire::role::worker);
    join(2, wire::role::client);
    get(2, submit(0));
    const wire::run first = all<wire::run>(1).back();
    get(1, wire::started{first.job, first.fence});
    get(2, submit(1, big(40 << 20)));
    large = all<wire::run>(1).back();
    REQUIRE(large.arguments.transfer != 0);
    now += 20ms;
    join(3, wire::role::worker);
    tick();
    REQUIRE(all<wire::recall>(1).size() == 1);
  }
  std::size_t bytes_of(std::uint64_t transfer) const {
    std::size_t total = 0;
    for (const wire::chunk& c : all<wire::chunk>(1))
      if (c.transfer == transfer) total += c.data.size();
    return total;
  }
};
}  // namespace

TEST_CASE("the arguments of a job that was given back are not sent on") {
  called_back c;
  const std::size_t before = c.bytes_of(c.large.arguments.transfer);
  c.get(1, wire::returned{c.large.job, c.large.fence});
  REQUIRE(c.all<wire::abort_transfer>(1).size() == 1);
  CHECK(c.all<wire::abort_transfer>(1)[0].transfer == c.large.arguments.transfer);
  for (int i = 0; i < 10; ++i) c.drained(1);
  CHECK(c.bytes_of(c.large.arguments.transfer) == before);
  REQUIRE(c.all<wire::run>(3).size() == 1);  // it went to the other
  CHECK(c.violation == "");
}

TEST_CASE("a job that was given back and placed there again is cancelled by its new transfer") {
  called_back c;
  c.get(3, wire::goodbye{});
  c.gone(3);
  c.state->unsent(1, 0, c.now);
  c.get(1, wire::returned{c.large.job, c.large.fence});
  const wire::run again = c.all<wire::run>(1).back();
  REQUIRE(again.fence != c.large.fence);
  c.sent.clear();
  c.get(2, wire::cancel{std::uint64_t{1} << 32 | 1});
  REQUIRE(c.all<wire::abort_transfer>(1).size() == 1);
  CHECK(c.all<wire::abort_transfer>(1)[0].transfer == again.arguments.transfer);
  for (int i = 0; i < 30; ++i) c.drained(1);
  CHECK(c.all<wire::chunk>(1).empty());
  CHECK(c.violation == "");
}

TEST_CASE("whatever a worker says of a result, its job has one end") {
  bare c;
  c.start();
  c.join(1, wire::role::worker);
  c.join(2, wire::role::client);
  auto s = c.submit(0);
  s.retry = {.retries = 2, .backoff = 1ms, .max_backoff = 1ms, .on_exception = false};
  c.get(2, std::move(s));
  const wire::run r = c.all<wire::run>(1).back();
  c.get(1, wire::started{r.job, r.fence});
  const auto announce = [&](control::link_id link, const wire::run& of, std::uint64_t transfer,
                            std::vector<std::uint64_t> lengths) {
    c.get(link, wire::done{of.job, of.fence, {}, {{}, transfer, std::move(lengths)}});
  };
  const auto again = [&](control::link_id link) {
    c.now += 10ms;
    c.tick();
    const auto runs = c.all<wire::run>(link);
    REQUIRE(!runs.empty());
    CHECK(runs.back().fence != r.fence);
    return runs.back();
  };
  SUBCASE("announced, with nothing to come") {
    announce(1, r, 7, {0, 0, 0});
    const auto results = c.all<wire::result>(2);
    REQUIRE(results.size() == 1);
    CHECK(results[0].why.code == errc::ok);
    CHECK(results[0].value.whole.blobs.size() == 2);
  }
  SUBCASE("announced twice") {
    announce(1, r, 7, {4});
    announce(1, r, 8, {4});
    c.get(1, wire::chunk{7, 0, bytes::copy("abcd")});
    CHECK(c.state->report(c.now).succeeded == 0);
    c.get(1, wire::chunk{8, 0, bytes::copy("efgh")});
  }
  SUBCASE("announced and taken back: it runs again") {
    announce(1, r, 7, {4});
    c.get(1, wire::abort_transfer{7, {}});
    const wire::run next = again(1);
    c.get(1, wire::done{next.job, next.fence, {}, {}});
  }
  SUBCASE("announced and given back: the end of its link does not end another worker's result") {
    announce(1, r, 7, {4});
    c.get(1, wire::drain{});
    c.get(1, wire::returned{r.job, r.fence});
    c.join(3, wire::role::worker);
    const wire::run next = again(3);
    c.get(3, wire::started{next.job, next.fence});
    announce(3, next, 1, {4});
    SUBCASE("broken") { c.gone(1); }
    SUBCASE("in order") { c.get(1, wire::goodbye{}); }
    SUBCASE("taken back") { c.get(1, wire::abort_transfer{7, {}}); }
    c.get(3, wire::chunk{1, 0, bytes::copy("abcd")});
  }
  CHECK(c.state->report(c.now).succeeded == 1);
  CHECK(c.state->report(c.now).running == 0);
  CHECK(c.violation == "");
}

TEST_CASE("jobs that must run alone and have no worker do not hold up those that have one") {
  machines c;
  c.start_coordinator();
  c.add_client({type("job/1"), type("rare/1")});
  const auto submit = [&](std::uint32_t t) {
    call_request r;
    r.type = t;
    r.wishes.retry = {.retries = 5, .backoff = 1ms, .max_backoff = 1ms, .on_exception = false};
    return c.submit(0, effect::pure, text("a"), std::move(r));
  };
  for (int i = 0; i < 70; ++i) submit(1);
  const auto call = submit(0);
  for (int deaths = 0; deaths < 2; ++deaths) {
    const auto w = c.add_worker(71, {type("job/1"), type("rare/1")});
    c.pass(100ms);
    REQUIRE(c.workers[w].running.size() == 71);
    c.coordinator->process_ended(static_cast<std::uint32_t>(101 + w), "killed by signal 9", c.now);
    c.kill(w);
    c.pass(100ms);
  }
  const auto w = c.add_worker(1);
  REQUIRE(c.workers[w].running.size() == 1);
  c.finish(w);
  CHECK(code(c, 0, call) == errc::ok);
  CHECK(c.violation == "");
}

TEST_CASE("what is too large for a peer is not sent to it") {
  bare c;
  SUBCASE("a name of a broadcast, to workers") {
    c.start();
    c.join(2, wire::role::client);
    wire::broadcast b;
    b.number = 1;
    b.name = std::string(5000, 'n');
    c.get(2, std::move(b));
    REQUIRE(c.all<wire::broadcast_done>(2).size() == 1);
    CHECK(c.all<wire::broadcast_done>(2)[0].why.code == errc::too_large);
  }
  SUBCASE("arguments, to a worker that takes less than their client may send") {
    c.start();
    wire::hello small;
    small.limits.payload = 1 << 20;
    c.join(1, wire::role::worker, 1, {type("job/1")}, small);
    c.join(2, wire::role::client);
    c.get(2, c.submit(0, big(2 << 20)));
    REQUIRE(c.all<wire::result>(2).size() == 1);
    CHECK(c.all<wire::result>(2)[0].why.code == errc::too_large);
    CHECK(c.all<wire::run>(1).empty());
    c.get(2, c.submit(1));
    CHECK(c.all<wire::run>(1).size() == 1);
  }
  SUBCASE("a result, to a client that takes less than its worker may send") {
    c.start();
    c.join(1, wire::role::worker);
    wire::hello small;
    small.limits.payload = 1 << 20;
    c.join(2, wire::role::client, 0, {type("job/1")}, small);
    c.get(2, c.submit(0));
    const wire::run r = c.all<wire::run>(1).back();
    wire::done d{r.job, r.fence, {}, {}};
    SUBCASE("that is there") { d.value.whole = big(2 << 20); }
    SUBCASE("that arrives") {
      d.value.transfer = 1;
      d.value.lengths = {2 << 20};
    }
    c.get(1, std::move(d));
    REQUIRE(c.all<wire::result>(2).size() == 1);
    CHECK(c.all<wire::result>(2)[0].why.code == errc::too_large);
    CHECK(c.state->report(c.now).running == 0);
  }
  SUBCASE("a status, to an observer with small frames") {
    c.start();
    for (control::link_id l = 1; l <= 300; ++l) {
      wire::hello h;
      h.role = wire::role::worker;
      h.name = h.host = std::string(control::max_peer_name, 'n');
      h.slots = 1;
      c.state->opened(l, "peer", false, c.now);
      c.state->received(l, std::move(h), c.now);
    }
    c.take();
    wire::hello small;
    small.limits.frame_body = 128 << 10;
    c.join(3000, wire::role::observer, 0, {}, small);
    c.get(3000, wire::status_query{1});
    REQUIRE(c.all<wire::status_report>(3000).size() == 1);
    wire::status_report r = c.all<wire::status_report>(3000)[0];
    CHECK(r.now.workers.size() > 150);
    CHECK(r.now.workers.size() < 300);
    wire::limits agreed;
    agreed.frame_body = 128 << 10;
    wire::outbox out;
    CHECK(!out.push(std::move(r), agreed));
  }
  CHECK(c.violation == "");
}

TEST_CASE("a name that is absurdly long is cut, not kept in every record") {
  bare c;
  c.start();
  wire::hello h;
  h.role = wire::role::worker;
  h.name = std::string(100'000, 'n');
  h.host = std::string(100'000, 'h');
  h.slots = 1;
  c.state->opened(1, "peer", false, c.now);
  c.get(1, std::move(h));
  const cluster_status r = c.state->report(c.now);
  REQUIRE(r.workers.size() == 1);
  CHECK(r.workers[0].name.size() == control::max_peer_name);
  CHECK(r.workers[0].host.size() == control::max_peer_name);
  CHECK(c.violation == "");
}

TEST_CASE("a small payload of very many blocks is announced, on every link") {
  machines c;
  c.options.limits.blobs = c.worker_options.limits.blobs = c.client_options.limits.blobs = 1 << 16;
  std::size_t most = 0, announced = 0;
  c.spy = [&](const wire::message& m, bool) {
    const wire::carried* const carried = wire::carried_in(const_cast<wire::message&>(m));
    if (carried == nullptr) return;
    most = std::max(most, carried->whole.blobs.size());
    announced += carried->lengths.size() == 5001;
  };
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  payload many;
  SUBCASE("empty ones") { many.blobs.resize(5000); }
  SUBCASE("of a byte") { many.blobs.assign(5000, bytes::copy("x")); }
  const auto call = c.submit(0, effect::pure, many);
  REQUIRE(c.workers[0].running.size() == 1);
  CHECK(c.workers[0].running[0].arguments.blobs.size() == 5000);
  c.finish_with(0, many);
  REQUIRE(c.is_done(0, call));
  CHECK(c.result(0, call).value.blobs.size() == 5000);
  CHECK(most <= wire::blobs_in_frame);
  CHECK(announced == 4);
  CHECK(c.violation == "");
}
