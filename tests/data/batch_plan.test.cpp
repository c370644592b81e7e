// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/batch_plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {
using samples = std::vector<std::uint64_t>;

dtask::batch_plan plan(std::uint64_t n, std::uint64_t batch, std::uint64_t ranks, std::uint64_t rank,
                       dtask::uneven rest) {
  return dtask::batch_plan({.samples = n, .batch = batch, .ranks = ranks, .rank = rank, .seed = 3, .rest = rest});
}
/// What all ranks get from `from` on, step by step.
std::vector<samples> steps_of(std::uint64_t n, std::uint64_t batch, std::uint64_t ranks, dtask::uneven rest,
                              std::uint64_t epoch = 0, std::uint64_t from = 0) {
  std::vector<samples> out;
  const auto first = plan(n, batch, ranks, 0, rest);
  std::uint64_t at = from;
  for (std::uint64_t s = 0; s < first.steps(from); ++s, at = first.after(at)) {
    samples step;
    for (std::uint64_t r = 0; r < ranks; ++r) {
      const auto mine = plan(n, batch, ranks, r, rest).batch_at(epoch, at);
      step.insert(step.end(), mine.begin(), mine.end());
    }
    out.push_back(step);
  }
  CHECK(at == n);
  return out;
}
samples joined(const std::vector<samples>& steps) {
  samples out;
  for (const samples& s : steps) out.insert(out.end(), s.begin(), s.end());
  return out;
}
}  // namespace

TEST_CASE("batch_plan: exact gives every sample once, whatever the ranks") {
  for (const std::uint64_t n : {1U, 2U, 5U, 16U, 37U, 100U})
    for (const std::uint64_t ranks : {1U, 2U, 3U, 4U})
      for (const std::uint64_t batch : {1U, 4U, 64U}) {
        auto all = joined(steps_of(n, batch, ranks, dtask::uneven::exact));
        REQUIRE(all.size() == n);
        std::sort(all.begin(), all.end());
        for (std::uint64_t i = 0; i < n; ++i) REQUIRE(all[i] == i);
        // The last step is shared out: at most one sample between the ranks.
        const std::uint64_t last = (n - 1) / (batch * ranks) * (batch * ranks);
        std::size_t least = batch, most = 0;
        for (std::uint64_t r = 0; r < ranks; ++r) {
          const std::size_t size = plan(n, batch, ranks, r, dtask::uneven::exact).batch_at(0, last).size();
          least = std::min(least, size);
          most = std::max(most, size);
        }
        CHECK(most - least <= 1);
      }
}

TEST_CASE("batch_plan: pad and drop give all ranks equal batches, and say what it costs") {
  for (const std::uint64_t n : {3U, 16U, 37U, 100U})
    for (const std::uint64_t ranks : {1U, 2U, 3U}) {
      const auto padded = plan(n, 4, ranks, ranks - 1, dtask::uneven::pad);
      const auto all = joined(steps_of(n, 4, ranks, dtask::uneven::pad));
      CHECK(all.size() == n + padded.padded());
      CHECK(all.size() == padded.steps() * 4 * ranks);
      CHECK(padded.padded() < 4 * ranks);
      CHECK(padded.dropped() == 0);
      // What comes twice is the beginning of the order.
      for (std::uint64_t i = n; i < all.size(); ++i) REQUIRE(all[i] == all[i - n]);
      if (n < 4 * ranks) continue;
      const auto dropping = plan(n, 4, ranks, 0, dtask::uneven::drop);
      const auto kept = joined(steps_of(n, 4, ranks, dtask::uneven::drop));
      CHECK(kept.size() == n - dropping.dropped());
      CHECK(std::equal(kept.begin(), kept.end(), all.begin()));
      CHECK(dropping.padded() == 0);
    }
}

TEST_CASE("batch_plan: at one size of the step its samples do not depend on the ranks") {
  for (const dtask::uneven rest : {dtask::uneven::pad, dtask::uneven::drop, dtask::uneven::exact}) {
    const auto one = steps_of(101, 12, 1, rest, 5);
    CHECK(one == steps_of(101, 6, 2, rest, 5));
    CHECK(one == steps_of(101, 4, 3, rest, 5));
    CHECK(one == steps_of(101, 3, 4, rest, 5));
  }
}

TEST_CASE("batch_plan: from any position on the rest comes, on any number of ranks") {
  const samples order = joined(steps_of(50, 50, 1, dtask::uneven::exact, 2));
  for (std::uint64_t at = 0; at <= 50; ++at)
    for (const std::uint64_t ranks : {1U, 2U, 3U, 4U}) {
      const samples rest = joined(steps_of(50, 3, ranks, dtask::uneven::exact, 2, at));
      CHECK(rest == samples(order.begin() + static_cast<std::ptrdiff_t>(at), order.end()));
    }
}

TEST_CASE("batch_plan: an epoch is a new order, the same for the same seed; unshuffled it is the dataset's") {
  CHECK(steps_of(50, 5, 2, dtask::uneven::pad, 0) != steps_of(50, 5, 2, dtask::uneven::pad, 1));
  CHECK(steps_of(50, 5, 2, dtask::uneven::pad, 1) == steps_of(50, 5, 2, dtask::uneven::pad, 1));
  const dtask::batch_plan plain({.samples = 5, .batch = 3, .shuffle = false});
  CHECK(plain.batch_at(9, 0) == samples{0, 1, 2});
  CHECK(plain.batch_at(9, 3) == samples{3, 4, 0});
  CHECK(plain.batch_at(9, 5).empty());
}

TEST_CASE("batch_plan: fewer samples than a step holds") {
  CHECK(joined(steps_of(3, 4, 2, dtask::uneven::pad)).size() == 8);
  CHECK(plan(3, 4, 2, 1, dtask::uneven::pad).batch_at(0, 0).size() == 4);
  CHECK(plan(1, 4, 3, 2, dtask::uneven::exact).batch_at(0, 0).empty());
}

TEST_CASE("batch_plan: what cannot be planned is refused with the reason") {
  const auto refused = [](const dtask::batch_plan_options& o) -> std::string {
    try {
      const dtask::batch_plan p(o);
      return "";
    } catch (const dtask::error& e) {
      CHECK(e.code() == dtask::errc::invalid_argument);
      return e.what();
    }
  };
  CHECK(refused({.samples = 0}).find("no samples") != std::string::npos);
  CHECK(refused({.samples = 5, .batch = 0}).find("at least 1") != std::string::npos);
  CHECK(refused({.samples = 5, .ranks = 0}).find("at least 1") != std::string::npos);
  CHECK(refused({.samples = 5, .ranks = 2, .rank = 2}).find("rank 2 of 2") != std::string::npos);
  CHECK(refused({.samples = 5, .batch = std::uint64_t{1} << 40, .ranks = std::uint64_t{1} << 40}).find("2^62") !=
        std::string::npos);
  CHECK(
      refused({.samples = 7, .batch = 4, .ranks = 2, .rest = dtask::uneven::drop}).find("do not fill one step of 8") !=
      std::string::npos);
  CHECK(refused({.samples = 8, .batch = 4, .ranks = 2, .rest = dtask::uneven::drop}).empty());
}
