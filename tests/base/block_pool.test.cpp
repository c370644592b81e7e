// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/block_pool.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"

using dtask::block_pool;
using dtask::bytes;
using dtask::mutable_bytes;

TEST_CASE("a released block is used again by the next that fits its class") {
  block_pool pool;
  const std::byte* first = nullptr;
  {
    mutable_bytes block(1u << 20, pool);
    first = block.data();
    CHECK(block.size() == 1u << 20);
    CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
  }
  CHECK(pool.idle_bytes() == 1u << 20);
  mutable_bytes again((1u << 20) - 1000, pool);
  CHECK(again.data() == first);
  CHECK(pool.idle_bytes() == 0);
  const mutable_bytes larger((1u << 20) + 1, pool);
  CHECK(larger.data() != first);
}

TEST_CASE("take_idle gives a block that is there, and makes none") {
  block_pool pool;
  CHECK(pool.take_idle(1u << 20) == nullptr);
  CHECK(pool.take_idle(100) == nullptr);
  CHECK(pool.take_idle(~std::uint64_t{0}) == nullptr);
  const std::byte* first = nullptr;
  {
    const mutable_bytes block(1u << 20, pool);
    first = block.data();
  }
  {
    const auto idle = pool.take_idle((1u << 20) - 5);
    CHECK(idle.get() == first);
    CHECK(pool.idle_bytes() == 0);
  }
  CHECK(pool.idle_bytes() == 1u << 20);
}

TEST_CASE("classes waste at most a quarter") {
  block_pool pool;
  for (std::size_t size = block_pool::smallest; size < (std::size_t{64} << 20); size = size * 9 / 8 + 1) {
    {
      const mutable_bytes block(size, pool);
    }
    const std::size_t real = pool.idle_bytes();
    CHECK(real >= size);
    CHECK(real <= size + size / 4 + 4096);
    pool.set_cap(0);
    pool.set_cap(block_pool::default_cap);
  }
}

TEST_CASE("idle blocks stay under the cap") {
  block_pool pool(3u << 20);
  {
    const mutable_bytes a(1u << 20, pool), b(1u << 20, pool), c(1u << 20, pool), d(1u << 20, pool);
  }
  CHECK(pool.idle_bytes() == 3u << 20);
  pool.set_cap(1u << 20);
  CHECK(pool.idle_bytes() == 1u << 20);
}

TEST_CASE("every pooled block is counted, and the largest too") {
  block_pool pool;
  {
    const mutable_bytes a(100u << 10, pool), b(5u << 20, pool), c(block_pool::largest + 1, pool), small(100, pool);
    CHECK(pool.lent_bytes() == (112u << 10) + (5u << 20) + block_pool::largest + 1);
    CHECK(pool.idle_bytes() == 0);
  }
  CHECK(pool.lent_bytes() == 0);
  CHECK(pool.idle_bytes() == (112u << 10) + (5u << 20));
  {
    const auto idle = pool.take_idle(5u << 20);
    CHECK(pool.lent_bytes() == 5u << 20);
  }
  CHECK(pool.lent_bytes() == 0);
}

TEST_CASE("what idles through a whole period goes back to the system") {
  block_pool pool;
  {
    const mutable_bytes early(1u << 20, pool), early_too(20u << 10, pool);
  }
  pool.age();
  CHECK(pool.idle_bytes() == (1u << 20) + (20u << 10));  // not a whole period yet
  {
    const mutable_bytes again(20u << 10, pool), late(3u << 20, pool);
  }
  pool.age();
  CHECK(pool.idle_bytes() == (3u << 20) + (20u << 10));
  pool.age();
  CHECK(pool.idle_bytes() == 0);
  {
    std::vector<mutable_bytes> many;
    for (int i = 0; i < 100; ++i) many.push_back(mutable_bytes(300u << 10, pool));
  }
  CHECK(pool.idle_bytes() != 0);
  pool.release_idle();
  CHECK(pool.idle_bytes() == 0);
  CHECK(pool.lent_bytes() == 0);
}

TEST_CASE("small blocks are not pooled") {
  block_pool pool;
  {
    const mutable_bytes block(100, pool);
  }
  CHECK(pool.idle_bytes() == 0);
  CHECK(mutable_bytes(0, pool).empty());
  CHECK(pool.take(0) != nullptr);
}

TEST_CASE("a block outlives its pool and may end on another thread") {
  bytes kept;
  {
    block_pool pool;
    mutable_bytes block(5u << 20, pool);
    std::memset(block.data(), 7, block.size());
    kept = std::move(block).freeze();
  }
  CHECK(kept[(5u << 20) - 1] == std::byte{7});
  std::thread([last = std::move(kept)]() mutable { last = {}; }).join();
}
