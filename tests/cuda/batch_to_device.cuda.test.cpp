// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/batch_to_device.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "cuda/cuda_device.hpp"
#include "dtask/cuda/copy_stage.hpp"
#include "dtask/cuda/stream_done.hpp"
#include "dtask/data/data_loader.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/torch/tensor_dataset.hpp"
#include "dtask/torch/torch_task.hpp"
#include "task/manual_scheduler.hpp"

using dtask_test::bounded_on;
using dtask_test::cause_of;

namespace {

using loader_type = dtask::data_loader<dtask::tensor_dataset>;
loader_type numbers(dtask::scheduler& where) {
  const at::Tensor inputs = at::arange(0, 100 * 3 * 8 * 8, at::kFloat).reshape({100, 3, 8, 8});
  return loader_type(dtask::tensor_dataset(inputs, at::arange(0, 100, at::kLong)),
                     {.batch = 8, .seed = 5, .rest = dtask::uneven::exact, .scheduler = &where});
}
/// One epoch over the stage, brought back to the CPU.
dtask::torch_task<std::vector<dtask::batch>> epoch(dtask::scope& s, loader_type loader, c10::Device device) {
  dtask::cuda::copy_stage stage(s, std::move(loader), dtask::cuda::batch_to_device(device, 2));
  std::vector<dtask::batch> out;
  while (auto b = co_await stage.next()) {
    CHECK(b->inputs.device() == device);
    CHECK(b->targets.device() == device);
    b->inputs = b->inputs.cpu();
    b->targets = b->targets.cpu();
    out.push_back(std::move(*b));
  }
  co_return out;
}
dtask::task<std::vector<dtask::batch>> straight(loader_type loader) {
  std::vector<dtask::batch> out;
  while (auto b = co_await loader.next()) out.push_back(std::move(*b));
  co_return out;
}
void check_same(dtask::scheduler& where, c10::Device device) {
  const auto expected = bounded_on(where, straight(numbers(where)));
  auto body = dtask::with_scope(epoch, numbers(where), device);
  const auto got = bounded_on(where, std::move(body));
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].samples == expected[i].samples);
    CHECK(got[i].inputs.equal(expected[i].inputs));
    CHECK(got[i].targets.equal(expected[i].targets));
  }
}

}  // namespace

TEST_CASE("batch to device: for the CPU the batches go through") {
  dtask::work_pool pool(2);
  check_same(pool, c10::Device(c10::DeviceType::CPU));
}

TEST_CASE("batch to device: the same batches on the device") {
  if (!dtask_test::has_device()) return;
  dtask::work_pool pool(2);
  check_same(pool, dtask_test::device());
}

namespace {
dtask::torch_task<bool> odd_ones(c10::Device device) {
  dtask::cuda::batch_to_device to(device, 2, 4096);
  dtask::batch b;
  b.inputs = at::arange(0, 60, at::kFloat).reshape({2, 3, 2, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor inputs = b.inputs;
  auto there = co_await to.start(std::move(b));
  const dtask::batch got = to.hand_over(std::move(there));
  bool same = got.inputs.is_contiguous(at::MemoryFormat::ChannelsLast) && got.inputs.cpu().equal(inputs) &&
              !got.targets.defined();
  dtask::batch transposed;
  transposed.inputs = at::arange(0, 12, at::kInt).reshape({3, 4}).t();
  transposed.targets = at::empty({0}, at::kLong);
  const at::Tensor expected = transposed.inputs;
  auto second = co_await to.start(std::move(transposed));
  const dtask::batch dense = to.hand_over(std::move(second));
  same = same && dense.inputs.cpu().equal(expected) && dense.targets.numel() == 0;
  co_return same;
}
dtask::torch_task<int> too_large(c10::Device device) {
  dtask::cuda::batch_to_device to(device, 2, 4096);
  dtask::batch b;
  b.inputs = at::zeros({4097}, at::kByte);
  auto there = co_await to.start(std::move(b));
  co_return 1;
}
}  // namespace

TEST_CASE("batch to device: formats, parts that are missing, and bounds") {
  if (!dtask_test::has_device()) return;
  dtask::work_pool pool(1);
  CHECK(bounded_on(pool, odd_ones(dtask_test::device())));
  CHECK(cause_of([&] { bounded_on(pool, too_large(dtask_test::device())); }) == dtask::errc::too_large);
}
