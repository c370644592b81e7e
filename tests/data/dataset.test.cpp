// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/dataset.hpp"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>
#include <vector>

namespace {
struct counted {
  std::uint64_t size() const { return 1; }
  std::uint64_t fingerprint() const { return 1; }
};
struct only_get : counted {
  int get(std::uint64_t, dtask::sample_random) const { return 1; }
};
struct gets : only_get {
  std::string collate(std::vector<int>) const { return {}; }
};
struct reads : counted {
  dtask::task<dtask::result<long>> read(std::uint64_t) const;
  dtask::result<int> decode(long, dtask::sample_random&) const { return 1; }
  dtask::task<std::string> collate(std::vector<int>) const;
};
struct not_decoded : counted {
  int read(std::uint64_t) const { return 1; }
  int collate(std::vector<int>) const { return 1; }
};
struct gathers : counted {
  dtask::task<double> gather(std::span<const std::uint64_t>, dtask::sample_keys) const;
};
struct uncounted {
  double gather(std::span<const std::uint64_t>, dtask::sample_keys) const { return 1; }
};
}  // namespace

static_assert(dtask::dataset<gets> && dtask::dataset<reads> && dtask::dataset<gathers>);
static_assert(!dtask::dataset<only_get> && !dtask::dataset<not_decoded> && !dtask::dataset<uncounted> &&
              !dtask::dataset<int>);
static_assert(std::is_same_v<dtask::batch_of<gets>, std::string> &&
              std::is_same_v<dtask::batch_of<reads>, std::string> && std::is_same_v<dtask::batch_of<gathers>, double>);

TEST_CASE("dataset: what it calls a sample, where it calls it anything") {
  struct named : gets {
    std::string source(std::uint64_t sample) const { return "file " + std::to_string(sample); }
  };
  CHECK(dtask::detail::source_of(named(), 3) == "file 3");
  CHECK(dtask::detail::source_of(gets(), 3).empty());
}
