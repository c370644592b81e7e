// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/worker_context.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"

namespace {

struct two_values final : dtask::blob_source {
  found find(std::string_view name) const override {
    if (name == "weights") return {dtask::bytes::copy("w7"), 7, true};
    if (name == "shard") return {{}, 9, false};
    return {};
  }
};

}  // namespace

TEST_CASE("worker_context: says which worker, slot and device it is for") {
  const two_values blobs;
  dtask::shared_objects shared;
  dtask::worker_context w(blobs, shared, "host/w#1", 2, 4, "cuda:1");
  CHECK(w.worker() == "host/w#1");
  CHECK(w.slot() == 2);
  CHECK(w.slots() == 4);
  CHECK(w.device() == "cuda:1");
  CHECK(dtask::worker_context(blobs, shared, "w", 0, 1).device() == "cpu");
}

TEST_CASE("worker_context: remembers what was asked for, with the version, also what was refused") {
  const two_values blobs;
  dtask::shared_objects shared;
  dtask::worker_context w(blobs, shared, "w", 0, 1);
  CHECK(w.blob("weights").view() == "w7");
  CHECK_THROWS_AS(w.blob("none"), dtask::error);
  CHECK_THROWS_WITH_AS(w.blob("shard"), doctest::Contains("ctx.fetch"), dtask::error);
  CHECK(w.blob("weights").version == 7);
  // A constructor that goes on without a value is made anew when there is one.
  const std::vector<std::pair<std::string, std::uint64_t>> wanted{
      {"weights", 7}, {"none", 0}, {"shard", 9}, {"weights", 7}};
  CHECK(std::move(w).take_read() == wanted);
}

TEST_CASE("worker_context: shared objects are those of the session") {
  const two_values blobs;
  dtask::shared_objects shared;
  dtask::worker_context one(blobs, shared, "w", 0, 2), other(blobs, shared, "w", 1, 2);
  int made = 0;
  const auto make = [&made] { return ++made; };
  const auto first = one.shared<int>("count", make);
  CHECK(other.shared<int>("count", make) == first);
  CHECK(*first == 1);
  CHECK_THROWS_AS(other.shared<double>("count", [] { return 1.0; }), dtask::error);
}
