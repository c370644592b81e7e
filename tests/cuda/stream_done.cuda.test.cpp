// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/stream_done.hpp"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/util/Exception.h>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "cuda/cuda_device.hpp"
#include "dtask/cuda/stream_pool.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/resume_on.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/task/with_timeout.hpp"
#include "dtask/torch/torch_task.hpp"
#include "task/manual_scheduler.hpp"

using namespace std::chrono_literals;
using dtask::cuda::notice;
using dtask::cuda::stream_done;
using dtask_test::bounded_on;
using dtask_test::cause_of;

namespace {

/// Holds a stream until it is opened, for at most 20 s: a host function waits in it.
class gate {
 public:
  void close(c10::cuda::CUDAStream s) {
    dtask::cuda::detail::check(::cudaLaunchHostFunc(
        s.stream(),
        [](void* self) {
          auto& g = *static_cast<gate*>(self);
          std::unique_lock hold(g.guard_);
          g.wake_.wait_for(hold, 20s, [&g] { return g.open_; });
        },
        this));
  }
  void open() {
    const std::lock_guard hold(guard_);
    open_ = true;
    wake_.notify_all();
  }

 private:
  std::mutex guard_;
  std::condition_variable wake_;
  bool open_ = false;
};

dtask::torch_task<float> computes(c10::cuda::CUDAStream s, notice how, std::thread::id& resumed_on) {
  const c10::cuda::CUDAStreamGuard on(s);
  at::Tensor a = at::full({512, 512}, 1.0F / 512, at::TensorOptions(s.device()));
  for (int i = 0; i < 50; ++i) a = at::matmul(a, a) + 0.0F;
  co_await stream_done(c10::cuda::getCurrentCUDAStream(), how);
  resumed_on = std::this_thread::get_id();
  CHECK(s.query());
  CHECK(c10::cuda::getCurrentCUDAStream() == s);
  co_return a.sum().item<float>();
}
dtask::task<std::thread::id> where_am_i() { co_return std::this_thread::get_id(); }

}  // namespace

TEST_CASE("stream done: polled and reported, on the task's own scheduler") {
  if (!dtask_test::has_device()) return;
  dtask::work_pool pool(1);
  const auto home = bounded_on(pool, where_am_i());
  for (const notice how : {notice::polling, notice::host_function}) {
    std::thread::id resumed_on;
    const auto s = c10::cuda::getStreamFromPool(false, 0);
    CHECK(bounded_on(pool, computes(s, how, resumed_on)) == doctest::Approx(512.0F).epsilon(1e-3));
    CHECK(resumed_on == home);
  }
}

namespace {
dtask::torch_task<bool> waits_for_event(c10::cuda::CUDAStream s) {
  c10::cuda::CUDAEvent never;
  co_await dtask::cuda::event_done(never);
  const c10::cuda::CUDAStreamGuard on(s);
  c10::cuda::CUDAEvent e;
  at::Tensor a = at::rand({1024, 1024}, at::TensorOptions(s.device()));
  for (int i = 0; i < 20; ++i) a = at::matmul(a, a) / 512;
  e.record(s);
  co_await dtask::cuda::event_done(e);
  const bool done = e.query();
  co_return done;
}
}  // namespace

TEST_CASE("event done: at once for one that was never recorded, else when it has come") {
  if (!dtask_test::has_device()) return;
  dtask::work_pool pool(1);
  CHECK(bounded_on(pool, waits_for_event(c10::cuda::getStreamFromPool(false, 0))));
}

namespace {
dtask::torch_task<int> waits(c10::cuda::CUDAStream s, notice how) {
  co_await stream_done(s, how);
  co_return 1;
}
dtask::task<int> under(dtask::stop_source& stop, dtask::torch_task<int> t) {
  co_return co_await dtask::with_stop(stop, std::move(t));
}
}  // namespace

TEST_CASE("stream done: a stop waits for the device") {
  if (!dtask_test::has_device()) return;
  dtask::work_pool pool(1);
  const auto s = c10::cuda::getStreamFromPool(false, 0);
  for (const notice how : {notice::polling, notice::host_function}) {
    dtask::stop_source stop;
    gate closed;
    closed.close(s);
    std::atomic<bool> ended{false};
    dtask::errc cause{};
    std::thread task([&] {
      cause = cause_of([&] { bounded_on(pool, under(stop, waits(s, how))); });
      ended = true;
    });
    stop.request_stop();
    // The gate is closed: whatever the order, the wait cannot have ended unless it had not begun.
    CHECK(!s.query());
    closed.open();
    task.join();
    CHECK(cause == dtask::errc::cancelled);
    s.synchronize();
  }
}

