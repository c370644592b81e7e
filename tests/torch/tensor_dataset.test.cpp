// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/tensor_dataset.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "dtask/data/data_loader.hpp"
#include "dtask/task/sync_wait.hpp"

namespace {
std::string refused(const at::Tensor& inputs, const at::Tensor& targets) {
  try {
    const dtask::tensor_dataset data(inputs, targets);
    return "";
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::invalid_argument);
    return e.what();
  }
}
}  // namespace

TEST_CASE("tensor_dataset: batches are the rows, in the loader's order") {
  const at::Tensor x = at::arange(30, at::kFloat).reshape({10, 3}), y = at::arange(10, at::kLong);
  dtask::data_loader loader(dtask::tensor_dataset(x, y), {.batch = 4, .seed = 2, .rest = dtask::uneven::exact});
  const auto check = [](dtask::data_loader<dtask::tensor_dataset>* from,
                        std::vector<std::int64_t>* seen) -> dtask::task<> {
    while (auto b = co_await from->next()) {
      CHECK(b->size() == b->targets.size(0));
      CHECK(at::equal(b->inputs.select(1, 0), b->targets * 3));
      for (std::int64_t i = 0; i < b->size(); ++i) {
        seen->push_back(b->targets[i].item<std::int64_t>());
        CHECK(b->samples[static_cast<std::size_t>(i)] == static_cast<std::uint64_t>(seen->back()));
      }
    }
  };
  std::vector<std::int64_t> seen;
  dtask::sync_wait(check(&loader, &seen));
  CHECK(seen.size() == 10);
  std::sort(seen.begin(), seen.end());
  for (std::int64_t i = 0; i < 10; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("tensor_dataset: a change of the gathered batch, with each sample's random numbers") {
  dtask::tensor_dataset data(at::zeros({6, 1}), at::arange(6, at::kLong));
  data.then([](dtask::batch& b, dtask::sample_keys keys) {
    for (std::size_t i = 0; i < b.samples.size(); ++i)
      b.inputs[static_cast<std::int64_t>(i)].fill_(keys.of(b.samples[i]).uniform());
  });
  const std::vector<std::uint64_t> some{4, 1}, one{1};
  const dtask::batch both = data.gather(some, {.seed = 1, .epoch = 2}),
                     single = data.gather(one, {.seed = 1, .epoch = 2});
  CHECK(at::equal(both.inputs[1], single.inputs[0]));
  CHECK_FALSE(at::equal(both.inputs[0], both.inputs[1]));
}

TEST_CASE("tensor_dataset: the fingerprint is that of types, shapes and elements") {
  const at::Tensor x = at::arange(12, at::kFloat), y = at::arange(6, at::kLong);
  const auto of = [&](const at::Tensor& t) { return dtask::tensor_dataset(t, y).fingerprint(); };
  CHECK(of(x.reshape({6, 2})) == of(x.reshape({6, 2}).clone()));
  CHECK(of(x.reshape({6, 2})) == of(x.reshape({6, 2}).t().contiguous().t()));
  CHECK(of(x.reshape({6, 2})) != of(x.reshape({6, 1, 2})));
  CHECK(of(x.reshape({6, 2})) != of(x.reshape({6, 2}) + 1));
  CHECK(of(at::zeros({6}, at::kFloat)) != of(at::zeros({6}, at::kInt)));
}

TEST_CASE("tensor_dataset: what cannot be loaded from is refused") {
  const at::Tensor y = at::arange(6, at::kLong);
  CHECK(refused(at::zeros({5, 2}), y).find("5 inputs and 6 targets") != std::string::npos);
  CHECK(refused(at::Tensor(), y).find("undefined") != std::string::npos);
  CHECK(refused(at::zeros({}), y).find("no samples") != std::string::npos);
  CHECK(refused(at::zeros({0, 2}), y).find("no samples") != std::string::npos);
  CHECK(refused(at::zeros({6, 2}, at::TensorOptions(at::kMeta)), y).find("CPU") != std::string::npos);
  CHECK(refused(at::zeros({6, 2}), y).empty());
}
