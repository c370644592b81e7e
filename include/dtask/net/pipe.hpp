// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/net/detail/link_core.hpp"
#include "dtask/net/detail/tcp_core.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"

DTASK_BEGIN
namespace net {
namespace detail {

class pipe_core;

/// What both ends of a pipe share: where the other one is, as long as it is open.
struct pipe_state {
  struct end {
    explicit end(executor ex) : where(ex) {}
    executor where;
    std::weak_ptr<pipe_core> core;
    bool open = true;
  };
  pipe_state(executor a, executor b) : ends{end(a), end(b)} {}

  /// Runs `action(core)` on the thread of an end, if that end is open. Posting under the lock keeps its io_context
  /// alive meanwhile: an end is closed before its context goes.
  template <class Action>
  void tell(std::size_t which, Action action) {
    const std::lock_guard hold(guard);
    if (!ends[which].open) return;
    // A weak pointer, so that a handler left in a queue never destroys an end on the wrong thread.
    net::post(ends[which].where, [to = ends[which].core, action = std::move(action)] {
      if (const auto core = to.lock()) action(*core);
    });
  }
  void close(std::size_t which) {
    const std::lock_guard hold(guard);
    ends[which].open = false;
  }

  std::mutex guard;
  std::array<end, 2> ends;
};

/// One end of a pipe inside the process. What it sends is encoded as for a socket; the other end copies the bytes out
/// of its outbox and says when it has.
class pipe_core final : public link_core {
 public:
  pipe_core(std::shared_ptr<pipe_state> state, std::size_t which, wire::side at, const link_options& options)
      : link_core(state->ends[which].where, at, options, "pipe"),
        state_(std::move(state)),
        which_(which),
        grace_(executor_) {}

 private:
  static constexpr std::size_t per_turn = std::size_t{4} << 20;
  using slices = std::vector<wire::outbox::slice>;

  std::size_t other() const noexcept { return 1 - which_; }

  void write() override {
    if (under_way_) return;
    std::array<wire::outbox::slice, 64> some;
    const std::size_t used = outbox_->gather(some, per_turn);
    if (used == 0) return;
    under_way_ = true;
    state_->tell(other(),
                 [from = outbox_, data = slices(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(used))](
                     pipe_core& to) { to.arrive(data); });
  }
  void receive() override {
    if (std::exchange(receiving_, true)) return;
    if (!early_.empty()) arrive(std::exchange(early_, {}));
    if (early_end_ && !ended()) broke(end_of_stream());
  }
  void arrive(const slices& data) {
    if (ended()) return;
    if (!receiving_) {
      early_ = data;  // stays valid: the sender waits for `taken`
      return;
    }
    std::size_t total = 0;
    for (wire::outbox::slice s : data) {
      total += s.size();
      while (!s.empty() && !ended() && !discarding()) s = s.subspan(take(s));
    }
    if (!ended()) state_->tell(other(), [total](pipe_core& to) { to.taken(total); });
  }
  std::size_t take(wire::outbox::slice from) {
    std::size_t copied = 0;
    for (const std::span<std::byte> to : decoder_.room()) {
      const std::size_t n = std::min(to.size(), from.size() - copied);
      if (n != 0) std::memcpy(to.data(), from.data() + copied, n);
      copied += n;
    }
    decoder_.commit(copied);
    deliver();
    return copied;
  }
  void taken(std::size_t count) {
    if (ended()) return;
    under_way_ = false;
    wrote(count);
    pump();
  }
  void other_ended() {
    if (!receiving_)
      early_end_ = true;
    else
      broke(end_of_stream());
  }

  void finish_sending() override {
    // All of it was taken, so nobody has to be waited for.
    net::post(executor_, turn(shared_from_this(), [](void* self, const boost::system::error_code&) {
                auto& core = *static_cast<pipe_core*>(static_cast<link_core*>(self));
                core.broke(error(errc::closed, "closed by this side", core.peer()));
              }));
  }
  void limit_end() override {
    grace_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.close_grace));
    wait(grace_, turn(shared_from_this(), [](void* self, const boost::system::error_code& ec) {
           auto& core = *static_cast<pipe_core*>(static_cast<link_core*>(self));
           if (!ec && !core.ended())
             core.broke(error(errc::closed, "the peer did not take the last messages in time", core.peer()));
         }));
  }
  void shut() noexcept override {
    try {
      grace_.cancel();
      state_->close(which_);
      state_->tell(other(), [](pipe_core& to) { to.other_ended(); });
    } catch (const std::exception& e) {
      log(log_level::error, "pipe_end_unreported", e.what());
    }
  }

  std::shared_ptr<pipe_state> state_;
  std::size_t which_;
  timer grace_;
  slices early_;  // came before `start`
  bool early_end_ = false;
  bool receiving_ = false;
  bool under_way_ = false;
};

}  // namespace detail

/// The two ends of a connection inside the process; the first is the one that says hello.
struct pipe_ends {
  std::unique_ptr<link> connecting;
  std::unique_ptr<link> listening;
};

/// Makes a pipe. Messages go through the real encoding, so what works here works over TCP; large blocks are copied
/// once. Each end lives on its own io_context (which may be the same one) and is used on its thread. An io_context must
/// outlive its end.
inline pipe_ends make_pipe(executor connecting, executor listening, const link_options& options = {}) {
  const std::shared_ptr<detail::pipe_state> state(new detail::pipe_state(connecting, listening));
  const std::shared_ptr<detail::pipe_core> a(new detail::pipe_core(state, 0, wire::side::connecting, options));
  const std::shared_ptr<detail::pipe_core> b(new detail::pipe_core(state, 1, wire::side::listening, options));
  state->ends[0].core = a;
  state->ends[1].core = b;
  return {std::make_unique<detail::owned_link>(a), std::make_unique<detail::owned_link>(b)};
}

}  // namespace net
DTASK_END
