// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/gradient_norm.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

TEST_CASE("gradient norm: over all segments, the same for any number of threads") {
  CHECK(dtask::gradient_norm({at::tensor({3.0F}), at::tensor({4.0}), at::tensor({7})}) == 5);
  CHECK(dtask::gradient_norm({}) == 0);
  CHECK(dtask::gradient_norm({at::full({4}, 1.5, at::kBFloat16)}) == 3);
  at::manual_seed(1);
  const std::vector<at::Tensor> many{at::randn({300001}), at::randn({70000}, at::kDouble)};
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const double one = dtask::gradient_norm(many);
  at::set_num_threads(3);
  const double three = dtask::gradient_norm(many);
  at::set_num_threads(before);
  CHECK(one == three);
  const double reference =
      std::sqrt(many[0].to(at::kDouble).square().sum().item<double>() + many[1].square().sum().item<double>());
  CHECK(one == doctest::Approx(reference));
}

TEST_CASE("gradient norm: clipping scales all segments, in place, only above the limit") {
  const std::vector<at::Tensor> g{at::tensor({3.0F}), at::tensor({4.0}), at::tensor({7})};
  CHECK(dtask::clip_gradient_norm(g, 5) == 5);
  CHECK(g[0].item<float>() == 3);
  CHECK(dtask::clip_gradient_norm(g, 1) == 5);
  CHECK(g[0].item<float>() == doctest::Approx(0.6));
  CHECK(g[1].item<double>() == doctest::Approx(0.8));
  CHECK(g[2].item<std::int64_t>() == 7);
  CHECK(dtask::gradient_norm(g) == doctest::Approx(1));
}

TEST_CASE("gradient norm: what is not finite is left as it is, and told") {
  const std::vector<at::Tensor> g{at::tensor({1.0F, std::numeric_limits<float>::infinity()})};
  CHECK(std::isinf(dtask::clip_gradient_norm(g, 1)));
  CHECK(g[0][0].item<float>() == 1);
  CHECK(std::isnan(dtask::clip_gradient_norm({at::tensor({std::nanf("")})}, 1)));
  CHECK_THROWS_AS(dtask::clip_gradient_norm(g, 0), dtask::error);
  CHECK_THROWS_AS(dtask::clip_gradient_norm(g, std::nan("")), dtask::error);
}

TEST_CASE("gradient norm: what is enqueued on a device is the same") {
  const auto some = [] {
    return std::vector<at::Tensor>{at::tensor({3.0F, 0.0F}), at::tensor({4.0}), at::tensor({7})};
  };
  CHECK(dtask::detail::norm_there(some()).item<double>() == doctest::Approx(5));
  for (const double most : {1.0, 5.0, 6.0}) {
    const auto there = some(), here = some();
    dtask::detail::clip_there(there, most);
    dtask::clip_gradient_norm(here, most);
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(at::allclose(there[i], here[i]));
  }
  const std::vector<at::Tensor> bad{at::tensor({1.0F, std::numeric_limits<float>::infinity()})};
  dtask::detail::clip_there(bad, 1);
  CHECK(bad[0][0].item<float>() == 1);
}
