// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"

DTASK_BEGIN
namespace detail {

/// Letters from any thread to a node's thread, with one wake-up for all that are there when it looks.
template <class Letter>
class mailbox : public std::enable_shared_from_this<mailbox<Letter>> {
 public:
  explicit mailbox(net::executor where) : where_(where) {}

  /// False after `close`: the letter was not taken.
  template <class Reader>
  bool put(Letter letter, const Reader& reader) {
    {
      const std::lock_guard hold(guard_);
      if (closed_) return false;
      letters_.push_back(std::move(letter));
      if (std::exchange(announced_, true)) return true;
      // Under the lock: after `close` nothing is posted any more.
      net::post(where_, [self = this->shared_from_this(), reader] { reader(); });
    }
    return true;
  }
  /// Swaps all letters into `out`, which is cleared first.
  void take(std::vector<Letter>& out) {
    out.clear();
    const std::lock_guard hold(guard_);
    letters_.swap(out);
    announced_ = false;
  }
  /// Takes no more, and gives what had not been taken: none is lost in between.
  std::vector<Letter> close() {
    std::vector<Letter> rest;
    const std::lock_guard hold(guard_);
    closed_ = true;
    rest.swap(letters_);
    return rest;
  }

 private:
  net::executor where_;
  std::mutex guard_;
  std::vector<Letter> letters_;
  bool announced_ = false;
  bool closed_ = false;
};

}  // namespace detail
DTASK_END
