// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/io_scheduler.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "dtask/runtime/co_spawn.hpp"
#include "dtask/task.hpp"
#include "task/manual_scheduler.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {
struct item : dtask::work_item {
  std::vector<int>* order = nullptr;
  int number = 0;
  item() {
    run = [](dtask::work_item& self) noexcept {
      static_cast<item&>(self).order->push_back(static_cast<item&>(self).number);
    };
  }
};
/// Something that threads count and wait for, a minute at most.
class happening {
 public:
  void count() {
    const std::lock_guard hold(guard_);
    ++times_;
    changed_.notify_all();
  }
  bool wait_for(int times) {
    std::unique_lock hold(guard_);
    return changed_.wait_for(hold, 60s, [&] { return times_ >= times; });
  }
  bool count_and_wait_for(int times) {
    count();
    return wait_for(times);
  }
  int so_far() {
    const std::lock_guard hold(guard_);
    return times_;
  }

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  int times_ = 0;
};
}  // namespace

TEST_CASE("a batch runs in order, and one context has one scheduler") {
  asio::io_context context(1);
  auto& s = dtask::scheduler_of(context);
  CHECK(&s == &dtask::scheduler_of(context));
  CHECK_FALSE(s.runs_here());
  std::vector<int> order;
  item items[4];
  dtask::work_list batch;
  for (int i = 0; i < 4; ++i) {
    items[i].order = &order;
    items[i].number = i;
    if (i > 0) batch.push(items[i]);
  }
  s.post(items[0]);
  s.post_all(batch);
  CHECK(order.empty());
  CHECK(context.run() == 2);  // one handler for all of them, and one for a thread that has nothing to do
  CHECK(order == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("where one thread runs the context, a batch is one handler") {
  asio::io_context context(1);
  auto& s = asio::make_service<dtask::io_scheduler>(context, true, false);
  std::vector<int> order;
  item items[3];
  dtask::work_list batch;
  for (int i = 0; i < 3; ++i) {
    items[i].order = &order;
    items[i].number = i;
    batch.push(items[i]);
  }
  s.post_all(batch);
  CHECK(context.run() == 1);
  CHECK(order == std::vector<int>{0, 1, 2});
}

TEST_CASE("two threads of a context run two tasks at the same time") {
  asio::io_context context(2);
  happening met;
  const auto meets = [](happening& all) -> dtask::task<bool> {
    const bool both = all.count_and_wait_for(2);
    co_return both;
  };
  bool both = false;
  const auto body = [&]() -> dtask::task<> {
    auto [a, b] = co_await dtask::when_all(meets(met), meets(met));
    both = a && b;
  };
  dtask::co_spawn(context, body(), asio::detached);
  std::thread other([&] { context.run(); });
  context.run();
  other.join();
  CHECK(both);
}

TEST_CASE("an item that blocks holds up one thread of a context, not what is behind it") {
  asio::io_context context(2);
  auto& s = dtask::scheduler_of(context);
  // The first waits until the last two have run: the one of its own batch, and one that was posted later.
  struct blocking : dtask::work_item {
    happening others;
    bool went_on = false;
    blocking() {
      run = [](dtask::work_item& self) noexcept {
        auto& me = static_cast<blocking&>(self);
        me.went_on = me.others.wait_for(2);
      };
    }
  } first;
  struct counting : dtask::work_item {
    explicit counting(happening& to) : counter(to) {
      run = [](dtask::work_item& self) noexcept { static_cast<counting&>(self).counter.count(); };
    }
    happening& counter;
  } second(first.others), third(first.others);
  dtask::work_list batch;
  batch.push(first);
  batch.push(second);
  s.post_all(batch);
  std::thread other([&] { context.run(); });
  asio::post(context, [&] { s.post(third); });
  context.run();
  other.join();
  CHECK(first.went_on);
}

TEST_CASE("one thread at a time calls expired timers, and cancel waits for the call under way") {
  asio::io_context context(2);
  auto& s = dtask::scheduler_of(context);
  struct slow : dtask::timer {
    happening inside, go;
    std::atomic<bool> ended{false};
    slow() {
      expired = [](dtask::timer& t) noexcept {
        auto& me = static_cast<slow&>(t);
        me.inside.count();
        me.go.wait_for(1);
        me.ended = true;
      };
    }
  } first;
  struct quick : dtask::timer {
    happening called;
    quick() {
      expired = [](dtask::timer& t) noexcept { static_cast<quick&>(t).called.count(); };
    }
  } second;
  auto guard = asio::make_work_guard(context);
  std::thread a([&] { context.run(); }), b([&] { context.run(); });
  const dtask::time_point at = s.now() + 5ms;
  s.arm(first, at);
  CHECK(first.inside.wait_for(1));
  // Due before what the alarm was set to, so it is set anew and rings beside the call under way.
  s.arm(second, at - 1ms);
  // On the thread that is left, behind that alarm: the handlers of timers come in the order of their times.
  happening rang;
  asio::steady_timer behind(context);
  asio::post(context, [&] {
    behind.expires_at(at);
    behind.async_wait([&](boost::system::error_code) { rang.count(); });
  });
  CHECK(rang.wait_for(1));
  CHECK(second.called.so_far() == 0);
  asio::post(context, [&] { first.go.count(); });
  CHECK_FALSE(s.cancel(first));
  CHECK(first.ended);
  CHECK(second.called.wait_for(1));
  CHECK_FALSE(s.cancel(second));
  guard.reset();
  a.join();
  b.join();
}

TEST_CASE("timers fire in order, and neither a cancelled timer nor a finished task keeps the context running") {
  asio::io_context context(1);
  std::vector<int> order;
  const auto body = [&](int number, dtask::duration d) -> dtask::task<> {
    co_await dtask::sleep_for(d);
    order.push_back(number);
  };
  dtask::co_spawn(context, body(2, 20ms), asio::detached);
  dtask::co_spawn(context, body(1, 5ms), asio::detached);
  // An hour's timeout around something quick: `run` must not wait for it.
  dtask::co_spawn(context, dtask::with_timeout(body(0, 1ms), 1h), asio::detached);
  context.run();
  CHECK(order == std::vector<int>{0, 1, 2});
}

TEST_CASE("to block the context's thread for a task of the context is an error at once") {
  const auto ready = []() -> dtask::task<> { co_return; };
  asio::io_context io;
  dtask::io_scheduler& where = dtask::scheduler_of(io);
  dtask::errc cause = dtask::errc::ok;
  asio::post(io, [&] { cause = dtask_test::cause_of([&] { dtask::sync_wait(where, ready()); }); });
  io.run();
  CHECK(cause == dtask::errc::invalid_argument);
}
