// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/fingerprint.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace {
std::uint64_t of(const std::string& text) { return dtask::content_fingerprint().add(std::string_view(text)).value(); }
}  // namespace

TEST_CASE("content_fingerprint: every byte counts, at every length") {
  std::set<std::uint64_t> seen;
  std::size_t texts = 0;
  for (std::size_t length = 0; length < 100; ++length) {
    seen.insert(of(std::string(length, 'x')));
    ++texts;
    for (std::size_t i = 0; i < length; ++i, ++texts) {
      std::string other(length, 'x');
      other[i] = 'y';
      seen.insert(of(other));
    }
  }
  CHECK(seen.size() == texts);
}

TEST_CASE("content_fingerprint: order counts; the values are pinned, since checkpoints rely on them") {
  using dtask::content_fingerprint;
  CHECK(content_fingerprint().add(1).add(2).value() != content_fingerprint().add(2).add(1).value());
  CHECK(content_fingerprint().add(std::string_view("ab")).add(std::string_view("c")).value() !=
        content_fingerprint().add(std::string_view("a")).add(std::string_view("bc")).value());
  CHECK(of("the quick brown fox jumps over the lazy dog, twice") == 12139419898009985706U);
}
