// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/safetensors_tensor.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

TEST_CASE("safetensors: tensors survive a file") {
  dtask::safetensors out;
  const at::Tensor half = at::rand({3, 5}).to(at::kHalf), view = at::arange(12).reshape({3, 4}).t(),
                   scalar = at::scalar_tensor(2.5);
  out.tensors = {dtask::to_safetensor("half", half), dtask::to_safetensor("view", view),
                 dtask::to_safetensor("scalar", scalar)};
  const auto got = dtask::read_safetensors(dtask::write_safetensors(out));
  REQUIRE(got.has_value());
  CHECK(at::equal(dtask::to_tensor(*got->find("half")), half));
  CHECK(at::equal(dtask::to_tensor(*got->find("view")), view));
  CHECK(at::equal(dtask::to_tensor(*got->find("scalar")), scalar));
}

TEST_CASE("safetensors: a tensor lies over the file's memory where it is aligned") {
  const dtask::bytes data = dtask::bytes::copy(std::string_view("0123456789abcdef"));
  CHECK(dtask::to_tensor({"a", "F32", {4}, data}).const_data_ptr() == data.data());
  const at::Tensor moved = dtask::to_tensor({"a", "F32", {2}, data.slice(1, 8)});
  CHECK(moved.const_data_ptr() != data.data() + 1);
  CHECK(moved.size(0) == 2);
}

TEST_CASE("safetensors: an element type without kernels is refused") {
  CHECK_THROWS_AS(dtask::to_tensor({"a", "F8_E4M3", {1}, dtask::bytes::copy(std::string_view("x"))}), dtask::error);
  CHECK_THROWS_AS(dtask::to_safetensor("c", at::ones(2, at::kComplexFloat)), dtask::error);
}

TEST_CASE("safetensors: views that negate or conjugate as they are read are stored as they read") {
  const at::Tensor z = at::complex(at::full({1}, 1.0F), at::full({1}, 2.0F));
  for (const at::Tensor& view : {at::imag(z.conj()), at::_neg_view(at::full({1}, 5.0F))}) {
    CHECK(at::equal(dtask::to_tensor(dtask::to_safetensor("v", view)), view.clone()));
    CHECK_THROWS_AS(dtask::tensor_bytes(view), dtask::error);
  }
}

TEST_CASE("safetensors: a shape whose strides do not fit is refused") {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  CHECK_THROWS_AS(dtask::to_tensor({"a", "F32", {0, most, most}, {}}), dtask::error);
}
