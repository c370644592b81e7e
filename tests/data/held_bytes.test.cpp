// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/held_bytes.hpp"

#include <doctest/doctest.h>

#include "dtask/data/picture_batch.hpp"

namespace {
template <class T>
std::uint64_t of(const T& value) {
  return dtask::held_bytes<T>::of(value);
}
}  // namespace

TEST_CASE("held_bytes: what values hold counts, in whatever they lie") {
  CHECK(of(7) == sizeof(int));
  CHECK(of(dtask::bytes::copy("12345")) == sizeof(dtask::bytes) + 5);
  CHECK(of(std::string(1000, 'x')) == sizeof(std::string) + 1000);
  CHECK(of(dtask::picture{2, 2, std::vector<std::uint8_t>(12)}) == sizeof(dtask::picture) + 12);
  CHECK(of(std::vector<float>(10)) == sizeof(std::vector<float>) + 40);
  CHECK(of(std::vector<std::string>(2, std::string(100, 'y'))) >= 200);
  CHECK(of(std::pair(std::string(500, 'a'), 1)) >= 504);
  CHECK(of(std::optional<std::string>(std::string(500, 'a'))) >= 500);
  CHECK(of(std::optional<std::string>()) == sizeof(std::optional<std::string>));
  dtask::picture_batch batch;
  batch.inputs = dtask::bytes::copy(std::string(3000, 'p'));
  CHECK(of(batch) >= 3000);
}
