// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/data/data_loader.hpp"

DTASK_BEGIN
namespace detail {

/// The loaders that wait in a worker for the next round of their ranks.
template <class Dataset>
class rank_loaders {
 public:
  static constexpr std::size_t limit = 64;

  std::optional<data_loader<Dataset>> take(std::int32_t rank) {
    const std::lock_guard hold(guard_);
    const auto at = waiting_.find(rank);
    if (at == waiting_.end()) return std::nullopt;
    std::optional<data_loader<Dataset>> out(std::move(at->second));
    waiting_.erase(at);
    return out;
  }
  void put(std::int32_t rank, data_loader<Dataset> loader) {
    std::optional<data_loader<Dataset>> gone;  // destroyed without the lock
    const std::lock_guard hold(guard_);
    if (waiting_.size() >= limit && !waiting_.contains(rank)) {
      gone.emplace(std::move(waiting_.begin()->second));
      waiting_.erase(waiting_.begin());
    }
    waiting_.insert_or_assign(rank, std::move(loader));
  }

 private:
  std::mutex guard_;
  std::map<std::int32_t, data_loader<Dataset>> waiting_;
};

/// The trainings of one client that have loaded something in a worker.
struct known_runs {
  std::mutex guard;
  std::set<std::string> names;
};

}  // namespace detail
DTASK_END
