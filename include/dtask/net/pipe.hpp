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
  void close(std::size_t which);

  std::mutex guard;
  std::array<end, 2> ends;
};

/// One end of a pipe inside the process. What it sends is encoded as for a socket; the other end copies the bytes out
/// of its outbox and says when it has.
class pipe_core final : public link_core {
 public:
  pipe_core(std::shared_ptr<pipe_state> state, std::size_t which, wire::side at, const link_options& options);

 private:
  static constexpr std::size_t per_turn = std::size_t{4} << 20;
  using slices = std::vector<wire::outbox::slice>;

  std::size_t other() const noexcept { return 1 - which_; }

  void write() override;
  void receive() override;
  void arrive(const slices& data);
  std::size_t take(wire::outbox::slice from);
  void taken(std::size_t count);
  void other_ended();

  void finish_sending() override;
  void limit_end() override;
  void shut() noexcept override;

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
pipe_ends make_pipe(executor connecting, executor listening, const link_options& options = {});

}  // namespace net
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/net/impl/pipe.ipp"
#endif
