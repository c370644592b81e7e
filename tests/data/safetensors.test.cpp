// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/safetensors.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "dtask/base/read_file.hpp"
#include "program.hpp"

namespace {
dtask::bytes file(const std::string& header, const std::string& data, std::uint64_t announced = UINT64_MAX) {
  const std::uint64_t n = announced == UINT64_MAX ? header.size() : announced;
  std::string out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(n >> (8 * i)));
  return dtask::bytes::copy(out + header + data);
}
std::string reason(const dtask::bytes& from) {
  const auto got = dtask::read_safetensors(from);
  if (got) return "accepted";
  CHECK(got.error().code() == dtask::errc::bad_data);
  return got.error().what();
}
bool refused(const std::string& header, const std::string& data, const std::string& because) {
  const std::string why = reason(file(header, data));
  CAPTURE(why);
  const bool found = why.find(because) != std::string::npos;
  CHECK(found);
  return found;
}
}  // namespace

TEST_CASE("safetensors: reads names, shapes, metadata and data without copying") {
  const dtask::bytes from = file(R"({"__metadata__":{"format":"pt","k\u00e9y":"v\n\"\ud83d\ude00"},)"
                                 R"("b":{"dtype":"F32","shape":[2],"data_offsets":[3,11]},)"
                                 R"("a":{"shape":[3,1],"dtype":"U8","data_offsets":[0,3]}} )",
                                 "xyz01234567");
  const auto got = dtask::read_safetensors(from);
  REQUIRE(got.has_value());
  CHECK(got->meta("format") == "pt");
  CHECK(got->meta("k\xc3\xa9y") == "v\n\"\xf0\x9f\x98\x80");
  CHECK(got->meta("none", "otherwise") == "otherwise");
  REQUIRE(got->tensors.size() == 2);
  const dtask::safetensor* a = got->find("a");
  REQUIRE(a != nullptr);
  CHECK(a->shape == std::vector<std::int64_t>{3, 1});
  CHECK(a->data.view() == "xyz");
  CHECK(a->data.data() == from.data() + from.size() - 11);
  CHECK(got->find("b")->dtype == "F32");
  CHECK(got->find("c") == nullptr);
}

TEST_CASE("safetensors: a scalar, an empty tensor, no tensors") {
  const auto scalar = dtask::read_safetensors(file(
      R"({"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"e":{"dtype":"F64","shape":[0,5],"data_offsets":[8,8]}})",
      "12345678"));
  REQUIRE(scalar.has_value());
  CHECK(scalar->find("s")->shape.empty());
  CHECK(scalar->find("e")->data.empty());
  CHECK(dtask::read_safetensors(file("{}", "")).has_value());
}

TEST_CASE("safetensors: what it writes it reads") {
  dtask::safetensors out;
  out.metadata = {{"architecture", "x \"y\"\n"}};
  out.tensors = {{"w", "F16", {2, 2}, dtask::bytes::copy(std::string_view("abcdefgh"))},
                 {"n", "I64", {}, dtask::bytes::copy(std::string_view("12345678"))}};
  const dtask::bytes written = dtask::write_safetensors(out);
  const auto got = dtask::read_safetensors(written);
  REQUIRE(got.has_value());
  CHECK(got->metadata == out.metadata);
  REQUIRE(got->tensors.size() == 2);
  CHECK(got->tensors[0].name == "w");
  CHECK(got->tensors[0].data.view() == "abcdefgh");
  CHECK(got->tensors[1].shape.empty());
  std::size_t header = 0;
  for (std::size_t i = 0; i < 8; ++i) header |= std::to_integer<std::size_t>(written[i]) << (8 * i);
  CHECK(header % 8 == 0);
}

TEST_CASE("safetensors: writing what does not fit together throws") {
  dtask::safetensors wrong;
  wrong.tensors = {{"w", "F32", {3}, dtask::bytes::copy(std::string_view("abcd"))}};
  CHECK_THROWS_AS(dtask::write_safetensors(wrong), dtask::error);
  wrong.tensors = {{"w", "U8", {1}, dtask::bytes::copy(std::string_view("a"))},
                   {"w", "U8", {1}, dtask::bytes::copy(std::string_view("a"))}};
  CHECK_THROWS_AS(dtask::write_safetensors(wrong), dtask::error);
}

TEST_CASE("safetensors: what it would not read it does not write") {
  const auto refused = [](std::string name, std::vector<std::int64_t> shape, std::string_view data) {
    dtask::safetensors out;
    out.tensors = {{std::move(name), "U8", std::move(shape), dtask::bytes::copy(data)}};
    CHECK_THROWS_AS(dtask::write_safetensors(out), dtask::error);
  };
  refused("w", {-1, -1}, "a");
  refused("w", {std::int64_t{1} << 32, std::int64_t{1} << 32}, "");
  refused("w", std::vector<std::int64_t>(17, 1), "a");
  refused("__metadata__", {1}, "a");
  dtask::safetensors large;
  large.metadata["text"] = std::string(std::size_t{17} << 20, 'x');
  CHECK_THROWS_AS(dtask::write_safetensors(large), dtask::error);
}

TEST_CASE("safetensors: bad files have a reason") {
  CHECK(reason(dtask::bytes{}).find("ends before its header") != std::string::npos);
  CHECK(reason(file("{}", "", 3)).find("longer than the file") != std::string::npos);
  CHECK(reason(file("{}", "", UINT64_MAX - 1)).find("longer than the file") != std::string::npos);
  refused("[]", "", "not valid JSON");
  refused("{} x", "", "not valid JSON");
  refused(R"({"a":1})", "", "not valid");
  refused(R"({"a":{"dtype":"F32","shape":[1]}})", "", "not valid");
  refused(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "1234", "not valid");
  refused(R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}})", "1234", "unknown dtype");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234", "disagree");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "1234", "disagree");
  refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "1234", "not valid");
  refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})", "1234", "overflows");
  refused(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", "1",
          "16 dimensions");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "123", "truncated");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "12345", "after the last");
  refused(
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
      "123", "overlap");
  refused(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", "123", "hole");
  refused(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
      "12", "twice");
  refused(R"({"__metadata__":{"a":"1","a":"2"}})", "", "twice");
  refused(R"({"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}})", "1", "not valid");
}

TEST_CASE("safetensors: every cut and every damaged byte is refused or read, never a crash") {
  const std::string whole(file(R"({"__metadata__":{"m":"\u0041"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                               R"("b":{"dtype":"U8","shape":[2,2],"data_offsets":[4,8]}})",
                               "12345678")
                              .view());
  for (std::size_t n = 0; n < whole.size(); ++n)
    CHECK(!dtask::read_safetensors(dtask::bytes::copy(whole.substr(0, n))));
  const unsigned seed = 4711;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto got = dtask::read_safetensors(dtask::bytes::copy(damaged));
    if (!got) continue;
    std::size_t total = 0;
    for (const dtask::safetensor& t : got->tensors) total += t.data.size();
    CHECK(total == 8);
  }
}

TEST_CASE("safetensors: MobileNet V2") {
  const auto data = dtask_test::data();
  if (!data) return;
  const auto got = dtask::read_safetensors(dtask::read_file((*data / "weights" / "mobilenet_v2.safetensors").string()));
  REQUIRE(got.has_value());
  CHECK(got->tensors.size() == 262);
  CHECK(got->meta("padding") == "tf_same");
  REQUIRE(got->find("classifier.1.weight") != nullptr);
  CHECK(got->find("classifier.1.weight")->shape == std::vector<std::int64_t>{1000, 1280});
}
