// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/select.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <coroutine>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "dtask/task/channel.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/latch.hpp"
#include "dtask/task/mutex.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/task/resume_on.hpp"
#include "dtask/task/semaphore.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/when_all.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
using dtask::select;

/// Awaits a select and tells which operation won.
template <class Op>
dtask::task<std::size_t> index_of(Op op) {
  const auto first = co_await std::move(op);
  co_return first.index();
}
template <class Op>
auto whole(Op op) -> dtask::task<typename Op::result> {
  auto first = co_await std::move(op);
  co_return first;
}
/// Waits for one operation in the ordinary way.
template <class Op>
dtask::task<int> waits(Op op, int value) {
  const int result = value;
  co_await std::move(op);
  co_return result;
}
dtask::task<int> pops(dtask::channel<int>& c) {
  const auto v = co_await c.pop();
  co_return v ? *v : -1;
}
}  // namespace

TEST_CASE("what is there already is taken at once, and the first in the list counts") {
  manual_scheduler where;
  dtask::channel<int> a(2), b(2);
  CHECK(a.try_push(1));
  CHECK(b.try_push(2));
  started t(where, whole(select(dtask::sleep_for(0ms), b.pop(), a.pop())));
  where.run();
  REQUIRE(t.ended());
  auto first = t.take();
  REQUIRE(first.index() == 1);
  CHECK(std::get<1>(first) == 2);
  CHECK(a.size() == 1);
  CHECK(where.timers() == 0);
}

TEST_CASE("a time") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  started t(where, index_of(select(c.pop(), dtask::sleep_for(1s), dtask::sleep_until(dtask::never))));
  started u(where, index_of(select(dtask::sleep_until(where.now() + 2s), c.pop())));
  where.run();
  CHECK(where.timers() == 2);
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(t.take() == 1);
  CHECK_FALSE(u.ended());
  // What comes now is for those who still wait.
  CHECK(c.try_push(7));
  where.run();
  REQUIRE(u.ended());
  CHECK(u.take() == 1);
  CHECK(where.timers() == 0);
  CHECK(c.size() == 0);
}

TEST_CASE("a time that has passed lets the others have a turn") {
  manual_scheduler where;
  dtask::event e;
  started t(where, index_of(select(dtask::sleep_for(-1s), e.wait())));
  where.run();
  CHECK_FALSE(t.ended());
  where.advance(1ms);
  REQUIRE(t.ended());
  CHECK(t.take() == 0);
}

TEST_CASE("pop: a value that comes later, the end of the channel") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  started t(where, whole(select(dtask::sleep_for(1h), c.pop())));
  where.run();
  CHECK(c.try_push(7));
  where.run();
  REQUIRE(t.ended());
  auto first = t.take();
  REQUIRE(first.index() == 1);
  CHECK(std::get<1>(first) == 7);
  CHECK(c.size() == 0);
  started u(where, whole(select(c.pop(), dtask::sleep_for(1h))));
  where.run();
  c.close();
  where.run();
  REQUIRE(u.ended());
  auto end = u.take();
  REQUIRE(end.index() == 0);
  CHECK_FALSE(std::get<0>(end).has_value());
  CHECK(where.timers() == 0);
}

TEST_CASE("push: at once, when there is room, into a closed channel") {
  manual_scheduler where;
  dtask::channel<int> full(1), c(1);
  CHECK(full.try_push(1));
  started now(where, index_of(select(full.push(2), c.push(3))));
  where.run();
  REQUIRE(now.ended());
  CHECK(now.take() == 1);
  started later(where, index_of(select(c.push(4), full.push(5), dtask::sleep_for(1h))));
  where.run();
  CHECK_FALSE(later.ended());
  CHECK(full.try_pop() == 1);
  where.run();
  REQUIRE(later.ended());
  CHECK(later.take() == 1);
  CHECK(c.try_pop() == 3);
  CHECK(full.try_pop() == 5);
  CHECK(c.size() + full.size() == 0);
  CHECK(where.timers() == 0);

  CHECK(c.try_push(1));
  started closes(where, index_of(select(c.push(2), dtask::sleep_for(1h))));
  where.run();
  c.close();
  where.run();
  REQUIRE(closes.ended());
  CHECK(cause_of([&] { closes.take(); }) == dtask::errc::closed);
}

