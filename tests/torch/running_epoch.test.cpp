// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/detail/running_epoch.hpp"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {
using dtask::detail::ended_part;
using dtask::detail::part_answer;
using dtask::detail::part_kind;
using dtask::detail::part_order;
using dtask::detail::running_epoch;
using part_end = dtask::outcome<part_answer>;

part_answer ran_on(std::string processor) {
  part_answer answer;
  answer.processor = std::move(processor);
  return answer;
}
ended_part with_bad(std::int32_t rank, std::vector<std::string> bad) {
  ended_part part{rank, "w", {}};
  part.answer.bad_samples = bad.size();
  part.answer.bad = std::move(bad);
  return part;
}
}  // namespace

TEST_CASE("running epoch: sums what the parts of its rounds did, and the next one begins anew") {
  running_epoch epoch;
  std::vector<ended_part> parts{{0, "a", {}}, {1, "b", {}}};
  parts[0].answer.samples = 3;
  parts[0].answer.loss = 6;
  parts[0].answer.counted.add("right", 2);
  parts[0].answer.gradients = {at::zeros({4})};
  parts[1].answer.samples = 1;
  parts[1].answer.loss = 2;
  parts[1].answer.counted.add("right", 1);
  parts[1].answer.stall_seconds = 0.5;
  parts[1].answer.state.optimizer.slots.push_back({"exp_avg", {1}, {at::zeros({2}, at::kDouble)}});
  epoch.trained(parts);
  epoch.round_is_done(0.5, 2);
  epoch.trained(parts);
  epoch.round_is_done(0.25, 1);
  parts[0].answer.counted.count(3);
  parts[1].answer.counted.count(1);
  epoch.evaluated(parts, 4);
  const dtask::epoch_report report = epoch.end(7, 5, 6);
  CHECK(report.number == 7);
  CHECK(report.loss == 2);
  CHECK(report.samples == 8);
  CHECK(report.rounds == 2);
  CHECK(report.rate == 0.25);
  CHECK(report.seconds == 3);
  CHECK(report.stall_seconds == 1);
  CHECK(report.bytes == 2 * (16 + 16));
  CHECK(report.trained.whole("right") == 6);
  CHECK(report.held_out.whole("right") == 3);
  CHECK(report.held_out_loss == 2);
  CHECK(report.evaluation_seconds == 4);
  CHECK(report.padded == 5);
  CHECK(report.left_out == 6);
  CHECK(report.reproducible);
  const dtask::epoch_report next = epoch.end(8, 0, 0);
  CHECK(next.samples == 0);
  CHECK(next.loss == 0);
  CHECK(next.rounds == 0);
}

TEST_CASE("running epoch: a state is sent once to each worker; lost parts and those done again are counted") {
  running_epoch epoch;
  epoch.ended({part_end(ran_on("x"), "a", 1), part_end(ran_on("x"), "a", 3), part_end(ran_on("x"), "b", 1)}, 100);
  epoch.ended({part_end(dtask::remote_error(dtask::errc::worker_lost, {}, "gone"))}, 10);
  const dtask::epoch_report report = epoch.end(1, 0, 0);
  CHECK(report.bytes == 2 * 100 + 10);
  CHECK(report.parts_again == 2);
  CHECK(report.ranks_dropped == 1);
}

TEST_CASE("running epoch: what makes it differ is said once, and of the epochs that come from it too") {
  running_epoch epoch;
  part_answer disturbed = ran_on("x");
  disturbed.random_disturbed = true;
  const part_end lost(dtask::remote_error(dtask::errc::worker_lost, {}, "gone"));
  epoch.ended({lost, lost, part_end(disturbed, "a", 1), part_end(ran_on("y"), "b", 1)}, 1);
  const dtask::epoch_report report = epoch.end(1, 0, 0);
  CHECK_FALSE(report.reproducible);
  REQUIRE(report.why_not.size() == 3);
  CHECK(report.why_not[2] == "workers have different CPUs (x; y), which may round differently");
  const dtask::epoch_report next = epoch.end(2, 0, 0);
  CHECK_FALSE(next.reproducible);
  CHECK(next.why_not == report.why_not);
}

TEST_CASE("running epoch: bad samples are counted by rank and kind, named once, and refused above the limit") {
  running_epoch epoch;
  part_order train, evaluate;
  train.kind = part_kind::train;
  evaluate.kind = part_kind::evaluate;
  ended_part first = with_bad(0, {"one", "two"}), second = with_bad(1, {"two", "three"});
  ended_part held_out = with_bad(0, {"four"}), more = with_bad(0, {"five"});
  epoch.count_bad(train, first, 2);
  epoch.count_bad(train, second, 2);
  epoch.count_bad(evaluate, held_out, 2);
  CHECK_THROWS_WITH_AS(epoch.count_bad(train, more, 2), doctest::Contains("five"), dtask::error);
  const dtask::epoch_report report = epoch.end(1, 0, 0);
  CHECK(report.bad_samples == 5);
  CHECK(report.bad == std::vector<std::string>{"one", "two", "three", "four"});
  ended_part again = with_bad(0, {"one", "two"});
  CHECK_NOTHROW(epoch.count_bad(train, again, 2));
}
