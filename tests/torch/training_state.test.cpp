// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/training_state.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "dtask/job.hpp"

namespace {

dtask::parameter_layout some_layout() {
  return {{{"conv.weight", {4, 3, 50, 50}, 9, true}, {"scale", {}, 10, false}, {"conv.bias", {4}, 9, false}}};
}
dtask::training_state some_state() {
  dtask::training_state s;
  s.parameters.layout = some_layout();
  s.parameters.segments = {at::arange(30004, at::kFloat), at::full({1}, 2.5, at::kDouble)};
  s.parameters.segments[0] = at::arange(30000 + 4, at::kFloat);
  s.buffers = {{{{"seen", {}, 6, false}}}, {at::full({1}, 7, at::kLong)}};
  s.optimizer = {"SGD", {{"momentum_buffer", {1, 0, 0}, {at::ones({30000})}}}, {-1, -1, -1}};
  s.counters = {1, 2, 3, 4};
  s.libtorch = dtask::libtorch_version;
  return s;
}
std::string message(const dtask::parameter_layout& a, const dtask::parameter_layout& b) {
  try {
    dtask::require_same_layout(a, b, "the state of rank 1");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::invalid_argument);
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("training state: it travels, large segments out of band and uncopied") {
  const dtask::training_state s = some_state();
  const dtask::payload sent = dtask::encode(s);
  CHECK(sent.blobs.size() == 2);
  CHECK(sent.body.size() < 2000);
  const auto got = dtask::decode<dtask::training_state>(sent);
  CHECK(got.parameters.layout == s.parameters.layout);
  CHECK(got.parameters.segments[0].const_data_ptr() == s.parameters.segments[0].const_data_ptr());
  CHECK(at::equal(got.parameters.segments[1], s.parameters.segments[1]));
  CHECK(at::equal(got.buffers.segments[0], s.buffers.segments[0]));
  CHECK(got.optimizer.slots[0].present == s.optimizer.slots[0].present);
  CHECK(got.optimizer.steps == s.optimizer.steps);
  CHECK(got.counters == s.counters);
  CHECK(got.libtorch == s.libtorch);
}

TEST_CASE("flat tensors: every tensor lies at a multiple of 64 bytes in the segment of its type") {
  const dtask::training_state s = some_state();
  const auto views = dtask::views_of(s.parameters);
  REQUIRE(views.size() == 3);
  CHECK(views[0].is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(views[0].const_data_ptr() == s.parameters.segments[0].const_data_ptr());
  CHECK(views[0].storage_offset() == 0);
  CHECK(views[1].dim() == 0);
  CHECK(views[1].item<double>() == 2.5);
  CHECK(views[2].storage_offset() == 30000);
  CHECK(views[2].storage_offset() % 16 == 0);
  const dtask::flat_tensors two{{{{"a", {3}, 9, false}, {"b", {2}, 9, false}, {"c", {0, 5}, 9, false}}},
                                {at::arange(32, at::kFloat)}};
  const dtask::flat_tensors right{two.layout, {at::arange(32, at::kFloat)}};
  CHECK_THROWS_AS(dtask::views_of({two.layout, {at::arange(17, at::kFloat)}}), dtask::error);
  const auto placed = dtask::views_of(right);
  CHECK(at::equal(placed[0], at::arange(3, at::kFloat)));
  CHECK(at::equal(placed[1], at::arange(16, 18, at::kFloat)));
  CHECK(placed[2].numel() == 0);
}

TEST_CASE("flat tensors: segments of another number, type or size are refused") {
  dtask::flat_tensors t = some_state().parameters;
  CHECK_NOTHROW(dtask::views_of(t));
  t.segments[1] = at::zeros({1}, at::kFloat);
  CHECK_THROWS_AS(dtask::views_of(t), dtask::error);
  t.segments[1] = at::Tensor();
  CHECK_THROWS_AS(dtask::views_of(t), dtask::error);
  t.segments.pop_back();
  CHECK_THROWS_AS(dtask::views_of(t), dtask::error);
}

TEST_CASE("flat tensors: a layout that no tensor can have is refused") {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const dtask::tensor_entry& e :
       {dtask::tensor_entry{"a", {1}, 0, false}, dtask::tensor_entry{"a", {1}, 77, false},
        dtask::tensor_entry{"a", {-1}, 9, false}, dtask::tensor_entry{"a", {most, 2}, 9, false},
        dtask::tensor_entry{"a", {most / 8}, 9, false}, dtask::tensor_entry{"a", {1, 2}, 9, true},
        dtask::tensor_entry{"a", std::vector<std::int64_t>(33, 1), 9, false}})
    CHECK_THROWS_AS(dtask::views_of({{{e}}, {at::zeros({1})}}), dtask::error);
  const dtask::tensor_entry half{"a", {most / 16}, 2, false};
  CHECK_THROWS_AS(dtask::views_of({{{half, half}}, {at::zeros({1}, at::kByte)}}), dtask::error);
}

TEST_CASE("parameter layout: who differs is named") {
  const dtask::parameter_layout a = some_layout();
  CHECK(message(a, a).empty());
  auto b = a;
  b.entries[2].shape = {5};
  CHECK(message(a, b).find(
            "the state of rank 1 does not fit this model: conv.bias is F32 [4] in the model and F32 [5]") == 0);
  b = a;
  b.entries[1].name = "shift";
  CHECK(message(a, b).find("tensor 1 is scale in the model and shift in the other") != std::string::npos);
  b = a;
  b.entries[1].dtype = 9;
  CHECK(message(a, b).find("scale is F64 [] in the model and F32 []") != std::string::npos);
  b = a;
  b.entries[0].channels_last = false;
  CHECK(message(a, b).find("conv.weight is F32 [4, 3, 50, 50] channels-last") != std::string::npos);
  b = a;
  b.entries.pop_back();
  CHECK(message(a, b).find("conv.bias is missing") != std::string::npos);
  CHECK(message(b, a).find("the model has no conv.bias") != std::string::npos);
}

TEST_CASE("parameter layout: the hash sees names, shapes, types and formats, and is the same everywhere") {
  const dtask::parameter_layout a = some_layout();
  auto b = a;
  CHECK(a.hash() == b.hash());
  b.entries[0].name = "conv.weigh";
  CHECK(a.hash() != b.hash());
  b = a;
  b.entries[2].shape = {2, 2};
  CHECK(a.hash() != b.hash());
  b = a;
  b.entries[2].dtype = 10;
  CHECK(a.hash() != b.hash());
  b = a;
  b.entries[0].channels_last = false;
  CHECK(a.hash() != b.hash());
}

TEST_CASE("training state: another LibTorch is refused") {
  dtask::training_state s = some_state();
  CHECK_NOTHROW(dtask::require_same_libtorch(s));
  s.libtorch = "1.13.1";
  CHECK_THROWS_WITH_AS(dtask::require_same_libtorch(s), doctest::Contains("LibTorch 1.13.1"), dtask::error);
}
