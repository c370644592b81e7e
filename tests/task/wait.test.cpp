// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/parts/wait.hpp"

#include <doctest/doctest.h>

#include "dtask/task/event.hpp"
#include "dtask/task/semaphore.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;

namespace {
dtask::task<int> wait_for(dtask::event& e, int value) {
  const int result = value;
  co_await e.wait();
  co_return result;
}
dtask::task<int> permit(dtask::semaphore& s) {
  const int one = 1;
  co_await s.acquire();
  co_return one;
}
/// Comes between the two looks of a wait. The wait's stop is requested when it has been taken and the waiter does not
/// know yet: as early as another thread could.
class late_thing : public dtask::detail::wait_awaiter<late_thing> {
 public:
  struct place {
    dtask::detail::short_lock lock;
    dtask::detail::wait_list waiting;
  };
  late_thing(place& at, bool& taken, dtask::stop_source& stop)
      : dtask::detail::wait_awaiter<late_thing>(at.lock, at.waiting), taken_(taken), stop_(stop) {}
  void await_resume() {
    stop_.request_stop();
    this->finish();
  }

 private:
  friend dtask::detail::wait_awaiter<late_thing>;
  bool ready() noexcept { return ++looks_ == 2; }
  void take(dtask::detail::woken&) noexcept { taken_ = true; }
  bool& taken_;
  dtask::stop_source& stop_;
  int looks_ = 0;
};
dtask::task<int> take_late(late_thing::place& where, bool& taken, dtask::stop_source& stop) {
  const int one = 1;
  co_await late_thing(where, taken, stop);
  co_return one;
}
}  // namespace

TEST_CASE("a wait that is stopped leaves the list, and the others stay") {
  manual_scheduler where;
  dtask::event e;
  dtask::stop_source stop;
  started a(where, wait_for(e, 1), stop);
  started b(where, wait_for(e, 2));
  where.run();
  CHECK_FALSE(a.ended());
  stop.request_stop();
  CHECK_FALSE(a.ended());  // resumed by its scheduler, never inside request_stop
  where.run();
  REQUIRE(a.ended());
  CHECK(cause_of([&] { a.take(); }) == dtask::errc::cancelled);
  CHECK_FALSE(b.ended());
  e.set();
  where.run();
  REQUIRE(b.ended());
  CHECK(b.take() == 2);
}

TEST_CASE("who was given a permit keeps it when stop comes before it runs") {
  manual_scheduler where;
  dtask::semaphore s(0);
  dtask::stop_source stop;
  started a(where, permit(s), stop);
  where.run();
  s.release();
  stop.request_stop();
  where.run();
  REQUIRE(a.ended());
  CHECK(a.take() == 1);
  CHECK(s.available() == 0);
}

TEST_CASE("who found it at the second look keeps it when stop comes before it runs") {
  manual_scheduler where;
  late_thing::place place;
  dtask::stop_source stop;
  bool taken = false;
  started t(where, take_late(place, taken, stop), stop);
  where.run();
  REQUIRE(t.ended());
  CHECK(taken);
  CHECK(stop.stop_requested());
  CHECK(cause_of([&] { CHECK(t.take() == 1); }) == dtask::errc::ok);
}

TEST_CASE("waiters of one scheduler are woken by one post") {
  manual_scheduler where;
  dtask::event e;
  started a(where, wait_for(e, 1));
  started b(where, wait_for(e, 2));
  started c(where, wait_for(e, 3));
  where.run();
  const int before = where.wake_ups;
  e.set();
  CHECK(where.wake_ups == before + 1);
  where.run();
  CHECK((a.ended() && b.ended() && c.ended()));
}
