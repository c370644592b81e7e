// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/thread_share.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <string>
#include <thread>

namespace {

/// Sets the variable, and puts it back.
class local_workers {
 public:
  explicit local_workers(const char* value) {
    if (const char* before = std::getenv(name)) before_ = before, had_ = true;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~local_workers() { had_ ? ::setenv(name, before_.c_str(), 1) : ::unsetenv(name); }
  local_workers(const local_workers&) = delete;
  local_workers& operator=(const local_workers&) = delete;

 private:
  static constexpr const char* name = "DTASK_LOCAL_WORKERS";
  std::string before_;
  bool had_ = false;
};
int cores() { return static_cast<int>(dtask::usable_cores()); }

}  // namespace

TEST_CASE("thread share: cores over workers and slots, at least one") {
  const auto share = [](const char* workers, unsigned slots) {
    const local_workers set(workers);
    return dtask::thread_share(slots);
  };
  CHECK(share(nullptr, 1) == cores());
  CHECK(share("1", 0) == cores());
  CHECK(share("1", 2) == std::max(1, cores() / 2));
  CHECK(share("2", 1) == std::max(1, cores() / 2));
  CHECK(share("2", 3) == std::max(1, cores() / 6));
  CHECK(share("4096", 4096) == 1);
  CHECK(share("4294967295", 4294967295U) == 1);
  for (const char* none : {"", "0", "-3", "two", "2 ", "99999999999999"}) CHECK(share(none, 1) == cores());
}

TEST_CASE("thread share: the first call of a process decides") {
  const int before = at::get_num_threads();
  {
    const local_workers set("4096");
    dtask::share_cores();
  }
  CHECK(at::get_num_threads() == 1);
  dtask::share_cores();
  CHECK(at::get_num_threads() == 1);
  at::set_num_threads(before);
}
