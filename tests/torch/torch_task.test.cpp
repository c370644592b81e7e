// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/torch_task.hpp"

#include <c10/core/impl/FakeGuardImpl.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/first_of.hpp"
#include "dtask/task/resume_on.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/task/when_any.hpp"
#include "dtask/task/with_timeout.hpp"
#ifndef DTASK_TEST_OTHER_MODE
#include "dtask/node/cluster.hpp"
#include "dtask/torch/tensor_codec.hpp"
#endif

using namespace std::chrono_literals;

namespace {

/// What one sees of a thread's state.
struct seen {
  bool grad = at::GradMode::is_enabled();
  bool inference = c10::InferenceMode::is_enabled();
  bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  at::ScalarType type = at::autocast::get_autocast_dtype(at::kCPU);
  bool cache = at::autocast::is_autocast_cache_enabled();
  int depth = [] {
    const int within = at::autocast::increment_nesting();
    at::autocast::decrement_nesting();
    return within - 1;
  }();
  bool operator==(const seen&) const = default;
};

/// Autocast for a scope, as Python's `torch.autocast` does it.
class autocast_scope {
 public:
  explicit autocast_scope(at::ScalarType type)
      : enabled_(at::autocast::is_autocast_enabled(at::kCPU)),
        cache_(at::autocast::is_autocast_cache_enabled()),
        type_(at::autocast::get_autocast_dtype(at::kCPU)) {
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, type);
    at::autocast::set_autocast_cache_enabled(false);
    at::autocast::increment_nesting();
  }
  ~autocast_scope() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_cache_enabled(cache_);
    at::autocast::set_autocast_dtype(at::kCPU, type_);
    at::autocast::set_autocast_enabled(at::kCPU, enabled_);
  }
  autocast_scope(const autocast_scope&) = delete;
  autocast_scope& operator=(const autocast_scope&) = delete;

 private:
  bool enabled_, cache_;
  at::ScalarType type_;
};

/// Two threads, each a scheduler of its own: where a task goes on is decided by `resume_on` alone.
struct two_threads {
  dtask::work_pool a{1}, b{1};
};
template <class Awaitable>
auto run(dtask::scheduler& where, Awaitable t) {
  return dtask::sync_wait(where, dtask::with_timeout(std::move(t), 60s));
}
dtask::task<seen> look() { co_return seen(); }
/// What the thread of a scheduler has when none of our tasks runs there.
seen state_of(dtask::scheduler& s) { return run(s, look()); }

template <class Task>
Task hop_without_gradients(two_threads& on, seen& after, std::thread::id& first, std::thread::id& second) {
  first = std::this_thread::get_id();
  const at::NoGradGuard guard;
  co_await dtask::resume_on(on.b);
  second = std::this_thread::get_id();
  after = seen();
}

}  // namespace

TEST_CASE("torch task: a plain task leaves its guard on the first thread and loses it on the second") {
  two_threads on;
  seen after;
  std::thread::id first, second;
  run(on.a, hop_without_gradients<dtask::task<void>>(on, after, first, second));
  CHECK(first != second);
  CHECK(after.grad);            // inside the scope of a NoGradGuard
  CHECK(!state_of(on.a).grad);  // for good, though nobody is in that scope any more
}

TEST_CASE("torch task: the same as a torch_task is right on both sides") {
  two_threads on;
  seen after;
  std::thread::id first, second;
  run(on.a, hop_without_gradients<dtask::torch_task<void>>(on, after, first, second));
  CHECK(first != second);
  CHECK(!after.grad);
  CHECK(state_of(on.a) == seen());
  CHECK(state_of(on.b) == seen());
}

namespace {
dtask::torch_task<void> every_mode(two_threads& on, std::vector<seen>& there, seen& between) {
  const seen outside;
  {
    const c10::InferenceMode inference;
    const autocast_scope autocast(at::kHalf);
    const seen inside;
    CHECK(inside.inference);
    CHECK(inside.autocast);
    CHECK(inside.depth == outside.depth + 1);
    there.push_back(inside);
    co_await dtask::resume_on(on.b);
    there.push_back(seen());
    between = state_of(on.a);
    co_await dtask::resume_on(on.a);
    there.push_back(seen());
    co_await dtask::sleep_for(1ms);
    there.push_back(seen());
    // Computed under the mode on whatever thread: such a tensor has no version counter.
    CHECK(at::zeros({2}).is_inference());
  }
  CHECK(seen() == outside);
  co_await dtask::resume_on(on.b);
  CHECK(seen() == outside);
  CHECK(!at::zeros({2}).is_inference());
}
}  // namespace

