// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/page_memory.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <new>

TEST_CASE("pages of any size are whole, aligned and their own") {
  for (const std::size_t size : {dtask::pages_from, dtask::pages_from + 1, (std::size_t{4} << 20) - 1,
                                 std::size_t{4} << 20, (std::size_t{5} << 20) + 12345, std::size_t{64} << 20}) {
    CAPTURE(size);
    void* const first = dtask::take_pages(size);
    void* const second = dtask::take_pages(size);
    const std::uintptr_t alignment = size >= std::size_t{4} << 20 ? dtask::huge_page : 64;
    CHECK(reinterpret_cast<std::uintptr_t>(first) % alignment == 0);
    std::memset(first, 1, size);
    std::memset(second, 2, size);
    CHECK(static_cast<unsigned char*>(first)[0] == 1);
    CHECK(static_cast<unsigned char*>(first)[size - 1] == 1);
    dtask::give_back_pages(first, size);
    CHECK(static_cast<unsigned char*>(second)[size - 1] == 2);
    dtask::give_back_pages(second, size);
  }
}

#if DTASK_PAGES_FROM_SYSTEM
TEST_CASE("more than there can be is bad_alloc") {
  CHECK_THROWS_AS(dtask::take_pages(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  CHECK_THROWS_AS(dtask::take_pages(std::size_t{1} << 62), std::bad_alloc);
}
#endif
