// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/idx.hpp"

#include <doctest/doctest.h>

#include <random>
#include <span>
#include <string>
#include <vector>

#include "dtask/base/read_file.hpp"
#include "program.hpp"

namespace {
std::string idx(std::vector<unsigned> shape, const std::string& data) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const unsigned n : shape)
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
  return out + data;
}
std::string gzip(const std::string& text) {
  z_stream s{};
  deflateInit2(&s, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&s, text.size()), '\0');
  std::string in = text;
  s.next_in = reinterpret_cast<Bytef*>(in.data());
  s.avail_in = static_cast<uInt>(in.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data());
  s.avail_out = static_cast<uInt>(out.size());
  deflate(&s, Z_FINISH);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}
dtask::result<dtask::idx_array> read(const std::string& text, std::uint64_t limit = 1 << 20) {
  return dtask::read_idx(dtask::bytes::copy(text), limit);
}
}  // namespace

TEST_CASE("read_idx: plain and gzip give the same array") {
  const std::string file = idx({2, 2, 3}, "abcdefghijkl");
  for (const std::string& text : {file, gzip(file), gzip(file.substr(0, 9)) + gzip(file.substr(9))}) {
    const auto got = read(text);
    REQUIRE(got.has_value());
    CHECK(got->shape == std::vector<std::size_t>{2, 2, 3});
    CHECK(got->count() == 2);
    CHECK(got->data.view() == "abcdefghijkl");
    CHECK(got->element(1).view() == "ghijkl");
  }
}

TEST_CASE("read_idx: a plain file is not copied") {
  const dtask::bytes file = dtask::bytes::copy(idx({3}, "xyz"));
  const auto got = dtask::read_idx(file);
  REQUIRE(got.has_value());
  CHECK(got->data.data() == file.data() + 8);
}

TEST_CASE("read_idx: bad files have a reason") {
  const std::string good = idx({2, 2}, "abcd");
  for (const std::string& text :
       {std::string(), std::string("PK\3\4"), good.substr(0, 6), good.substr(0, good.size() - 1), good + "e",
        idx({}, ""), std::string("\0\0\x0d\1", 4), gzip(good).substr(0, 20),
        gzip(good).substr(0, gzip(good).size() - 3), gzip(good + "e"), gzip(good.substr(0, good.size() - 1)),
        gzip(good) + "junk"}) {
    CAPTURE(text.size());
    const auto got = read(text);
    REQUIRE(!got);
    CHECK(got.error().code() == dtask::errc::bad_data);
  }
}

TEST_CASE("read_idx: the announced size is checked before it is allocated") {
  const auto got = read(idx({0xffffffff, 0xffffffff, 0xffffffff}, ""));
  REQUIRE(!got);
  CHECK(got.error().code() == dtask::errc::too_large);
  CHECK(!read(idx({5}, "abcde"), 4));
  // 2^64 bytes, which look like none.
  const auto round = read(idx({1U << 31, 4, 1U << 31}, ""), std::uint64_t{1} << 33);
  REQUIRE(!round);
  CHECK(round.error().code() == dtask::errc::too_large);
  CHECK(read(idx({5}, "abcde"), 5));
  // A small gzip file that announces a gigabyte.
  const auto bomb = read(gzip(idx({1U << 30}, "")), std::uint64_t{1} << 31);
  REQUIRE(!bomb);
  CHECK(bomb.error().code() == dtask::errc::bad_data);
}

TEST_CASE("read_idx: no elements") {
  const auto got = read(idx({0, 28, 28}, ""));
  REQUIRE(got.has_value());
  CHECK(got->count() == 0);
  CHECK(got->data.empty());
}

TEST_CASE("read_idx: damaged bytes never crash it") {
  const unsigned seed = 77;
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::string plain = idx({4, 8}, std::string(32, 'x')), packed = gzip(plain);
  for (int round = 0; round < 1000; ++round) {
    std::string damaged = round % 2 == 0 ? plain : packed;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto got = read(damaged);
    if (got) CHECK(got->data.size() <= 1 << 20);
  }
}

TEST_CASE("read_idx: Fashion-MNIST") {
  const auto data = dtask_test::data();
  if (!data) return;
  const auto pictures =
      dtask::read_idx(dtask::read_file((*data / "fashion-mnist" / "t10k-images-idx3-ubyte.gz").string()));
  REQUIRE(pictures.has_value());
  CHECK(pictures->shape == std::vector<std::size_t>{10000, 28, 28});
  const auto labels =
      dtask::read_idx(dtask::read_file((*data / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").string()));
  REQUIRE(labels.has_value());
  CHECK(labels->count() == 10000);
  CHECK(labels->data[0] == std::byte{9});
}
