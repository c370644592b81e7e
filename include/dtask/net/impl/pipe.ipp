// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/message_of.hpp"

DTASK_BEGIN
namespace net::detail {

DTASK_INLINE void pipe_state::close(std::size_t which) {
  const std::lock_guard hold(guard);
  ends[which].open = false;
}
DTASK_INLINE pipe_core::pipe_core(std::shared_ptr<pipe_state> state, std::size_t which, wire::side at,
                                  const link_options& options)
    : link_core(state->ends[which].where, at, options, "pipe"),
      state_(std::move(state)),
      which_(which),
      grace_(executor_) {}
DTASK_INLINE void pipe_core::write() {
  if (under_way_) return;
  std::array<wire::outbox::slice, 64> some;
  const std::size_t used = outbox_->gather(some, per_turn);
  if (used == 0) return;
  under_way_ = true;
  state_->tell(other(), [from = outbox_, data = slices(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(used))](
                            pipe_core& to) { to.arrive(data); });
}
DTASK_INLINE void pipe_core::receive() {
  if (std::exchange(receiving_, true)) return;
  if (!early_.empty()) arrive(std::exchange(early_, {}));
  if (early_end_ && !ended()) broke(end_of_stream());
}
DTASK_INLINE void pipe_core::arrive(const slices& data) {
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
DTASK_INLINE std::size_t pipe_core::take(wire::outbox::slice from) {
  std::size_t copied = 0;
  for (const std::span<std::byte> to : decoder_.space()) {
    const std::size_t n = std::min(to.size(), from.size() - copied);
    if (n != 0) std::memcpy(to.data(), from.data() + copied, n);
    copied += n;
  }
  took_in(copied);
  deliver();
  return copied;
}
DTASK_INLINE void pipe_core::taken(std::size_t count) {
  if (ended()) return;
  under_way_ = false;
  wrote(count);
  pump();
}
DTASK_INLINE void pipe_core::other_ended() {
  if (!receiving_)
    early_end_ = true;
  else
    broke(end_of_stream());
}
DTASK_INLINE void pipe_core::finish_sending() {
  // All of it was taken, so nobody has to be waited for.
  net::post(executor_, turn(shared_from_this(), [](void* self, const boost::system::error_code&) {
              auto& core = *static_cast<pipe_core*>(static_cast<link_core*>(self));
              core.broke(error(errc::closed, "closed by this side", core.peer()));
            }));
}
DTASK_INLINE void pipe_core::limit_end() {
  grace_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(options_.close_grace));
  wait(grace_, turn(shared_from_this(), [](void* self, const boost::system::error_code& ec) {
         auto& core = *static_cast<pipe_core*>(static_cast<link_core*>(self));
         if (!ec && !core.ended())
           core.broke(error(errc::closed, "the peer did not take the last messages in time", core.peer()));
       }));
}
DTASK_INLINE void pipe_core::shut() noexcept {
  try {
    grace_.cancel();
    state_->close(which_);
    state_->tell(other(), [](pipe_core& to) { to.other_ended(); });
  } catch (const std::exception& e) {
    log(log_level::error, "pipe_end_unreported", message_of(e));
  }
}

}  // namespace net::detail
namespace net {

DTASK_INLINE pipe_ends make_pipe(executor connecting, executor listening, const link_options& options) {
  const std::shared_ptr<detail::pipe_state> state(new detail::pipe_state(connecting, listening));
  const std::shared_ptr<detail::pipe_core> a(new detail::pipe_core(state, 0, wire::side::connecting, options));
  const std::shared_ptr<detail::pipe_core> b(new detail::pipe_core(state, 1, wire::side::listening, options));
  state->ends[0].core = a;
  state->ends[1].core = b;
  return {std::make_unique<detail::owned_link>(a), std::make_unique<detail::owned_link>(b)};
}

}  // namespace net
DTASK_END
