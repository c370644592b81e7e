// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/weight_average.hpp"

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("weight average: begins with the weights, then moves towards them") {
  dtask::weight_average average(0.75);
  CHECK(average.segments().empty());
  std::vector<at::Tensor> weights{at::tensor({4.0F, 8.0F}), at::tensor({2.0}), at::tensor({5})};
  average.update(weights);
  CHECK(at::equal(average.segments()[0], weights[0]));
  weights[0].zero_();  // not shared
  weights[2].fill_(6);
  CHECK(average.segments()[0][0].item<float>() == 4);
  average.update(weights);
  CHECK(at::equal(average.segments()[0], at::tensor({3.0F, 6.0F})));
  CHECK(average.segments()[1].item<double>() == 2);
  CHECK(average.segments()[2].item<std::int64_t>() == 6);
}

TEST_CASE("weight average: goes on from what was kept, to the byte") {
  at::manual_seed(1);
  dtask::weight_average whole(0.9), first(0.9), second(0.9);
  std::vector<std::vector<at::Tensor>> weights;
  for (int i = 0; i < 6; ++i) weights.push_back({at::randn({1000}), at::randn({10}).to(at::kBFloat16)});
  for (int i = 0; i < 6; ++i) whole.update(weights[static_cast<std::size_t>(i)]);
  for (int i = 0; i < 3; ++i) first.update(weights[static_cast<std::size_t>(i)]);
  second.restore(first.segments());
  first.update(weights[0]);
  for (int i = 3; i < 6; ++i) second.update(weights[static_cast<std::size_t>(i)]);
  for (std::size_t s = 0; s < 2; ++s) CHECK(at::equal(whole.segments()[s], second.segments()[s]));
  second.restore({});
  second.update(weights[5]);
  CHECK(at::equal(second.segments()[0], weights[5][0]));
}

TEST_CASE("weight average: wrong decays and other weights are refused") {
  CHECK_THROWS_AS(dtask::weight_average(1), dtask::error);
  CHECK_THROWS_AS(dtask::weight_average(-0.1), dtask::error);
  CHECK_THROWS_AS(dtask::weight_average(std::nan("")), dtask::error);
  dtask::weight_average average(0.5);
  average.update({at::ones({3})});
  CHECK_THROWS_AS(average.update({at::ones({4})}), dtask::error);
  CHECK_THROWS_AS(average.update({at::ones({3}, at::kDouble)}), dtask::error);
  CHECK_THROWS_AS(average.update({}), dtask::error);
}
