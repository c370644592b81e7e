// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/blob.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

TEST_CASE("blob: one memory, read as text, as a span and as bytes") {
  dtask::blob held{dtask::bytes::from(std::string(40'000, 'b')), 3};
  CHECK(held.version == 3);
  CHECK(held.view().size() == 40'000);
  CHECK(held.span().data() == held.value.data());
  const dtask::bytes shared = held;
  CHECK(shared.data() == held.value.data());
  CHECK(held.view().size() == 40'000);
  const auto* const at = held.value.data();
  const dtask::bytes moved = std::move(held);
  CHECK(moved.data() == at);
  held = {};
  CHECK(held.view().empty());
  CHECK(held.version == 0);
  // Whoever has it keeps it.
  CHECK(shared.view().back() == 'b');
}