TEST_CASE("what a push did not send stays with its name, and the operation can be used again") {
  manual_scheduler where;
  dtask::channel<std::unique_ptr<int>> c(1);
  CHECK(c.try_push(std::make_unique<int>(1)));
  const auto body = [](dtask::channel<std::unique_ptr<int>>& to) -> dtask::task<int> {
    auto send = to.push(std::make_unique<int>(2));
    int lost = 0;
    for (;;) {
      const auto first = co_await select(send, dtask::sleep_for(1s));
      if (first.index() == 0) break;
      ++lost;
      if (!send.value() || *send.value() != 2) co_return -1;
    }
    co_return lost;
  };
  started t(where, body(c));
  where.advance(1100ms);
  where.advance(1100ms);
  CHECK_FALSE(t.ended());
  c.try_pop();
  where.run();
  REQUIRE(t.ended());
  CHECK(t.take() == 2);
  auto v = c.try_pop();
  REQUIRE((v && *v));
  CHECK(**v == 2);
  CHECK(where.timers() == 0);
}

namespace {
/// Awaits an operation that has a name where it lies (g++ 12 wants to copy one that is an lvalue).
template <class Op>
struct in_place {
  explicit in_place(Op& o) noexcept : op(o) {}
  bool await_ready() const noexcept { return op.await_ready(); }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) noexcept {
    return op.await_suspend(h);
  }
  auto await_resume() { return op.await_resume(); }
  Op& op;
};
}  // namespace

TEST_CASE("an operation that did not win can be awaited by itself") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  dtask::event e;
  dtask::stop_source stop;
  const auto body = [&]() -> dtask::task<int> {
    auto pop = c.pop();
    auto sleep = dtask::sleep_for(1s);
    const auto first = co_await select(pop, e.wait(), sleep);
    CHECK(first.index() == 1);
    const auto v = co_await in_place(pop);
    co_await in_place(sleep);
    co_return v ? *v : -1;
  };
  started t(where, body(), stop);
  where.run();
  e.set();
  where.run();
  CHECK(where.timers() == 0);
  CHECK(c.try_push(7));
  where.run();
  CHECK_FALSE(t.ended());
  CHECK(where.timers() == 1);
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(t.take() == 7);
}

TEST_CASE("a semaphore's permit goes to who still waits for it") {
  manual_scheduler where;
  dtask::semaphore s(0);
  dtask::event e;
  started t(where, index_of(select(s.acquire(), e.wait())));
  started ordinary(where, waits(s.acquire(), 1));
  where.run();
  e.set();
  // Decided, but it has not run and is still in the list.
  s.release();
  where.run();
  REQUIRE(t.ended());
  CHECK(t.take() == 1);
  REQUIRE(ordinary.ended());
  CHECK(s.available() == 0);
  started u(where, index_of(select(dtask::sleep_for(1h), s.acquire())));
  where.run();
  s.release(2);
  where.run();
  REQUIRE(u.ended());
  CHECK(u.take() == 1);
  CHECK(s.available() == 1);
  // Nobody is there any more.
  started v(where, index_of(select(s.acquire(), e.wait())));
  where.run();
  REQUIRE(v.ended());
  CHECK(v.take() == 0);
  CHECK(s.available() == 0);
}

TEST_CASE("a mutex: the guard, and who comes after a select that was decided otherwise") {
  manual_scheduler where;
  dtask::mutex m;
  dtask::event e;
  auto held = m.try_lock();
  started loser(where, index_of(select(m.lock(), e.wait())));
  started winner(where, whole(select(dtask::sleep_for(1h), m.lock())));
  where.run();
  e.set();
  held.unlock();
  where.run();
  REQUIRE(loser.ended());
  CHECK(loser.take() == 1);
  REQUIRE(winner.ended());
  {
    auto first = winner.take();
    REQUIRE(first.index() == 1);
    CHECK(static_cast<bool>(std::get<1>(first)));
    CHECK_FALSE(static_cast<bool>(m.try_lock()));
  }
  CHECK(static_cast<bool>(m.try_lock()));
}

