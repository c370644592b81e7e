// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Thrown by a dataset for one sample that cannot be used, as a damaged picture: a loader counts and names it, and
/// leaves it out up to a limit. Any other exception ends the loading. Code: `bad_data`.
class bad_sample : public error {
 public:
  /// Where the loader knows which sample it asked for.
  explicit bad_sample(std::string cause, std::string place = {}, std::string remedy = {})
      : error(errc::bad_data, std::move(cause), std::move(place), std::move(remedy)) {}
  /// From a `gather` of many: the loader gathers again without `sample`.
  bad_sample(std::uint64_t sample, std::string cause, std::string place = {}, std::string remedy = {})
      : error(errc::bad_data, std::move(cause), std::move(place), std::move(remedy)), sample_(sample) {}

  /// The sample that was named; nothing where the loader knows which one it asked for.
  const std::optional<std::uint64_t>& sample() const noexcept { return sample_; }

 private:
  std::optional<std::uint64_t> sample_;
};

DTASK_END
