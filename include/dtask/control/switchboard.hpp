// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/peer_table.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// What the coordinator's deciders have done: messages for its peers, links that end and lines for the log, in the
/// order in which they were decided.
class switchboard {
 public:
  /// `peers` has to outlive it.
  explicit switchboard(peer_table& peers) noexcept : peers_(peers) {}

  /// Nothing is sent to a peer that was told to end.
  void send(peer& to, wire::message&& what);
  void say(log_level level, std::string_view event, std::string text);
  /// Ends the link, with what was sent before or `at_once`, and logs why. What the peer stood for is its caller's to
  /// let go; the driver's `closed` then only removes the record.
  void close(peer& p, const error& why, bool at_once);
  /// The last message of a link, and its end.
  void refuse(peer& p, errc code, std::string text);
  /// An action of the coordinator as a whole, or of the driver.
  void act(coordinator_action&& what) { actions_.push_back(std::move(what)); }

  /// Swaps what was decided into `out`, which is cleared first; its memory is used again.
  void take(std::vector<coordinator_action>& out) noexcept {
    out.clear();
    out.swap(actions_);
  }

 private:
  peer_table& peers_;
  std::vector<coordinator_action> actions_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/switchboard.ipp"
#endif