TEST_CASE("torch task: grad mode, inference mode and autocast move with the task, and the thread is as it was") {
  two_threads on;
  std::vector<seen> there;
  seen between;
  run(on.a, every_mode(on, there, between));
  REQUIRE(there.size() == 4);
  for (const seen& s : there) CHECK(s == there.front());
  CHECK(between == seen());
  CHECK(state_of(on.a) == seen());
  CHECK(state_of(on.b) == seen());
}

namespace {
dtask::torch_task<int> fails(two_threads& on) {
  const at::NoGradGuard guard;
  co_await dtask::resume_on(on.b);
  throw std::runtime_error("no weights");
  co_return 1;
}
dtask::torch_task<std::string> catches(two_threads& on) {
  const c10::InferenceMode inference;
  std::string what;
  try {
    co_await fails(on);
  } catch (const std::runtime_error& e) {
    what = e.what();
    CHECK(c10::InferenceMode::is_enabled());
  }
  CHECK(c10::InferenceMode::is_enabled());
  co_return what;
}
dtask::task<std::string> plain_parent(two_threads& on) {
  std::string all;
  for (int i = 0; i < 3; ++i) {
    CHECK(at::GradMode::is_enabled());
    all += co_await catches(on);
    CHECK(at::GradMode::is_enabled());
    CHECK(!c10::InferenceMode::is_enabled());
  }
  co_return all;
}
}  // namespace

TEST_CASE("torch task: an exception comes out with the state of each level in place") {
  two_threads on;
  CHECK(run(on.a, plain_parent(on)) == "no weightsno weightsno weights");
  CHECK(state_of(on.a) == seen());
  CHECK(state_of(on.b) == seen());
  CHECK_THROWS_WITH(run(on.a, fails(on)), "no weights");
  CHECK(state_of(on.a) == seen());
  CHECK(state_of(on.b) == seen());
}

namespace {
dtask::torch_task<void> waits(two_threads& on, dtask::event& begun, std::optional<seen>& at_stop) {
  const at::NoGradGuard guard;
  co_await dtask::resume_on(on.b);
  begun.set();
  try {
    co_await dtask::sleep_for(1h);
  } catch (const dtask::error&) {
    at_stop.emplace();
    throw;
  }
}
dtask::task<void> stops(two_threads& on, dtask::stop_source& stop, dtask::event& begun, std::optional<seen>& at_stop) {
  auto inner = dtask::with_stop(stop, waits(on, begun, at_stop));
  co_await std::move(inner);
}
dtask::task<void> requests(dtask::stop_source& stop, dtask::event& begun) {
  co_await begun.wait();
  stop.request_stop();
}
dtask::task<dtask::errc> stopped_pair(two_threads& on, std::optional<seen>& at_stop) {
  dtask::stop_source stop;
  dtask::event begun;
  auto cause = dtask::errc::ok;
  try {
    auto both = dtask::when_all(stops(on, stop, begun, at_stop), requests(stop, begun));
    co_await std::move(both);
  } catch (const dtask::error& e) {
    cause = e.code();
  }
  co_return cause;
}
}  // namespace

TEST_CASE("torch task: cancelled while it waits, it unwinds under its own state") {
  two_threads on;
  std::optional<seen> at_stop;
  CHECK(run(on.a, stopped_pair(on, at_stop)) == dtask::errc::cancelled);
  REQUIRE(at_stop.has_value());
  CHECK(!at_stop->grad);
  CHECK(state_of(on.a) == seen());
  CHECK(state_of(on.b) == seen());
}

TEST_CASE("torch task: under stop it is not started, and nothing stays behind") {
  two_threads on;
  dtask::stop_source stop;
  stop.request_stop();
  dtask::event begun;
  std::optional<seen> at_stop;
  CHECK_THROWS_AS(run(on.a, stops(on, stop, begun, at_stop)), dtask::error);
  CHECK(!at_stop.has_value());
  CHECK(state_of(on.a) == seen());
}