TEST_CASE("events, latches and one_shots") {
  manual_scheduler where;
  dtask::event e;
  dtask::latch l(2);
  dtask::one_shot<std::string> o;
  dtask::one_shot<> failed;
  started t(where, index_of(select(o.wait(), l.wait(), e.wait())));
  where.run();
  l.count_down(2);
  e.set();
  where.run();
  REQUIRE(t.ended());
  CHECK(t.take() == 1);
  // What is set after the wait for it was lost is not lost.
  CHECK(o.set("text"));
  started u(where, whole(select(failed.wait(), o.wait())));
  where.run();
  REQUIRE(u.ended());
  auto first = u.take();
  REQUIRE(first.index() == 1);
  CHECK(std::get<1>(first) == "text");
  started v(where, index_of(select(failed.wait(), dtask::sleep_for(1h))));
  where.run();
  failed.fail(std::make_exception_ptr(7));
  where.run();
  REQUIRE(v.ended());
  CHECK_THROWS_AS(v.take(), int);
}

TEST_CASE("stop and deadline end it, and it takes nothing") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  dtask::semaphore s(0);
  dtask::stop_source stop;
  started t(where, index_of(select(c.pop(), s.acquire(), dtask::sleep_for(1h))), stop);
  where.run();
  stop.request_stop();
  // Requested, not yet run: what comes now is not for it.
  CHECK(c.try_push(1));
  s.release();
  where.run();
  REQUIRE(t.ended());
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::cancelled);
  CHECK(c.size() == 1);
  CHECK(s.available() == 1);
  CHECK(where.timers() == 0);

  // Under stop even what is ready is left.
  const auto under_stop = [](dtask::stop_source& which, dtask::channel<int>& from) -> dtask::task<std::size_t> {
    which.request_stop();
    const auto first = co_await select(from.pop(), dtask::sleep_for(1h));
    co_return first.index();
  };
  dtask::stop_source soon;
  started u(where, under_stop(soon, c), soon);
  where.run();
  REQUIRE(u.ended());
  CHECK(cause_of([&] { u.take(); }) == dtask::errc::cancelled);
  CHECK(c.size() == 1);

  dtask::event never;
  started v(where,
            dtask::task<std::size_t>(index_of(dtask::with_timeout(select(never.wait(), dtask::sleep_for(1h)), 1s))));
  where.advance(1100ms);
  REQUIRE(v.ended());
  CHECK(cause_of([&] { v.take(); }) == dtask::errc::deadline_exceeded);
  CHECK(where.timers() == 0);
}

TEST_CASE("who was given something keeps it when stop comes before it runs") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  dtask::stop_source stop;
  started t(where, whole(select(c.pop(), dtask::sleep_for(1h))), stop);
  where.run();
  CHECK(c.try_push(7));
  stop.request_stop();
  where.run();
  REQUIRE(t.ended());
  auto first = t.take();
  REQUIRE(first.index() == 0);
  CHECK(std::get<0>(first) == 7);
  CHECK(where.timers() == 0);
}

TEST_CASE("one select on both ends of a channel, twice on one object, and selects with each other") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  started both(where, index_of(select(c.pop(), c.push(1))));
  where.run();
  REQUIRE(both.ended());
  CHECK(both.take() == 1);
  CHECK(c.try_pop() == 1);
  started twice(where, index_of(select(c.pop(), c.pop())));
  where.run();
  CHECK(c.try_push(2));
  where.run();
  REQUIRE(twice.ended());
  CHECK(twice.take() == 0);
  CHECK(c.size() == 0);
  // The second push finds nobody: the same select has its value.
  started again(where, index_of(select(c.pop(), c.pop())));
  where.run();
  CHECK(c.try_push(3));
  CHECK(c.try_push(4));
  where.run();
  REQUIRE(again.ended());
  CHECK(c.try_pop() == 4);
  dtask::channel<int> d(1);
  started receives(where, whole(select(d.pop(), c.pop())));
  started sends(where, index_of(select(c.push(5), d.push(6))));
  where.run();
  REQUIRE(sends.ended());
  REQUIRE(receives.ended());
  CHECK(sends.take() == 0);
  CHECK(std::get<1>(receives.take()) == 5);
  CHECK(c.size() + d.size() == 0);
}

