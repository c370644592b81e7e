// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/task/parts/timer_wheel.hpp"

DTASK_BEGIN
namespace control {

/// The place of a record in a timer wheel. One timer per record.
struct timer_node {
  std::uint64_t tick = 0;
  std::uint32_t following = none;
  std::uint32_t previous = none;
  std::int16_t place = -1;
  bool armed() const noexcept { return place != -1; }
};

/// Timers for the records of a slab, in a `timer_wheel` whose links are slots. Resolution one millisecond; a timer
/// never fires early.
template <class T, timer_node T::* Node>
class slab_timers {
 public:
  /// `table` outlives it. `origin`: where its time begins.
  slab_timers(slab<T>& table, time_point origin) noexcept : wheel_(origin, links{&table}, origin) {}

  /// Sets the record's timer, instead of one that was set. `never` disarms. A time that is past is the next tick, so
  /// that `advance` ends.
  void arm(std::uint32_t slot, time_point at) noexcept {
    if (at == never)
      wheel_.disarm(slot);
    else
      wheel_.arm(slot, at, 1);
  }
  void disarm(std::uint32_t slot) noexcept { wheel_.disarm(slot); }

  /// Fires all timers up to `now`: disarms each and calls `fire(slot)`, which may arm and disarm as it likes.
  template <class Fire>
  void advance(time_point now, Fire&& fire) {
    for (std::uint32_t slot = wheel_.advance(now); slot != none; slot = wheel_.advance(now)) fire(slot);
  }
  /// When `advance` has something to do: a timer's time, or earlier. `never` without timers.
  time_point next_time() const noexcept { return wheel_.next_time(); }

 private:
  struct links {
    using name = std::uint32_t;
    using node = timer_node;
    static constexpr name none = control::none;
    static constexpr duration tick = std::chrono::milliseconds(1);
    static constexpr bool oldest_first = false;
    timer_node& operator[](name slot) const noexcept { return (*table)[slot].*Node; }
    slab<T>* table = nullptr;
  };

  detail::timer_wheel<links> wheel_;
};

}  // namespace control
DTASK_END