namespace {
dtask::torch_task<bool> inherits(two_threads& on) {
  const bool before = at::GradMode::is_enabled();
  co_await dtask::resume_on(on.b);
  const bool after = at::GradMode::is_enabled();
  at::GradMode::set_enabled(!before);  // ends with this task
  co_await dtask::resume_on(on.a);
  co_return before&& after;
}
dtask::task<bool> plain_child(two_threads& on) {
  co_await dtask::resume_on(on.b);
  co_return at::GradMode::is_enabled();
}
dtask::torch_task<void> nests(two_threads& on) {
  CHECK(co_await inherits(on));
  CHECK(at::GradMode::is_enabled());
  {
    const at::NoGradGuard guard;
    CHECK(!co_await inherits(on));
    CHECK(!at::GradMode::is_enabled());
    // A plain task runs as the thread is.
    CHECK(co_await plain_child(on));
    CHECK(!at::GradMode::is_enabled());
    // Called here, awaited later: the call counts.
    auto later = inherits(on);
    {
      const at::AutoGradMode with(true);
      CHECK(!co_await std::move(later));
      CHECK(at::GradMode::is_enabled());
    }
    CHECK(!at::GradMode::is_enabled());
  }
  CHECK(at::GradMode::is_enabled());
}
}  // namespace

TEST_CASE("torch task: a nested one starts as its caller is, and its changes end with it") {
  two_threads on;
  run(on.a, nests(on));
  CHECK(state_of(on.a) == seen());
  CHECK(state_of(on.b) == seen());
}

namespace {
dtask::torch_task<int> one_of(two_threads& on, int i) {
  const bool grad = i % 2 == 0;
  const at::AutoGradMode mode(grad);
  for (int k = 0; k < 8; ++k) {
    co_await dtask::resume_on(k % 2 == 0 ? on.b : on.a);
    CHECK(at::GradMode::is_enabled() == grad);
  }
  co_return i;
}
dtask::torch_task<int> holds(dtask::torch_task<int> inner) {
  const at::NoGradGuard guard;
  const int v = co_await std::move(inner);
  CHECK(!at::GradMode::is_enabled());
  co_return v;
}
dtask::task<void> spawned_part(two_threads& on, int& sum) { sum += co_await one_of(on, 5); }
dtask::task<int> in_scope(dtask::scope& s, two_threads& on) {
  int sum = 0;
  dtask::spawn(s, spawned_part, std::ref(on), std::ref(sum));
  auto first = co_await dtask::first_of(s, one_of(on, 6));
  co_await s.join();
  co_return sum + std::get<0>(first);
}
dtask::torch_task<int> combined(two_threads& on) {
  const at::NoGradGuard guard;
  int sum = 0;
  auto [a, b] = co_await dtask::when_all(one_of(on, 1), one_of(on, 2));
  sum += a + b;
  std::vector<dtask::torch_task<int>> many;
  for (int i = 0; i < 16; ++i) many.push_back(one_of(on, i));
  const std::vector<int> all = co_await dtask::when_all(std::move(many));
  for (const int v : all) sum += v;
  auto ends = co_await dtask::when_any(one_of(on, 3), one_of(on, 3));
  sum += ends.index < 2 ? 3 : 0;
  sum += co_await dtask::on(on.b, one_of(on, 4));
  sum += co_await dtask::with_timeout(one_of(on, 7), 60s);
  sum += co_await holds(one_of(on, 8));
  sum += co_await dtask::with_scope(in_scope, std::ref(on));
  CHECK(!at::GradMode::is_enabled());
  co_return sum;
}
}  // namespace

TEST_CASE("torch task: with the combinators") {
  two_threads on;
  CHECK(run(on.a, combined(on)) == 3 + 120 + 3 + 4 + 7 + 8 + 11);
  CHECK(state_of(on.a) == seen());
  CHECK(state_of(on.b) == seen());
}

namespace {
struct put_back {
  explicit put_back(bool& to) : to_(to) {}
  ~put_back() { to_ = at::GradMode::is_enabled(); }
  put_back(const put_back&) = delete;
  put_back& operator=(const put_back&) = delete;
  bool& to_;
};
struct never_resumes {
  std::coroutine_handle<>* out;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) const noexcept { *out = h; }
  void await_resume() const noexcept {}
};
dtask::torch_task<void> left_waiting(std::coroutine_handle<>& out, bool& grad_at_end) {
  const at::NoGradGuard guard;
  const put_back noted(grad_at_end);
  never_resumes for_ever{&out};
  co_await for_ever;
}
}  // namespace

TEST_CASE("torch task: never started, or destroyed while it waits, it leaves the thread alone") {
  std::coroutine_handle<> waiting;
  bool grad_at_end = true;
  {
    const at::NoGradGuard guard;
    [[maybe_unused]] const auto never = left_waiting(waiting, grad_at_end);
  }
  CHECK(at::GradMode::is_enabled());
  {
    auto t = left_waiting(waiting, grad_at_end);
    dtask::environment env;
    t.handle().promise().env = &env;
    dtask::detail::resume(t.handle());
    REQUIRE(waiting);
    CHECK(at::GradMode::is_enabled());
    CHECK(grad_at_end);
  }
  CHECK(!grad_at_end);
  CHECK(at::GradMode::is_enabled());
  CHECK(seen() == seen(state_of(*std::make_unique<dtask::work_pool>(1))));
}

