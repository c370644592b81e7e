// SPDX-License-Identifier: BSL-1.0
#pragma once
// While it lives, the system refuses to start a thread.
#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <cstddef>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace dtask_test {

/// Leaves the process room for a few stacks and uses them up, with those that ended threads have left. Not under a
/// sanitizer, which maps memory as it likes.
class no_more_threads {
 public:
  no_more_threads() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    if (pages == 0 || getrlimit(RLIMIT_AS, &before_) != 0) throw std::runtime_error("no limit on memory here");
    threads_.reserve(most);
    rlimit now = before_;
    now.rlim_cur = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + (std::size_t{24} << 20);
    if (setrlimit(RLIMIT_AS, &now) != 0) throw std::runtime_error("the limit on memory cannot be set");
    try {
      while (threads_.size() < most) threads_.emplace_back([this, i = threads_.size()] { wait(i); });
    } catch (const std::system_error&) {
      refused_ = true;
    }
  }
  no_more_threads(const no_more_threads&) = delete;
  no_more_threads& operator=(const no_more_threads&) = delete;
  ~no_more_threads() {
    setrlimit(RLIMIT_AS, &before_);
    {
      const std::lock_guard hold(guard_);
      leave_ = threads_.size();
      changed_.notify_all();
    }
    for (auto& t : threads_) {
      if (t.joinable()) t.join();
    }
  }
  /// Whether it came to that.
  bool refused() const noexcept { return refused_; }
  /// Leaves room for one.
  void but_one() {
    std::size_t last = 0;
    {
      const std::lock_guard hold(guard_);
      last = leave_++;
      changed_.notify_all();
    }
    threads_.at(last).join();
  }

 private:
  static constexpr std::size_t most = 64;
  void wait(std::size_t index) {
    std::unique_lock hold(guard_);
    changed_.wait(hold, [this, index] { return index < leave_; });
  }
  rlimit before_{};
  std::mutex guard_;
  std::condition_variable changed_;
  std::size_t leave_ = 0;
  bool refused_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace dtask_test
