// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/detail/training_course.hpp"

#include <doctest/doctest.h>

#include <cstdint>

#include "dtask/torch/strategy.hpp"

namespace {
using dtask::detail::part_answer;
using dtask::detail::part_kind;
using dtask::detail::part_order;
using dtask::detail::training_course;

part_answer data(std::uint64_t train, std::uint64_t test) {
  part_answer found;
  found.train_size = train;
  found.test_size = test;
  found.train_fingerprint = 7;
  found.test_fingerprint = 8;
  return found;
}
}  // namespace

TEST_CASE("training course: rounds go through an epoch, whose last one has what is left") {
  dtask::training_options options;
  options.strategy = dtask::local_sgd(4);
  options.ranks = 2;
  options.epochs = 3;
  training_course course(options);
  CHECK(course.steps_per_epoch() == 0);
  course.plan(data(59, 1), "w", 5);  // 6 batches of each rank, the last filled up
  CHECK(course.steps_per_epoch() == 6);
  CHECK(course.total_steps() == 18);
  CHECK(course.padded() == 1);
  CHECK(course.round_batches() == 4);
  course.go_on(4);
  CHECK_FALSE(course.epoch_is_over());
  CHECK(course.position() == 40);
  CHECK(course.round_batches() == 2);
  course.go_on(2);
  CHECK(course.epoch_is_over());
  course.begin_epoch();
  CHECK(course.position() == 0);
  CHECK_FALSE(course.epoch_is_over());
}

TEST_CASE("training course: a round of a whole epoch, and steps of several batches") {
  dtask::training_options options;
  options.strategy = dtask::average();
  training_course whole(options);
  whole.plan(data(100, 1), "w", 10);
  CHECK(whole.round_batches() == 10);

  options.strategy = dtask::sync(4);
  training_course accumulated(options);
  accumulated.plan(data(100, 1), "w", 10);
  CHECK(accumulated.steps_per_epoch() == 3);
  CHECK(accumulated.round_batches() == 4);
  accumulated.go_on(8);
  CHECK(accumulated.round_batches() == 2);
}

TEST_CASE("training course: it goes on where as many steps had led") {
  for (const dtask::strategy& how : {dtask::local_sgd(3), dtask::sync(3)}) {
    dtask::training_options options;
    options.strategy = how;
    training_course gone(options), restored(options);
    gone.plan(data(100, 1), "w", 10);
    restored.plan(data(100, 1), "w", 10);
    gone.go_on(gone.round_batches());
    dtask::training_counters done;
    done.epoch = 2;
    done.steps = 2 * gone.steps_per_epoch() + (how.is_local() ? 3 : 1);
    restored.go_to(done);
    CHECK(restored.position() == gone.position());
    CHECK(restored.position() == 30);
  }
}

TEST_CASE("training course: too few samples and other data are refused, with the worker") {
  dtask::training_options options;
  options.ranks = 4;
  training_course course(options);
  CHECK_THROWS_WITH_AS(course.plan(data(3, 1), "w1", 1), doctest::Contains("w1"), dtask::error);
  CHECK_THROWS_AS(course.plan(data(100, 0), "w1", 1), dtask::error);
  course.plan(data(100, 10), "w1", 5);
  part_order what;
  what.epoch = 1;
  part_answer other = data(100, 10);
  for (const part_kind kind : {part_kind::survey, part_kind::train, part_kind::evaluate}) {
    what.kind = kind;
    CHECK_NOTHROW(course.require_same_data(what, 3, other, "w2"));
  }
  other.train_fingerprint = 9;
  CHECK_NOTHROW(course.require_same_data(what, 3, other, "w2"));  // an evaluation has not seen it
  what.kind = part_kind::train;
  CHECK_THROWS_WITH_AS(course.require_same_data(what, 3, other, "w2"),
                       doctest::Contains("epoch 2, round 1, rank 3, worker w2"), dtask::error);
  what.kind = part_kind::evaluate;
  other.test_fingerprint = 9;
  CHECK_THROWS_WITH_AS(course.require_same_data(what, 3, other, "w2"), doctest::Contains("held-out"), dtask::error);
}
