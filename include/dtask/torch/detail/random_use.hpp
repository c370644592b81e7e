// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// LibTorch has one generator per process, and one for each device, from which random layers draw. A part seeds that of
/// the CPU and that of its device; where several run side by side in one process and one of them draws, what each draws
/// depends on chance, and that has to be said.
///
/// Made at the beginning of a part, on any thread; `disturbed()` at its end.
class random_use {
 public:
  explicit random_use(std::uint64_t seed, c10::Device device = c10::Device(c10::DeviceType::CPU)) {
    const std::lock_guard hold(guard());
    record& r = all();
    note_draws(r);
    r.active.push_back(this);
    beside_ = r.active.size() > 1;
    if (beside_)
      for (random_use* each : r.active) each->beside_ = true;
    reseed(r, at::detail::getDefaultCPUGenerator(), seed);
    if (!device.is_cpu()) reseed(r, at::globalContext().defaultGenerator(device), seed);
  }
  random_use(const random_use&) = delete;
  random_use& operator=(const random_use&) = delete;
  ~random_use() {
    const std::lock_guard hold(guard());
    note_draws(all());
    std::erase(all().active, this);
  }
  /// Seeds the generator of the CPU. `at::manual_seed` asks for devices too, and LibTorch then remembers that there are
  /// none, if a worker in this process has not looked for its own yet (dtask::cuda::devices).
  static void seed_cpu(std::uint64_t seed) {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    const std::lock_guard inner(generator.mutex());
    generator.set_current_seed(seed);
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
  struct seeded {
    at::Generator generator;
    at::Tensor state;
  };
  struct record {
    std::vector<random_use*> active;
    std::vector<seeded> generators;
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
  static void reseed(record& r, at::Generator generator, std::uint64_t seed) {
    {
      const std::lock_guard inner(generator.mutex());
      generator.set_current_seed(seed);
    }
    at::Tensor state = locked_state(generator);
    for (seeded& each : r.generators)
      if (each.generator == generator) {
        each.state = std::move(state);
        return;
      }
    r.generators.push_back({std::move(generator), std::move(state)});
  }
  /// What was drawn since somebody seeded it last, was drawn by one of those that are active now.
  static void note_draws(record& r) {
    if (r.active.empty()) return;
    for (seeded& each : r.generators) {
      at::Tensor now = locked_state(each.generator);
      if (now.equal(each.state)) continue;
      for (random_use* user : r.active) user->disturbed_ = user->disturbed_ || user->beside_;
      each.state = std::move(now);
    }
  }

  bool beside_ = false;
  bool disturbed_ = false;
};

}  // namespace detail
DTASK_END
