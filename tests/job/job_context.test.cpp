// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/job_context.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include "dtask/task/sync_wait.hpp"

namespace {

using dtask::errc;
using dtask::job_context;

dtask::task<dtask::blob> published(std::string name) {
  if (name != "shard") throw dtask::error(errc::not_found, "no such value");
  dtask::blob out{dtask::bytes::copy("s5"), 5};
  co_return out;
}
struct worker final : dtask::job_host {
  dtask::blob_source::found find(std::string_view name) const override {
    if (name == "weights") return {dtask::bytes::copy("w7"), 7, true};
    if (name == "shard") return {{}, 5, false};
    return {};
  }
  dtask::task<dtask::blob> fetch(std::string name) override { return published(std::move(name)); }
  std::shared_ptr<dtask::shared_objects> shared() override { return objects; }
  std::string_view device() const noexcept override { return "cuda:1"; }
  std::shared_ptr<dtask::shared_objects> objects = std::make_shared<dtask::shared_objects>();
};
template <class F>
errc code_of(F&& f) {
  try {
    f();
  } catch (const dtask::error& e) {
    return e.code();
  }
  return errc::ok;
}
dtask::task<int> load() { co_return 8; }

}  // namespace

TEST_CASE("job_context: what an attempt is told") {
  worker here;
  dtask::stop_source source;
  const auto until = dtask::time_point{std::chrono::hours(1)};
  const job_context ctx(dtask::stop_token(source), until, 3, 2, "host/w#1", &here);
  CHECK(ctx.deadline() == until);
  CHECK(ctx.attempt() == 3);
  CHECK(ctx.slot() == 2);
  CHECK(ctx.worker() == "host/w#1");
  CHECK(ctx.device() == "cuda:1");
  CHECK_FALSE(ctx.stop().stop_requested());
  source.request_stop();
  CHECK(ctx.stop().stop_requested());
}

TEST_CASE("job_context: broadcast values lie here, published ones are fetched") {
  worker here;
  const job_context ctx({}, dtask::never, 1, 0, "host/w#1", &here);
  CHECK(ctx.blob("weights").view() == "w7");
  CHECK(ctx.blob("weights").version == 7);
  CHECK_THROWS_WITH_AS(ctx.blob("shard"), doctest::Contains("ctx.fetch"), dtask::error);
  CHECK_THROWS_WITH_AS(ctx.blob("none"), doctest::Contains("host/w#1"), dtask::error);
  CHECK(dtask::sync_wait(ctx.fetch("shard")).version == 5);
  CHECK(code_of([&] { dtask::sync_wait(ctx.fetch("none")); }) == errc::not_found);
}

TEST_CASE("job_context: an object is made once for all contexts of a host, by a value, a pointer or a task") {
  worker here;
  const job_context one({}, dtask::never, 1, 0, "w", &here), other({}, dtask::never, 1, 1, "w", &here);
  const auto first = one.shared<std::string>("text", [] { return std::string("first"); });
  CHECK(other.shared<std::string>("text", [] { return std::string("second"); }) == first);
  CHECK(*first == "first");
  const auto made = std::make_shared<int>(4);
  CHECK(one.shared<int>("pointer", [made] { return made; }) == made);
  CHECK(*dtask::sync_wait(one.shared<int>("loaded", load)) == 8);
  CHECK(*other.shared<int>("loaded", [] { return 9; }) == 8);
  other.drop_shared("text");
  other.drop_shared("never made");
  CHECK(*one.shared<std::string>("text", [] { return std::string("third"); }) == "third");
  CHECK(*first == "first");
}

TEST_CASE("job_context: in a test of a job, without a worker") {
  const job_context ctx({}, dtask::never, 1, 0, "w");
  CHECK(ctx.device() == "cpu");
  CHECK_THROWS_WITH_AS(ctx.blob("weights"), doctest::Contains("no broadcast named 'weights'"), dtask::error);
  try {
    dtask::sync_wait(ctx.fetch("shard"));
    FAIL("fetched");
  } catch (const dtask::error& e) {
    CHECK(e.code() == errc::not_found);
    CHECK(e.cause().find("'shard'") != std::string::npos);
    CHECK(e.cause().find("outside of a worker") != std::string::npos);
  }
  CHECK(*ctx.shared<int>("n", [] { return 1; }) == 1);
  CHECK(*ctx.shared<int>("n", [] { return 2; }) == 2);
  CHECK(*dtask::sync_wait(ctx.shared<int>("n", load)) == 8);
  ctx.drop_shared("n");
}
