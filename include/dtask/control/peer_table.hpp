// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/broadcast_cache.hpp"
#include "dtask/control/send_queue.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/stream.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

/// What a connection of the coordinator is to it: `closing` was told to end, and means nothing any more.
enum class peer_role : std::uint8_t { stranger, client, worker, observer, closing };

enum class payload_of : std::uint8_t { arguments, result, broadcast };

/// An announced payload on its way in.
struct incoming {
  std::uint64_t transfer = 0;
  payload_of what = payload_of::arguments;
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
  cached_value value;  ///< broadcast
  std::shared_ptr<stream> from;
};

/// The coordinator's record of a connection.
struct peer {
  link_id link = 0;
  std::string address;
  bool trusted = false;
  bool dirty = false;  ///< written by the table only, as the role and `sent_in` are
  peer_role role = peer_role::stranger;
  std::uint32_t index = none;  ///< of its session or worker
  time_point opened{};
  time_point heard{};
  send_queue out;
  wire::row<incoming> in;
  std::vector<std::uint64_t> acks;
  bool acks_due = false;      ///< they do not wait for something to ride along with
  std::uint64_t sent_in = 0;  ///< the turn in which something was sent last
};

/// The coordinator's connections with their send windows: who is a stranger, and who has something to send at the end
/// of the turn.
///
/// Invariants, which `check` looks for: strangers are counted; a peer that is marked as dirty is in the list of those;
/// a client and a worker have an index, nobody else needs one. Records do not move while they are in the table.
class peer_table {
 public:
  /// A new connection, a stranger. The link must not be in use.
  peer& insert(link_id link, std::string address, bool trusted, time_point now);
  /// The connection, or nullptr. 0 finds nothing.
  peer* find(link_id link) noexcept;
  const peer* find(link_id link) const noexcept;
  /// Takes the record out, or returns nullptr.
  std::unique_ptr<peer> take(link_id link);
  /// `index`: the slot of its session or worker.
  void set_role(peer& p, peer_role role, std::uint32_t index) noexcept;

  /// The peer is looked at once more before the turn ends.
  void touch(peer& p);
  /// A message is sent to it in this turn: what waits to ride along does so.
  void sent(peer& p);
  bool sent_in_turn(const peer& p) const noexcept { return p.sent_in == turn_; }
  /// Calls `flush(peer)` for each peer that was touched, those that are touched meanwhile among them; the next turn
  /// begins.
  template <class Flush>
  void end_turn(Flush&& flush) {
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
      peer* const p = find(dirty_[i]);
      if (p == nullptr) continue;
      p->dirty = false;
      flush(*p);
    }
    dirty_.clear();
    ++turn_;
  }

  std::size_t size() const noexcept { return peers_.size(); }
  std::uint32_t strangers() const noexcept { return strangers_; }
  auto begin() noexcept { return peers_.begin(); }
  auto end() noexcept { return peers_.end(); }
  auto begin() const noexcept { return peers_.begin(); }
  auto end() const noexcept { return peers_.end(); }
  /// Bytes of the broadcasts on their way in.
  std::uint64_t arriving_broadcasts() const noexcept;

  /// The first violation in words, or an empty string. O(peers).
  std::string check() const;

 private:
  std::unordered_map<link_id, std::unique_ptr<peer>> peers_;
  peer* last_ = nullptr;  ///< found last: messages of a link come in runs
  std::vector<link_id> dirty_;
  std::uint32_t strangers_ = 0;
  std::uint64_t turn_ = 1;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/peer_table.ipp"
#endif