TEST_CASE("an object passes over selects that are decided, to the next who waits") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  dtask::event e;
  started a(where, index_of(select(c.pop(), e.wait())));
  started b(where, index_of(select(c.pop(), e.wait())));
  started ordinary(where, pops(c));
  where.run();
  e.set();
  CHECK(c.try_push(7));
  where.run();
  REQUIRE((a.ended() && b.ended() && ordinary.ended()));
  CHECK(a.take() == 1);
  CHECK(b.take() == 1);
  CHECK(ordinary.take() == 7);
  // Senders too.
  e.reset();
  CHECK(c.try_push(1));
  started sender(where, index_of(select(c.push(2), e.wait())));
  started other(where, waits(c.push(3), 1));
  where.run();
  e.set();
  CHECK(c.try_pop() == 1);
  where.run();
  CHECK(sender.take() == 1);
  REQUIRE(other.ended());
  CHECK(c.try_pop() == 3);
  CHECK(c.size() == 0);
}

TEST_CASE("waiters of one scheduler are woken by one post, selects among them") {
  manual_scheduler where;
  dtask::event e;
  started a(where, index_of(select(e.wait(), dtask::sleep_for(1h))));
  started b(where, waits(e.wait(), 1));
  started c(where, index_of(select(dtask::sleep_for(1h), e.wait())));
  where.run();
  const int before = where.wake_ups;
  e.set();
  CHECK(where.wake_ups == before + 1);
  where.run();
  CHECK((a.ended() && b.ended() && c.ended()));
  CHECK(where.timers() == 0);
}

namespace {
/// Something that comes between the two looks of a wait, and with it what another thread could do just then.
class late_thing : public dtask::detail::wait_awaiter<late_thing> {
 public:
  struct place {
    dtask::detail::short_lock lock;
    dtask::detail::wait_list waiting;
    dtask::event* sets = nullptr;
    dtask::stop_source* stops = nullptr;
    bool taken = false;
  };
  explicit late_thing(place& at) : dtask::detail::wait_awaiter<late_thing>(at.lock, at.waiting), place_(at) {}
  void await_resume() { this->finish(); }

 private:
  friend dtask::detail::wait_awaiter<late_thing>;
  bool ready() noexcept {
    if (++looks_ == 1) return false;
    if (place_.sets) place_.sets->set();
    if (place_.stops) place_.stops->request_stop();
    return true;
  }
  void take(dtask::detail::woken&) noexcept { place_.taken = true; }
  place& place_;
  int looks_ = 0;
};
}  // namespace

TEST_CASE("what comes while the select enters the lists is taken") {
  manual_scheduler where;
  dtask::event e;
  late_thing::place place;
  started t(where, index_of(select(e.wait(), late_thing(place), dtask::sleep_for(1h))));
  where.run();
  REQUIRE(t.ended());
  CHECK(t.take() == 1);
  CHECK(place.taken);
  CHECK(where.timers() == 0);
}

TEST_CASE("a select that is decided while it enters the lists takes nothing else") {
  manual_scheduler where;
  dtask::event e;
  late_thing::place place;
  place.sets = &e;
  started t(where, index_of(select(e.wait(), late_thing(place), dtask::sleep_for(1h))));
  where.run();
  REQUIRE(t.ended());
  CHECK(t.take() == 0);
  CHECK_FALSE(place.taken);
  dtask::event never;
  dtask::stop_source stop;
  late_thing::place stopping;
  stopping.stops = &stop;
  started u(where, index_of(select(never.wait(), late_thing(stopping), dtask::sleep_for(1h))), stop);
  where.run();
  REQUIRE(u.ended());
  CHECK(cause_of([&] { u.take(); }) == dtask::errc::cancelled);
  CHECK_FALSE(stopping.taken);
  CHECK(where.timers() == 0);
}

