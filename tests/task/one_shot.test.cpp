// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/one_shot.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>

#include "manual_scheduler.hpp"

using namespace dtask_test;

namespace {
template <class T>
dtask::task<T> get(dtask::one_shot<T>& o) {
  dtask::one_shot<T>& same = o;
  co_return co_await same.wait();
}
}  // namespace

TEST_CASE("a value arrives once, before or after the wait") {
  dtask::one_shot<std::string> o;
  CHECK(o.set("first"));
  CHECK_FALSE(o.set("second"));
  CHECK(bounded(get(o)) == "first");
  manual_scheduler where;
  dtask::one_shot<> later;
  started t(where, get(later));
  where.run();
  CHECK_FALSE(t.ended());
  CHECK(later.set());
  where.run();
  CHECK(t.ended());
}

TEST_CASE("a failure is thrown to the waiter") {
  dtask::one_shot<int> o;
  CHECK(o.fail(std::make_exception_ptr(std::string("why"))));
  CHECK_THROWS_AS(bounded(get(o)), std::string);
}

TEST_CASE("a batch wakes a scheduler once") {
  manual_scheduler where;
  dtask::one_shot<int> a, b;
  started ta(where, get(a));
  started tb(where, get(b));
  where.run();
  const int before = where.wake_ups;
  {
    dtask::wake_batch batch;
    a.set_in(batch, 1);
    b.set_in(batch, 2);
    CHECK(where.queued() == 0);
  }
  CHECK(where.wake_ups == before + 1);
  where.run();
  CHECK(ta.take() + tb.take() == 3);
}

TEST_CASE("set from another thread") {
  for (int i = 0; i < 100; ++i) {
    dtask::one_shot<int> o;
    std::thread other([&] { o.set(i); });
    CHECK(bounded(get(o)) == i);
    other.join();
  }
}
