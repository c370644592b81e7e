// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/held_payload.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace dtask;
using namespace dtask::control;

TEST_CASE("a payload at rest comes back as it was, and pins no large block for a few bytes") {
  const bytes block = bytes::from(std::string(100000, 'z'));
  for (const std::size_t size : {0u, 1u, 31u, 32u, 4096u, 4097u}) {
    CAPTURE(size);
    held_payload h;
    CHECK(h.empty());
    h.put(payload{block.slice(10, size), {}});
    CHECK(!h.empty());
    CHECK(h.size() == size);
    CHECK(h.get().body.view() == std::string(size, 'z'));
    CHECK((block.owner().use_count() > 1) == (size > held_payload::copied));
    CHECK(h.as_stream()->complete());
    CHECK(h.as_stream()->held.size() == size);
    h.clear();
    CHECK(h.empty());
  }
  held_payload h;
  h.put(payload{bytes::copy("b"), {bytes{}, bytes::copy("blob")}});
  CHECK(h.size() == 5);
  CHECK(h.get().blobs.size() == 2);
  CHECK(!h.is_large(5));
  CHECK(h.is_large(4));
  h.put(std::make_shared<stream>(std::vector<std::uint64_t>{1, 2}));
  CHECK(h.is_large(100));
  CHECK(h.size() == 3);
}
