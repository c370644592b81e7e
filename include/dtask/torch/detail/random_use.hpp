// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// LibTorch has one generator per process, from which random layers draw. A part seeds it; where several run side by
/// side in one process and one of them draws, what each draws depends on chance, and that has to be said.
///
/// Made at the beginning of a part, on any thread; `disturbed()` at its end.
class random_use {
 public:
  explicit random_use(std::uint64_t seed) {
    const std::lock_guard hold(guard());
    record& r = all();
    note_draws(r);
    r.active.push_back(this);
    beside_ = r.active.size() > 1;
    if (beside_)
      for (random_use* each : r.active) each->beside_ = true;
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    {
      const std::lock_guard inner(generator.mutex());
      generator.set_current_seed(seed);
    }
    r.seeded = locked_state(generator);
  }
  random_use(const random_use&) = delete;
  random_use& operator=(const random_use&) = delete;
  ~random_use() {
    const std::lock_guard hold(guard());
    note_draws(all());
    std::erase(all().active, this);
  }
  /// Calls `make`, which may draw (the first weights of a model), so that no part notices.
  template <class Make>
  static void apart(Make make) {
    const std::lock_guard hold(guard());
    record& r = all();
    note_draws(r);
    for (random_use* each : r.active) each->beside_ = true;
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    const restorer put_back{generator, locked_state(generator)};
    make();
  }
  /// Whether somebody drew while other parts ran beside this one.
  bool disturbed() {
    const std::lock_guard hold(guard());
    note_draws(all());
    return disturbed_;
  }

 private:
  struct restorer {
    at::Generator& generator;
    at::Tensor state;
    ~restorer() {
      const std::lock_guard inner(generator.mutex());
      generator.set_state(state);
    }
  };
  struct record {
    std::vector<random_use*> active;
    at::Tensor seeded;
  };
  static std::mutex& guard() {
    static std::mutex only;
    return only;
  }
  static record& all() {
    static auto* const only = new record;  // never destroyed: LibTorch may be gone by then
    return *only;
  }
  static at::Tensor locked_state(at::Generator& generator) {
    const std::lock_guard hold(generator.mutex());
    return generator.get_state();
  }
  /// What was drawn since somebody seeded it last, was drawn by one of those that are active now.
  static void note_draws(record& r) {
    if (r.active.empty() || !r.seeded.defined()) return;
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    at::Tensor now = locked_state(generator);
    if (now.equal(r.seeded)) return;
    for (random_use* each : r.active) each->disturbed_ = each->disturbed_ || each->beside_;
    r.seeded = std::move(now);
  }

  bool beside_ = false;
  bool disturbed_ = false;
};

}  // namespace detail
DTASK_END
