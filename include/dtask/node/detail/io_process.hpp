// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/memory_use.hpp"
#include "dtask/control/action.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/node/detail/process_memory.hpp"
#include "dtask/wire/link.hpp"

DTASK_BEGIN
namespace detail {

/// What a machine lives in where clock, links and memory are real: the `Process` of `control::machine_driver` on one
/// io_context thread.
class io_process {
 public:
  io_process(const io_process&) = delete;
  io_process& operator=(const io_process&) = delete;

 protected:
  using link_pointer = std::unique_ptr<net::link>;

  explicit io_process(net::executor where) : where_(where), timer_(std::in_place, where) {}
  ~io_process() = default;

  static time_point now() noexcept { return std::chrono::time_point_cast<duration>(clock_type::now()); }
  static void begin(net::link& link, wire::link_events& events) { link.start(events); }
  static std::size_t buffered_by(const net::link& link) noexcept { return link.buffered_bytes(); }
  static memory_use measure() { return process_memory::shared().measure(); }
  bool time_to_measure() noexcept {
    const time_point when = now();
    if (when < measure_at_) return false;
    measure_at_ = when + std::chrono::milliseconds(500);
    return true;
  }
  void wake_at(time_point next) {
    if (silent_ || next >= armed_for_) return;  // the one that is set comes first and sets the next
    armed_for_ = next;
    timer_->expires_at(std::chrono::time_point_cast<clock_type::duration>(next));
    net::wait(*timer_, [this, alive = std::weak_ptr<int>(alive_)](const boost::system::error_code& ec) {
      if (ec || alive.expired() || silent_) return;
      armed_for_ = never;
      rang();
    });
  }
  static constexpr bool goes_on(unsigned) noexcept { return true; }
  static constexpr bool over() noexcept { return false; }
  /// Links flush by themselves at the end of the turn.
  static constexpr bool flushes_first() noexcept { return false; }
  static void flush_after_turn(net::link&) noexcept {}
  static void log(const control::note& a) { dtask::log(a.level, a.event, a.text); }

  /// No timer any more. It is given up, since handles keep a node for longer than its thread lives.
  void silence() {
    silent_ = true;
    timer_.reset();
  }
  const net::executor& where() const noexcept { return where_; }

 private:
  virtual void rang() = 0;

  net::executor where_;
  std::optional<net::timer> timer_;
  time_point armed_for_ = never;
  time_point measure_at_{};
  bool silent_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace detail
DTASK_END