namespace {
/// Three threads that run tasks, each with a scheduler of its own.
class crew {
 public:
  crew() {
    for (auto& m : members_) m.thread = std::thread([&m] { m.loop.run_until([&m] { return m.ending; }); });
  }
  ~crew() {
    for (auto& m : members_) {
      m.run = [](dtask::work_item& self) noexcept { static_cast<member&>(self).ending = true; };
      m.loop.post(m);
      m.thread.join();
    }
  }
  dtask::scheduler& operator[](std::size_t i) { return members_[i % members_.size()].loop; }

 private:
  struct member : dtask::work_item {
    dtask::run_loop loop;
    bool ending = false;
    std::thread thread;
  };
  std::array<member, 3> members_;
};

/// Decides many selects for something else, as often as it can, until it is told to end.
dtask::task<> disturb(dtask::event& e, std::atomic<bool>& end) {
  while (!end.load()) {
    e.set();
    e.reset();
    co_await dtask::sleep_for(0ms);
    for (int i = 0; i < 200 && !end.load(); ++i) {
      e.set();
      std::this_thread::yield();
      e.reset();
    }
  }
}
dtask::task<> until_all_end(std::vector<dtask::task<>> tasks, std::atomic<bool>& end) {
  co_await dtask::when_all(std::move(tasks));
  end.store(true);
}

struct received {
  std::atomic<long> count{0}, sum{0}, disturbed{0};
};
dtask::task<> pushes(dtask::channel<int>& to, int n) {
  for (int i = 0; i < n; ++i) co_await to.push(i);
}
dtask::task<> select_pushes(dtask::channel<int>& a, dtask::channel<int>& b, dtask::event& e, int n) {
  for (int i = 0; i < n;) {
    const auto first = co_await select(a.push(i), e.wait(), b.push(i));
    if (first.index() != 1) ++i;
  }
}
/// Takes from both channels until both are closed and empty. Some waits end by stop, some by the event.
dtask::task<> select_pops(dtask::channel<int>& a, dtask::channel<int>& b, dtask::event& e, received& r) {
  bool a_open = true, b_open = true;
  while (a_open || b_open) {
    dtask::channel<int>& one = a_open ? a : b;
    dtask::channel<int>& other = b_open ? b : a;
    const auto first = co_await select(one.pop(), e.wait(), other.pop());
    if (first.index() == 1) {
      ++r.disturbed;
      continue;
    }
    const auto& v = first.index() == 0 ? std::get<0>(first) : std::get<2>(first);
    if (!v) {
      (first.index() == 0 ? (a_open ? a_open : b_open) : (b_open ? b_open : a_open)) = false;
      continue;
    }
    ++r.count;
    r.sum += *v;
  }
}
dtask::task<> pops_until_closed(dtask::channel<int>& c, received& r) {
  while (const auto v = co_await c.pop()) {
    ++r.count;
    r.sum += *v;
  }
}
}  // namespace

TEST_CASE("threads: every value that was pushed is popped, once") {
  constexpr int n = 3000;
  dtask::channel<int> a(1), b(2);
  dtask::event e;
  received r;
  std::atomic<bool> end{false};
  crew threads;
  const auto producers = [&]() -> dtask::task<> {
    std::vector<dtask::task<>> all;
    for (std::size_t i = 0; i < 3; ++i)
      all.push_back(dtask::detail::as_task(dtask::on(threads[i], select_pushes(a, b, e, n))));
    all.push_back(dtask::detail::as_task(dtask::on(threads[0], pushes(a, n))));
    all.push_back(dtask::detail::as_task(dtask::on(threads[1], pushes(b, n))));
    co_await dtask::when_all(std::move(all));
    a.close();
    b.close();
  };
  std::vector<dtask::task<>> all;
  all.push_back(producers());
  for (std::size_t i = 0; i < 3; ++i)
    all.push_back(dtask::detail::as_task(dtask::on(threads[i], select_pops(a, b, e, r))));
  all.push_back(dtask::detail::as_task(dtask::on(threads[2], pops_until_closed(b, r))));
  bounded(dtask::when_all(until_all_end(std::move(all), end), dtask::on(threads[2], disturb(e, end))));
  CHECK(r.count == 5 * n);
  CHECK(r.sum == 5L * n * (n - 1) / 2);
  CHECK(a.size() + b.size() == 0);
}

