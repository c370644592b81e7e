// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/number.hpp"
#include "dtask/sim/virtual_scheduler.hpp"

DTASK_BEGIN
namespace sim {

/// A time of the simulation for its readers, in seconds.
inline std::string seconds_text(duration d) { return number_text(static_cast<double>(d.count()) * 1e-9, 6); }

/// What happened in a simulation, in order: a hash over all of it, which must be the same whenever the seed is the
/// same, and on demand one readable line for each event.
class trace {
 public:
  /// `to`: where the lines go; nullptr: nowhere, which is much faster.
  explicit trace(const virtual_scheduler& clock, std::FILE* to = nullptr) noexcept : clock_(clock), to_(to) {}

  bool written() const noexcept { return to_ != nullptr; }
  std::uint64_t hash() const noexcept { return hash_; }
  std::uint64_t events() const noexcept { return events_; }

  /// `who` did `what`, with up to three numbers; `text` is for readers and is not part of the hash.
  void event(std::string_view who, std::string_view what, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0,
             std::string_view text = {}) {
    ++events_;
    mix(static_cast<std::uint64_t>(clock_.now().time_since_epoch().count()));
    for (const std::string_view word : {who, what}) {
      mix(word.size());
      for (std::size_t i = 0; i < word.size() && i < 16; ++i)
        hash_ = (hash_ ^ static_cast<unsigned char>(word[i])) * 0x100000001b3u;
    }
    mix(a);
    mix(b);
    mix(c);
    if (to_ == nullptr) return;
    std::fprintf(to_, "%12s  %-12.*s %-16.*s %llu %llu %llu  %s\n",
                 seconds_text(clock_.now().time_since_epoch()).c_str(), static_cast<int>(who.size()), who.data(),
                 static_cast<int>(what.size()), what.data(), static_cast<unsigned long long>(a),
                 static_cast<unsigned long long>(b), static_cast<unsigned long long>(c), escaped(text).c_str());
  }

 private:
  void mix(std::uint64_t value) noexcept {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 29;
  }
  const virtual_scheduler& clock_;
  std::FILE* to_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
  std::uint64_t events_ = 0;
};

}  // namespace sim
DTASK_END
