// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// A hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987): eight levels
/// of 64 buckets, which is further than time goes, with a bit map per level, so that empty time costs nothing. Arming
/// and disarming take constant time and allocate nothing.
///
/// A timer never fires before its time, and at most one tick after it. Not thread-safe: whoever owns it locks.
///
/// `Links` says where a record's links lie, how a link is followed, and what else its owner may choose:
///
///     using name;                      // what a link holds: a pointer, a slot of a table
///     static constexpr name none;      // the link to nothing
///     static constexpr duration tick;  // the resolution
///     static constexpr bool oldest_first;  // of one bucket: in the order of arming, or against it
///     using node;                      // has `tick`, `following`, `previous` and `place`, which is -1 at first
///     node& operator[](name) const;
template <class Links>
class timer_wheel {
 public:
  using name = typename Links::name;
  static constexpr duration tick = Links::tick;

  /// `origin`: from where ticks are counted.
  explicit timer_wheel(time_point now, Links links = {}, time_point origin = {}) noexcept
      : origin_(origin), links_(links), now_(floor_tick(now)) {
    for (name& head : heads_) head = Links::none;
  }

  /// Sets its timer, instead of one that was set. It fires `soonest` ticks after now or later: 0 lets what is armed for
  /// the past fire at once, 1 lets a loop of `advance` end whatever is armed in it.
  void arm(name which, time_point at, unsigned soonest = 0) noexcept {
    auto& own = links_[which];
    if (own.place != unarmed) unlink(which, own);
    const std::uint64_t when = ceil_tick(at), first = now_ + soonest;
    own.tick = when > first ? when : first;
    link(which, own);
  }
  /// Takes it out. False: it is not armed.
  bool disarm(name which) noexcept {
    auto& own = links_[which];
    if (own.place == unarmed) return false;
    unlink(which, own);
    return true;
  }
  /// Whether nothing is armed.
  bool empty() const noexcept { return heads_[now_ & mask] == Links::none && next_tick() == nowhere; }

  /// Takes out one whose time is not after `now`, or returns `none` when there is none left. Call until `none`.
  name advance(time_point now) noexcept {
    for (;;) {
      const name due = heads_[now_ & mask];
      if (due != Links::none) {
        unlink(due, links_[due]);
        return due;
      }
      const std::uint64_t target = floor_tick(now);
      const std::uint64_t next = next_tick();
      if (next > target) {
        if (target > now_) now_ = target;
        return Links::none;
      }
      now_ = next;
      // What has come into reach moves down: from each level of which a bucket begins now.
      for (int level = std::countr_zero(now_) / bits; level > 0; --level) cascade(level);
    }
  }

  /// When `advance` has to be called next: a timer's time, or earlier. `never` without timers.
  time_point next_time() const noexcept {
    const std::uint64_t next = heads_[now_ & mask] != Links::none ? now_ : next_tick();
    if (next >= static_cast<std::uint64_t>((never - origin_) / tick)) return never;
    return origin_ + static_cast<std::int64_t>(next) * tick;
  }

 private:
  using node = typename Links::node;
  static constexpr int bits = 6;
  static constexpr int levels = 8;
  static constexpr std::uint64_t mask = (1U << bits) - 1;
  static constexpr int unarmed = -1;
  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
  static_assert(tick >= duration(1 << 16), "eight levels reach as far as time goes");

  std::uint64_t floor_tick(time_point at) const noexcept {
    return at <= origin_ ? 0 : static_cast<std::uint64_t>((at - origin_) / tick);
  }
  std::uint64_t ceil_tick(time_point at) const noexcept {
    if (at <= origin_) return 0;
    const auto since = static_cast<std::uint64_t>((at - origin_).count());
    constexpr auto unit = static_cast<std::uint64_t>(tick.count());
    return since / unit + (since % unit != 0 ? 1 : 0);
  }

  void link(name which, node& own) noexcept {
    // The level is that of the highest group of bits in which its tick and now differ: the bucket is reached exactly
    // when the groups above agree. What is due lies in the bucket that now is in.
    const std::uint64_t differs = own.tick ^ now_;
    const unsigned level = differs == 0 ? 0 : (63U - static_cast<unsigned>(std::countl_zero(differs))) / bits;
    const auto position = static_cast<unsigned>((own.tick >> (bits * level)) & mask);
    const unsigned bucket = (level << bits) + position;
    own.place = static_cast<decltype(own.place)>(bucket);
    maps_[level] |= std::uint64_t{1} << position;
    name& head = heads_[bucket];
    if constexpr (!Links::oldest_first) {
      own.following = head;
      if (head != Links::none) links_[head].previous = which;
      head = which;
    } else {  // the first one's `previous` is the last
      own.following = Links::none;
      if (head == Links::none) {
        own.previous = head = which;
        return;
      }
      auto& first = links_[head];
      own.previous = first.previous;
      links_[own.previous].following = which;
      first.previous = which;
    }
  }
  void unlink(name which, node& own) noexcept {
    const auto bucket = static_cast<unsigned>(own.place);
    const name following = own.following, previous = own.previous;
    name& head = heads_[bucket];
    if (following != Links::none) links_[following].previous = previous;
    if (head != which) {
      links_[previous].following = following;
      if constexpr (Links::oldest_first)
        if (following == Links::none) links_[head].previous = previous;
    } else {
      head = following;
      if (following == Links::none) maps_[bucket >> bits] &= ~(std::uint64_t{1} << (bucket & mask));
    }
    own.place = unarmed;
  }
  void cascade(int level) noexcept {
    const auto position = static_cast<int>((now_ >> (bits * level)) & mask);
    name which = heads_[(level << bits) + position];
    heads_[(level << bits) + position] = Links::none;
    maps_[level] &= ~(std::uint64_t{1} << position);
    while (which != Links::none) {
      auto& own = links_[which];
      const name following = own.following;
      link(which, own);
      which = following;
    }
  }
  /// The first tick after now at which a bucket has to be emptied; the greatest number where there is none.
  std::uint64_t next_tick() const noexcept {
    for (int level = 0; level < levels; ++level) {
      const int shift = bits * level;
      const std::uint64_t later = maps_[level] & (~std::uint64_t{1} << ((now_ >> shift) & mask));
      // A lower level's buckets all come before a higher level's: they lie in the bucket of the higher level that now
      // is in.
      if (later != 0) return ((now_ >> shift & ~mask) | static_cast<std::uint64_t>(std::countr_zero(later))) << shift;
    }
    return nowhere;
  }

  time_point origin_;
  [[no_unique_address]] Links links_;
  std::uint64_t now_;  ///< in ticks since the origin
  std::uint64_t maps_[levels] = {};
  name heads_[levels << bits];
};

/// The timers of a scheduler: what is due at once fires in the order in which it was armed.
struct timer_links {
  using name = timer*;
  using node = timer;
  static constexpr name none = nullptr;
  static constexpr duration tick{1 << 20};  ///< about 1 ms, and a division is a shift
  static constexpr bool oldest_first = true;
  timer& operator[](name t) const noexcept { return *t; }
};

}  // namespace detail
DTASK_END