namespace {
dtask::task<> uses_permit(dtask::semaphore& s, dtask::mutex& m, dtask::event& e, long& plain, int n) {
  for (int i = 0; i < n; ++i) {
    const auto first = co_await select(s.acquire(), e.wait());
    if (first.index() == 0) {
      co_await dtask::sleep_until(dtask::time_point());
      s.release();
    }
    auto locked = co_await select(e.wait(), m.lock());
    if (locked.index() == 1) ++plain;  // no atomic: the mutex is the protection
  }
}
/// The same in the ordinary way, so that selects are passed over for it.
dtask::task<> uses_permit_plainly(dtask::semaphore& s, dtask::mutex& m, long& plain, int n) {
  for (int i = 0; i < n; ++i) {
    co_await s.acquire();
    s.release();
    const auto held = co_await m.lock();
    ++plain;
  }
}
/// Waits that are stopped at some time, by a thread that knows nothing of them.
dtask::task<> is_stopped(dtask::semaphore& s, dtask::channel<int>& c, int n, std::atomic<long>& taken) {
  for (int i = 0; i < n; ++i) {
    try {
      const auto first = co_await dtask::with_timeout(select(s.acquire(), c.pop()), 1us);
      if (first.index() == 0)
        s.release();
      else
        ++taken;
    } catch (const dtask::error&) {
    }
  }
}
}  // namespace

TEST_CASE("threads: permits and locks come back") {
  constexpr int n = 1000;
  dtask::semaphore s(2);
  dtask::mutex m;
  dtask::event e;
  dtask::channel<int> c(4);
  long plain = 0;
  std::atomic<long> taken{0};
  long given = 0;
  std::atomic<bool> end{false};
  crew threads;
  const auto gives = [&]() -> dtask::task<> {
    for (int i = 0; i < 100; ++i) {
      if (c.try_push(1)) ++given;
      co_await dtask::sleep_for(0ms);
    }
  };
  std::vector<dtask::task<>> all;
  for (std::size_t i = 0; i < 3; ++i) {
    all.push_back(dtask::detail::as_task(dtask::on(threads[i], uses_permit(s, m, e, plain, n))));
    all.push_back(dtask::detail::as_task(dtask::on(threads[i], uses_permit_plainly(s, m, plain, n))));
    all.push_back(dtask::detail::as_task(dtask::on(threads[i], is_stopped(s, c, 50, taken))));
  }
  all.push_back(gives());
  bounded(dtask::when_all(until_all_end(std::move(all), end), dtask::on(threads[2], disturb(e, end))));
  CHECK(s.available() == 2);
  CHECK(static_cast<bool>(m.try_lock()));
  CHECK(plain >= 3 * n);
  CHECK(given == taken + static_cast<long>(c.size()));
}

namespace {
/// What wins a select may go as soon as that has returned.
dtask::task<> takes_and_destroys(dtask::channel<dtask::one_shot<int>*>& to, dtask::event& e, int n, long& sum) {
  for (int i = 0; i < n; ++i) {
    auto value = std::make_shared<dtask::one_shot<int>>();
    co_await to.push(value.get());
    const auto first = co_await select(value->wait(), e.wait());
    if (first.index() == 0) {
      sum += std::get<0>(first);
    } else {
      // Set later, it is still there.
      sum += co_await value->wait();
    }
  }
}
dtask::task<> sets(dtask::channel<dtask::one_shot<int>*>& from) {
  while (const auto o = co_await from.pop()) (*o)->set(1);
}
}  // namespace

TEST_CASE("threads: a one_shot is set while its select decides") {
  constexpr int n = 3000;
  dtask::channel<dtask::one_shot<int>*> c(1);
  dtask::event e;
  long sum = 0;
  std::atomic<bool> end{false};
  crew threads;
  const auto taker = [&]() -> dtask::task<> {
    co_await takes_and_destroys(c, e, n, sum);
    c.close();
  };
  std::vector<dtask::task<>> all;
  all.push_back(dtask::detail::as_task(dtask::on(threads[0], taker())));
  all.push_back(dtask::detail::as_task(dtask::on(threads[1], sets(c))));
  bounded(dtask::when_all(until_all_end(std::move(all), end), dtask::on(threads[2], disturb(e, end))));
  CHECK(sum == n);
}
