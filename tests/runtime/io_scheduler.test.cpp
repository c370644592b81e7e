#include "dtask/runtime/io_scheduler.hpp"

#include <doctest/doctest.h>

#include <boost/asio/detached.hpp>
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
  CHECK(context.run() == 1);  // one handler for all of them
  CHECK(order == std::vector<int>{0, 1, 2, 3});
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
