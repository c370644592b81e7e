// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <bit>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// A hierarchical timing wheel (Varghese and Lauck, 1987): seven levels of 64 slots, ticks of 2^20 ns (about 1 ms), arm
/// and cancel in constant time.
///
/// A timer never expires before its time, and at most one tick after the `advance` that covers it. Timers further away
/// than the last level wait in its last slot and are sorted in again. Not thread-safe: the scheduler that owns it
/// locks.
class timer_wheel {
 public:
  static constexpr int tick_bits = 20;
  static constexpr int slot_bits = 6;
  static constexpr int levels = 7;
  static constexpr duration tick{std::int64_t{1} << tick_bits};

  explicit timer_wheel(time_point now) noexcept : now_(floor_tick(now)) {}

  void arm(timer& t, time_point at) noexcept {
    t.at = at;
    insert(t);
    ++size_;
  }
  /// Takes `t` out. False: it is not armed.
  bool cancel(timer& t) noexcept {
    if (t.slot < 0) return false;
    unlink(t);
    --size_;
    return true;
  }
  std::size_t size() const noexcept { return size_; }

  /// Takes out one timer whose time is not after `now`, or nullptr when there is none left. Call until nullptr.
  timer* advance(time_point now) noexcept {
    const std::uint64_t target = floor_tick(now);
    for (;;) {
      if (due_) {
        timer* const t = due_;
        unlink(*t);
        --size_;
        return t;
      }
      if (size_ == 0) {
        if (target > now_) now_ = target;
        return nullptr;
      }
      const std::uint64_t next = next_tick();
      if (next > target) {
        if (target > now_) now_ = target;
        return nullptr;
      }
      now_ = next;
      // What has come into reach moves down a level; what is due moves into the due list.
      for (int level = levels - 1; level >= 0; --level) {
        if (level > 0 && (now_ & ((std::uint64_t{1} << (slot_bits * level)) - 1)) != 0) continue;
        redistribute(level, static_cast<int>((now_ >> (slot_bits * level)) & mask));
      }
    }
  }

  /// When `advance` has to be called next: `never` without timers. May be early for timers that are far away.
  time_point next_expiry() const noexcept {
    if (due_) return time_point(duration(static_cast<std::int64_t>(now_) << tick_bits));
    if (size_ == 0) return never;
    return time_point(duration(static_cast<std::int64_t>(next_tick()) << tick_bits));
  }

 private:
  static constexpr std::uint64_t mask = (1u << slot_bits) - 1;
  static constexpr std::int32_t due_slot = levels << slot_bits;

  static std::uint64_t floor_tick(time_point at) noexcept {
    const auto ns = at.time_since_epoch().count();
    return ns <= 0 ? 0 : static_cast<std::uint64_t>(ns) >> tick_bits;
  }
  static std::uint64_t ceil_tick(time_point at) noexcept {
    const auto ns = at.time_since_epoch().count();
    return ns <= 0 ? 0 : (static_cast<std::uint64_t>(ns) + ((std::uint64_t{1} << tick_bits) - 1)) >> tick_bits;
  }

  void insert(timer& t) noexcept {
    const std::uint64_t when = ceil_tick(t.at);
    if (when <= now_) return link(t, due_, due_slot);
    // The level is that of the highest group of bits in which now and then differ: the slot is reached exactly when the
    // groups above agree.
    const int top = 63 - std::countl_zero(when ^ now_);
    int level = top / slot_bits;
    std::uint64_t place = when;
    if (level >= levels) {
      level = levels - 1;
      place = now_ + (mask << (slot_bits * level));  // the slot that is reached last
    }
    const int slot = static_cast<int>((place >> (slot_bits * level)) & mask);
    link(t, slots_[level][slot], (level << slot_bits) + slot);
    occupied_[level] |= std::uint64_t{1} << slot;
  }
  static void link(timer& t, timer*& head, std::int32_t slot) noexcept {
    t.slot = slot;
    // Circular through `previous` of the head, so that appending keeps the order of arming.
    t.following = nullptr;
    if (!head) {
      t.previous = &t;
      head = &t;
      return;
    }
    t.previous = head->previous;
    head->previous->following = &t;
    head->previous = &t;
  }
  void unlink(timer& t) noexcept {
    timer*& head = t.slot == due_slot ? due_ : slots_[t.slot >> slot_bits][static_cast<std::uint64_t>(t.slot) & mask];
    if (head == &t) {
      head = t.following;
      if (head) head->previous = t.previous;
    } else {
      t.previous->following = t.following;
      (t.following ? t.following : head)->previous = t.previous;
    }
    if (!head && t.slot != due_slot)
      occupied_[t.slot >> slot_bits] &= ~(std::uint64_t{1} << (static_cast<std::uint64_t>(t.slot) & mask));
    t.slot = -1;
    t.previous = t.following = nullptr;
  }
  void redistribute(int level, int slot) noexcept {
    timer* t = slots_[level][slot];
    slots_[level][slot] = nullptr;
    occupied_[level] &= ~(std::uint64_t{1} << slot);
    while (t) {
      timer* const following = t->following;
      insert(*t);
      t = following;
    }
  }
  /// The first tick after now at which a slot has to be emptied. Precondition: a timer is in the slots.
  std::uint64_t next_tick() const noexcept {
    std::uint64_t best = ~std::uint64_t{0};
    for (int level = 0; level < levels; ++level) {
      if (!occupied_[level]) continue;
      const int shift = slot_bits * level;
      const auto here = static_cast<int>((now_ >> shift) & mask);
      // Rotated so that bit 0 is the slot after the one we are in.
      const std::uint64_t ahead = std::rotr(occupied_[level], (here + 1) & static_cast<int>(mask));
      const std::uint64_t distance = static_cast<std::uint64_t>(std::countr_zero(ahead)) + 1;
      const std::uint64_t at = ((now_ >> shift) + distance) << shift;
      if (at < best) best = at;
    }
    return best;
  }

  std::uint64_t now_;
  std::size_t size_ = 0;
  timer* due_ = nullptr;
  std::uint64_t occupied_[levels] = {};
  timer* slots_[levels][std::size_t{1} << slot_bits] = {};
};

}  // namespace detail
DTASK_END
