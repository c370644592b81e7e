// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/tensor_codec.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "dtask/job.hpp"

namespace {
at::Tensor there_and_back(const at::Tensor& t) { return dtask::decode<at::Tensor>(dtask::encode(t)); }
bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && a.strides() == b.strides() && at::equal(a, b);
}
}  // namespace

TEST_CASE("tensor codec: every element type, small and large") {
  for (const at::ScalarType type : {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kHalf,
                                    at::kBFloat16, at::kFloat, at::kDouble})
    for (const std::int64_t n : {1, 7, 50000}) {
      const at::Tensor t = at::arange(n, at::kFloat).remainder(100).to(type);
      CHECK(same(there_and_back(t), t));
    }
}

TEST_CASE("tensor codec: shapes") {
  CHECK(same(there_and_back(at::scalar_tensor(3.5)), at::scalar_tensor(3.5)));
  CHECK(same(there_and_back(at::empty({0, 5})), at::empty({0, 5})));
  CHECK(!there_and_back(at::Tensor()).defined());
  const at::Tensor strided = at::arange(24).reshape({4, 6}).t();
  CHECK(same(there_and_back(strided), strided.contiguous()));
  for (const std::int64_t side : {2, 40}) {
    at::Tensor nhwc =
        at::empty({2, 3, side, side}, at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
    nhwc.copy_(at::arange(nhwc.numel()).reshape(nhwc.sizes()));
    CHECK(same(there_and_back(nhwc), nhwc));
  }
  CHECK(!there_and_back(at::ones(3).requires_grad_(true)).requires_grad());
}

TEST_CASE("tensor codec: large tensors leave and arrive without a copy") {
  const at::Tensor t = at::ones({100, 1000});
  const dtask::payload sent = dtask::encode(t);
  REQUIRE(sent.blobs.size() == 1);
  CHECK(static_cast<const void*>(sent.blobs[0].data()) == t.const_data_ptr());
  const auto got = dtask::decode<at::Tensor>(sent);
  CHECK(got.const_data_ptr() == t.const_data_ptr());
}

TEST_CASE("tensor codec: a received tensor outlives the payload") {
  at::Tensor got;
  {
    const dtask::payload sent = dtask::encode(at::full({300, 300}, 7.0F));
    got = dtask::decode<at::Tensor>(sent);
  }
  CHECK(got.sum().item<float>() == 7.0F * 90000);
}

TEST_CASE("tensor codec: inside an aggregate and a vector") {
  const std::vector<at::Tensor> two{at::ones(3), at::zeros({40, 40, 40})};
  const auto got = dtask::decode<std::vector<at::Tensor>>(dtask::encode(two));
  REQUIRE(got.size() == 2);
  CHECK(same(got[0], two[0]));
  CHECK(same(got[1], two[1]));
}

TEST_CASE("tensor codec: what does not travel is refused by the sender") {
  CHECK_THROWS_AS(dtask::encode(at::ones(3, at::kComplexFloat)), dtask::error);
  CHECK_THROWS_AS(dtask::encode(at::eye(3).to_sparse()), dtask::error);
  CHECK_THROWS_AS(dtask::encode(at::empty({2}, at::TensorOptions(at::kFloat).device(at::kMeta))), dtask::error);
}

TEST_CASE("tensor codec: an empty tensor with endless other extents is refused") {
  for (const bool channels_last : {false, true}) {
    dtask::payload damaged = dtask::encode(at::empty({0, 2, 2, 2}));
    std::string text(damaged.body.view());
    text[1] = static_cast<char>(channels_last);
    for (const std::size_t extent : {1U, 2U, 3U}) text[3 + 8 * extent + 6] = 1;  // 2^48 and 2
    damaged.body = dtask::bytes::copy(text);
    CHECK_THROWS_AS(dtask::decode<at::Tensor>(damaged), dtask::error);
  }
}

TEST_CASE("tensor codec: damaged bytes never crash it") {
  const dtask::payload good = dtask::encode(at::ones({2, 3}));
  for (std::size_t n = 0; n < good.body.size(); ++n) {
    dtask::payload cut = good;
    cut.body = good.body.slice(0, n);
    CHECK_THROWS_AS(dtask::decode<at::Tensor>(cut), dtask::error);
  }
  for (std::size_t at = 0; at < 3 + 2 * 8; ++at)
    for (const int value : {0, 1, 127, 255}) {
      std::string text(good.body.view());
      text[at] = static_cast<char>(value);
      dtask::payload damaged = good;
      damaged.body = dtask::bytes::copy(text);
      try {
        const auto got = dtask::decode<at::Tensor>(damaged);
        if (got.defined()) CHECK(got.nbytes() <= 64);
      } catch (const dtask::error&) {
      }
    }
}
