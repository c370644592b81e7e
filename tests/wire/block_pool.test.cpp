// SPDX-License-Identifier: BSL-1.0
#include "dtask/wire/block_pool.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <utility>

using dtask::bytes;
using dtask::mutable_bytes;
using dtask::wire::block_pool;

TEST_CASE("a released block is used again by the next that fits its class") {
  block_pool pool;
  const std::byte* first = nullptr;
  {
    mutable_bytes block = pool.take(1u << 20);
    first = block.data();
    CHECK(block.size() == 1u << 20);
    CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
  }
  CHECK(pool.idle_bytes() == 1u << 20);
  mutable_bytes again = pool.take((1u << 20) - 1000);
  CHECK(again.data() == first);
  CHECK(pool.idle_bytes() == 0);
  const mutable_bytes larger = pool.take((1u << 20) + 1);
  CHECK(larger.data() != first);
}

TEST_CASE("take_idle gives a block that is there, and makes none") {
  block_pool pool;
  CHECK(pool.take_idle(1u << 20).first == nullptr);
  CHECK(pool.take_idle(100).first == nullptr);
  CHECK(pool.take_idle(~std::uint64_t{0}).first == nullptr);
  const std::byte* first = nullptr;
  {
    const mutable_bytes block = pool.take(1u << 20);
    first = block.data();
  }
  {
    const auto idle = pool.take_idle((1u << 20) - 5);
    CHECK(idle.second == first);
    CHECK(pool.idle_bytes() == 0);
  }
  CHECK(pool.idle_bytes() == 1u << 20);
}

TEST_CASE("classes waste at most a quarter") {
  block_pool pool;
  for (std::size_t size = block_pool::smallest; size < (std::size_t{64} << 20); size = size * 9 / 8 + 1) {
    {
      const mutable_bytes block = pool.take(size);
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
    const mutable_bytes a = pool.take(1u << 20), b = pool.take(1u << 20), c = pool.take(1u << 20),
                        d = pool.take(1u << 20);
  }
  CHECK(pool.idle_bytes() == 3u << 20);
  pool.set_cap(1u << 20);
  CHECK(pool.idle_bytes() == 1u << 20);
}

TEST_CASE("small blocks are not pooled") {
  block_pool pool;
  {
    const mutable_bytes block = pool.take(100);
  }
  CHECK(pool.idle_bytes() == 0);
  CHECK(pool.take(0).empty());
}

TEST_CASE("a block outlives its pool and may end on another thread") {
  bytes kept;
  {
    block_pool pool;
    mutable_bytes block = pool.take(5u << 20);
    std::memset(block.data(), 7, block.size());
    kept = std::move(block).freeze();
  }
  CHECK(kept[(5u << 20) - 1] == std::byte{7});
  std::thread([last = std::move(kept)]() mutable { last = {}; }).join();
}