namespace {
dtask::torch_task<int> opens_when_done(c10::cuda::CUDAStream other, gate& g) {
  const c10::cuda::CUDAStreamGuard on(other);
  at::Tensor a = at::rand({256, 256}, at::TensorOptions(other.device()));
  a = at::matmul(a, a);
  co_await stream_done();
  g.open();
  co_return 1;
}
dtask::task<int> overlaps(dtask::cuda::stream_pool& streams) {
  auto first = co_await streams.acquire();
  auto second = co_await streams.acquire();
  gate g;
  g.close(*first);
  // The first stream stands until the second is done: one after the other would end at the gate's own bound.
  auto [a, b] = co_await dtask::when_all(waits(*first, notice::polling), opens_when_done(*second, g));
  co_return a + b;
}
}  // namespace

TEST_CASE("stream pool: two streams go on beside each other") {
  if (!dtask_test::has_device()) return;
  dtask::work_pool pool(2);
  dtask::cuda::stream_pool streams(dtask_test::device(), 2);
  CHECK(bounded_on(pool, overlaps(streams)) == 2);
  CHECK(streams.free() == 2);
  CHECK(cause_of([] { dtask::cuda::stream_pool(dtask_test::device(), 0); }) == dtask::errc::invalid_argument);
  CHECK(cause_of([] { dtask::cuda::stream_pool(dtask_test::device(), 33); }) == dtask::errc::invalid_argument);
}

namespace {
dtask::torch_task<void> keeps_stream(dtask::scheduler& other, c10::cuda::CUDAStream s) {
  const c10::cuda::CUDAStreamGuard on(s);
  CHECK(c10::cuda::getCurrentCUDAStream(0) == s);
  co_await dtask::resume_on(other);
  CHECK(c10::cuda::getCurrentCUDAStream(0) == s);
  co_await stream_done();
  CHECK(c10::cuda::getCurrentCUDAStream(0) == s);
}
dtask::task<bool> default_stream() {
  co_return c10::cuda::getCurrentCUDAStream(0) == c10::cuda::getDefaultCUDAStream(0);
}
}  // namespace

TEST_CASE("torch task: the current stream goes with it, and threads keep theirs") {
  if (!dtask_test::has_device()) return;
  dtask::work_pool a(1), b(1);
  bounded_on(a, keeps_stream(b, c10::cuda::getStreamFromPool(false, 0)));
  CHECK(bounded_on(a, default_stream()));
  CHECK(bounded_on(b, default_stream()));
}

namespace {
struct allocate : dtask::job<"test.allocate/1", dtask::pure> {
  dtask::torch_task<float> operator()(std::uint64_t elements) {
    const at::Tensor t = at::ones({static_cast<std::int64_t>(elements)}, at::TensorOptions(dtask_test::device()));
    const at::Tensor sum = t.sum();
    co_await stream_done();
    co_return sum.item<float>();
  }
};
dtask::task<std::string> too_large_then_small(dtask::cluster& c) {
  std::string what;
  for (int i = 0; i < 3; ++i) {
    try {
      (void)co_await c.call<allocate>(std::uint64_t{1} << 42);  // 16 TB
    } catch (const std::exception& e) {
      what = e.what();
    }
    const float small = co_await c.call<allocate>(std::uint64_t{1000});
    if (small != 1000.0F) what = "the worker is not usable";
  }
  co_return what;
}
}  // namespace

TEST_CASE("device: a full one is an error of the job, and the worker goes on") {
  if (!dtask_test::has_device()) return;
  auto c = dtask::sync_wait(dtask::cluster::connect<dtask::registry<allocate>>("local://1"));
  const std::string what = dtask::sync_wait(dtask::with_timeout(too_large_then_small(c), 60s));
  CHECK(what.find("out of memory") != std::string::npos);
}

namespace {
/// In a process of its own: a failed kernel ends the device for the whole process.
dtask::torch_task<int> fails(notice how) {
  const at::Tensor index = at::full({1}, 1'000'000, at::TensorOptions(dtask_test::device()).dtype(at::kLong));
  const at::Tensor from = at::ones({4}, at::TensorOptions(dtask_test::device()));
  const at::Tensor out = from.index_select(0, index);
  int seen = 0;
  try {
    co_await stream_done(c10::cuda::getCurrentCUDAStream(), how);
  } catch (const dtask::cuda::device_error& e) {
    seen = e.status() == cudaErrorAssert ? 1 : 2;
  }
  co_return seen;
}
int failing_role(int, char** argv) {
  if (dtask::cuda::devices().devices < 1) return 77;
  dtask::work_pool pool(1);
  const notice how = std::string(argv[2]) == "polling" ? notice::polling : notice::host_function;
  const int seen = bounded_on(pool, fails(how));
  // Tensors of a lost device cannot be freed in order: without destructors.
  ::_exit(seen == 1 ? 0 : 10 + seen);
}
const dtask_test::role failing("failing_kernel", &failing_role);
}  // namespace

TEST_CASE("stream done: a kernel that fails is an exception, however its end is told") {
  if (!dtask_test::has_device()) return;
  for (const char* how : {"polling", "host_function"}) {
    CAPTURE(how);
    const std::string self = dtask_test::self();
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::execl(self.c_str(), self.c_str(), "--role=failing_kernel", how, static_cast<char*>(nullptr));
      ::_exit(127);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}
