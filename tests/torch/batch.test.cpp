// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/batch.hpp"

#include <doctest/doctest.h>

#include <string>

#include "data/folder.hpp"
#include "dtask/data/data_loader.hpp"
#include "dtask/data/idx_dataset.hpp"
#include "dtask/task/sync_wait.hpp"

TEST_CASE("to_batch: an IDX dataset's batch as tensors over the same memory") {
  const dtask_test::folder folder;
  folder.write("train-images-idx3-ubyte", dtask_test::idx_file({2, 2, 2}, std::string("\0\1\2\3\4\5\6\7", 8)));
  folder.write("train-labels-idx1-ubyte", dtask_test::idx_file({2}, "\3\4"));
  dtask::data_loader loader(dtask::idx_dataset(folder.path(), dtask::split::train), {.batch = 2, .shuffle = false});
  auto loaded = dtask::sync_wait(loader.next());
  REQUIRE(loaded.has_value());
  const auto* at = loaded->inputs.data();
  const dtask::batch batch = dtask::to_batch(std::move(*loaded));
  CHECK(batch.inputs.const_data_ptr() == at);
  CHECK((batch.inputs.sizes() == at::IntArrayRef({2, 1, 2, 2})));
  CHECK((batch.inputs.scalar_type() == at::kFloat));
  CHECK(at::allclose(batch.inputs.flatten() * 255, at::arange(8, at::kFloat)));
  CHECK(at::equal(batch.targets, at::arange(3, 5, at::kLong)));
  CHECK(batch.samples == std::vector<std::uint64_t>{0, 1});
  CHECK(batch.size() == 2);
  CHECK(batch.size_bytes() >= 8 * 4 + 2 * 8);
  CHECK(dtask::to_batch(batch).inputs.is_same(batch.inputs));
  CHECK(dtask::batch().size() == 0);
}
