// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// Busy time of the stages, in nanoseconds.
struct stage_times {
  std::atomic<std::int64_t> read{0}, decode{0}, collate{0}, gather{0};

  /// Adds the time that it lives to one of them: that of a dataset's function, what the function awaits included.
  class stopwatch {
   public:
    stopwatch(scheduler& where, std::atomic<std::int64_t>& sum) noexcept
        : where_(where), sum_(sum), begin_(where.now()) {}
    ~stopwatch() {
      sum_.fetch_add(std::chrono::duration_cast<std::chrono::nanoseconds>(where_.now() - begin_).count(),
                     std::memory_order_relaxed);
    }
    stopwatch(const stopwatch&) = delete;
    stopwatch& operator=(const stopwatch&) = delete;

   private:
    scheduler& where_;
    std::atomic<std::int64_t>& sum_;
    const time_point begin_;
  };
};

}  // namespace detail
DTASK_END
