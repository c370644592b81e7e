// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/slab.hpp"

DTASK_BEGIN
namespace control {

/// The place of a record in a timer wheel. One timer per record.
struct timer_node {
  std::uint64_t tick = 0;
  std::uint32_t next = none;
  std::uint32_t prev = none;
  std::uint16_t bucket = 0xffff;  ///< level * 64 + position; 0xffff: not armed
};

/// Timers for the records of a slab: arming and disarming are O(1) and allocate nothing, however many there are.
/// Resolution one millisecond; a timer never fires early.
///
/// A hierarchical wheel of eight levels with 64 buckets (Varghese and Lauck, "Hashed and hierarchical timing wheels",
/// SOSP 1987), with a bit map per level so that empty time costs nothing.
template <class T, timer_node T::* Node>
class timer_wheel {
 public:
  explicit timer_wheel(time_point origin) noexcept : origin_(origin) {
    for (auto& head : heads_) head = none;
  }

  /// Sets the record's timer, instead of one that was set. `never` disarms.
  void arm(slab<T>& table, std::uint32_t slot, time_point at) noexcept {
    disarm(table, slot);
    if (at == never) return;
    std::uint64_t tick = tick_of(at);
    if (tick <= now_) tick = now_ + 1;
    (table[slot].*Node).tick = tick;
    link(table, slot);
  }
  void disarm(slab<T>& table, std::uint32_t slot) noexcept {
    if ((table[slot].*Node).bucket != 0xffff) unlink(table, slot);
  }

  /// Fires all timers up to `now`: disarms each and calls `fire(slot)`, which may arm and disarm as it likes.
  template <class Fire>
  void advance(slab<T>& table, time_point now, Fire&& fire) {
    const std::uint64_t target = now <= origin_ ? 0 : static_cast<std::uint64_t>((now - origin_) / unit);
    for (std::uint64_t at = next(); now_ < target; at = next()) {
      if (at > target) {
        now_ = target;
        return;
      }
      now_ = at;
      for (unsigned level = levels - 1; level > 0; --level)
        if ((now_ & ((std::uint64_t{1} << (6 * level)) - 1)) == 0) cascade(table, level);
      const auto bucket = static_cast<std::uint16_t>(now_ & 63);
      while (heads_[bucket] != none) {
        const std::uint32_t slot = heads_[bucket];
        unlink(table, slot);
        fire(slot);
      }
    }
  }
  /// When `advance` has something to do: a timer's time, or earlier. `never` without timers.
  time_point next_time() const noexcept {
    const std::uint64_t at = next();
    return at == idle ? never : origin_ + static_cast<std::int64_t>(at) * unit;
  }

 private:
  static constexpr unsigned levels = 8;
  static constexpr duration unit = std::chrono::milliseconds(1);
  static constexpr std::uint64_t idle = ~std::uint64_t{0};

  std::uint64_t tick_of(time_point at) const noexcept {
    if (at <= origin_) return 0;
    const auto since = static_cast<std::uint64_t>((at - origin_).count());
    constexpr auto step = static_cast<std::uint64_t>(unit.count());
    return since / step + (since % step != 0 ? 1 : 0);
  }
  void link(slab<T>& table, std::uint32_t slot) noexcept {
    timer_node& node = table[slot].*Node;
    const std::uint64_t differs = node.tick ^ now_;
    const unsigned level = differs == 0 ? 0 : (63U - static_cast<unsigned>(std::countl_zero(differs))) / 6;
    const unsigned position = static_cast<unsigned>(node.tick >> (6 * level)) & 63;
    node.bucket = static_cast<std::uint16_t>(level * 64 + position);
    node.prev = none;
    node.next = heads_[node.bucket];
    if (node.next != none) (table[node.next].*Node).prev = slot;
    heads_[node.bucket] = slot;
    maps_[level] |= std::uint64_t{1} << position;
  }
  void unlink(slab<T>& table, std::uint32_t slot) noexcept {
    timer_node& node = table[slot].*Node;
    if (node.next != none) (table[node.next].*Node).prev = node.prev;
    if (node.prev != none)
      (table[node.prev].*Node).next = node.next;
    else
      heads_[node.bucket] = node.next;
    if (heads_[node.bucket] == none) maps_[node.bucket / 64] &= ~(std::uint64_t{1} << (node.bucket % 64));
    node.bucket = 0xffff;
    node.next = node.prev = none;
  }
  void cascade(slab<T>& table, unsigned level) noexcept {
    const unsigned position = static_cast<unsigned>(now_ >> (6 * level)) & 63;
    std::uint32_t slot = heads_[level * 64 + position];
    heads_[level * 64 + position] = none;
    maps_[level] &= ~(std::uint64_t{1} << position);
    while (slot != none) {
      const std::uint32_t following = (table[slot].*Node).next;
      link(table, slot);
      slot = following;
    }
  }
  /// The next tick at which a bucket has to be looked at.
  std::uint64_t next() const noexcept {
    for (unsigned level = 0; level < levels; ++level) {
      const unsigned position = static_cast<unsigned>(now_ >> (6 * level)) & 63;
      const std::uint64_t later = position == 63 ? 0 : maps_[level] & (~std::uint64_t{0} << (position + 1));
      // A lower level's buckets all come before a higher level's: those lie in the same bucket of the higher level as
      // `now_`.
      if (later != 0) {
        const auto found = static_cast<std::uint64_t>(std::countr_zero(later));
        const std::uint64_t above = now_ >> (6 * level + 6) << (6 * level + 6);
        return above | found << (6 * level);
      }
    }
    return idle;
  }

  time_point origin_;
  std::uint64_t now_ = 0;
  std::array<std::uint32_t, levels * 64> heads_{};
  std::array<std::uint64_t, levels> maps_{};
};

}  // namespace control
DTASK_END