namespace {
using fake_guard = c10::impl::FakeGuardImpl<c10::DeviceType::CUDA>;
/// A CUDA whose devices are numbers per thread, in place of the library that a program of the CPU does not have.
struct fake_devices {
  fake_devices() { c10::impl::device_guard_impl_registry[slot].store(&guard); }
  ~fake_devices() { c10::impl::device_guard_impl_registry[slot].store(nullptr); }
  static constexpr auto slot = static_cast<std::size_t>(c10::DeviceType::CUDA);
  fake_guard guard;
};
struct place {
  int device = fake_guard::getDeviceIndex();
  std::int64_t stream0 = fake_guard::getCurrentStreamIdFor(0);
  std::int64_t stream3 = fake_guard::getCurrentStreamIdFor(3);
  bool operator==(const place&) const = default;
};
void set_stream(const fake_guard& guard, int device, int id) {
  guard.exchangeStream(
      c10::Stream(c10::Stream::UNSAFE, c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device)), id));
}
dtask::task<place> place_here() { co_return place(); }
dtask::torch_task<void> moves_device(two_threads& on, fake_devices& cuda, place& between) {
  fake_guard::setDeviceIndex(3);
  set_stream(cuda.guard, 3, 17);
  const place mine;
  co_await dtask::resume_on(on.b);
  CHECK(place() == mine);
  between = run(on.a, place_here());
  set_stream(cuda.guard, 0, 5);
  const place changed;
  co_await dtask::resume_on(on.a);
  CHECK(place() == changed);
  CHECK(place().stream0 == 5);
}
}  // namespace

TEST_CASE("torch task: the current device and the streams of all devices") {
  fake_devices cuda;
  two_threads on;
  const place nobody;
  place between;
  run(on.a, moves_device(on, cuda, between));
  CHECK(between == nobody);
  CHECK(run(on.a, place_here()) == nobody);
  CHECK(run(on.b, place_here()) == nobody);
}

#ifndef DTASK_TEST_OTHER_MODE  // needs the library, which is compiled in one mode
namespace {
struct scale : dtask::job<"test.scale/1", dtask::pure> {
  dtask::torch_task<at::Tensor> operator()(at::Tensor t) {
    const c10::InferenceMode inference;
    const seen before;
    co_await dtask::sleep_for(1ms);
    if (seen() != before) throw std::runtime_error("the state was lost");
    co_return t * 2;
  }
};
static_assert(dtask::detail::unwrap_task<dtask::torch_task<int>>::awaits);
static_assert(!dtask::detail::unwrap_task<int>::awaits);
dtask::task<at::Tensor> ask(dtask::cluster& c, at::Tensor t) { co_return co_await c.call<scale>(t); }
}  // namespace

TEST_CASE("torch task: jobs return it") {
  auto c = dtask::sync_wait(dtask::cluster::connect<dtask::registry<scale>>("local://2"));
  const at::Tensor twice = dtask::sync_wait(dtask::with_timeout(ask(c, at::ones({3})), 60s));
  CHECK(twice.equal(at::full({3}, 2.0F)));
  CHECK(seen().grad);
}
#endif

TEST_CASE("torch task: what a suspension costs" * doctest::skip()) {
  // By hand: --no-skip. Prints nanoseconds, asserts nothing.
  constexpr int rounds = 200'000;
  dtask::work_pool pool(1);
  const auto measure = [&]<class Task>(Task (*yields)(int)) {
    const auto from = std::chrono::steady_clock::now();
    run(pool, yields(rounds));
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - from).count() / rounds;
  };
  struct yields {
    static dtask::task<int> child(int i) { co_return i; }
    static dtask::task<void> plain(int n) {
      for (int i = 0; i < n; ++i) co_await child(i);
    }
    static dtask::torch_task<void> torch(int n) {
      for (int i = 0; i < n; ++i) co_await child(i);
    }
    static dtask::torch_task<int> torch_child(int i) { co_return i; }
    static dtask::torch_task<void> nested(int n) {
      for (int i = 0; i < n; ++i) co_await torch_child(i);
    }
  };
  MESSAGE("task: " << measure(&yields::plain) << " ns, torch_task: " << measure(&yields::torch)
                   << " ns, torch_task in torch_task: " << measure(&yields::nested) << " ns");
}
