// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace net::detail {

DTASK_INLINE void link_core::start(wire::link_events& events) {
  events_ = &events;
  post_turn<&link_core::begin>();
}
DTASK_INLINE void link_core::await_greeting(std::function<void(const error&)> heard) {
  on_greeting_ = std::move(heard);
  receive();
}
DTASK_INLINE void link_core::send(wire::message&& m) {
  if (ending_ || ended_) return;
  if (error bad = outbox_->push(std::move(m), decoder_.agreed())) {
    log(log_level::error, "link_broken", peer_ + ": " + bad.what());
    abort(bad);
    return;
  }
  above_low_ = above_low_ || outbox_->unsent() > wire::high_water / 2;
  schedule_flush();
}
DTASK_INLINE void link_core::flush() {
  if (!ended_) write();
  if (drained_due()) schedule_flush();
}
DTASK_INLINE void link_core::close() {
  begin_end(error(errc::closed, "closed by this side", peer_));
  schedule_flush();
}
DTASK_INLINE void link_core::abort(const error& why) {
  if (ended_) return;
  ended_ = true;
  why_ = why;
  shut();
  post_turn<&link_core::report_end>();
}
DTASK_INLINE void link_core::detach() {
  events_ = nullptr;
  on_greeting_ = nullptr;
  if (ended_) return;
  ended_ = true;
  shut();
}
DTASK_INLINE bool link_core::deliver() {
  if (ending_) return true;
  if (on_greeting_) return deliver_greeting();
  corked_ = true;
  if (first_) {
    events_->received(std::move(*std::exchange(first_, std::nullopt)));
  }
  if (events_ == nullptr || ended_) {
    corked_ = false;
    return false;
  }
  const error bad = decoder_.parse([&](wire::message&& m) {
    events_->received(std::move(m));
    return events_ != nullptr && !ending_ && !ended_;
  });
  if (events_ != nullptr && !ended_) events_->batch_end();
  corked_ = false;
  if (bad && !ended_ && !ending_) refuse(bad);
  if (!ended_) pump();
  return !ended_;
}
DTASK_INLINE void link_core::pump() {
  write();
  // The driver may queue more at once; each turn of this writes some, so it ends when the transport is full or the
  // driver has nothing.
  while (!ended_ && drained_due()) {
    above_low_ = false;
    if (events_ == nullptr || ending_) break;
    events_->drained();
    if (!ended_) write();
  }
  if (!ended_ && ending_ && outbox_->empty() && !std::exchange(finished_, true)) finish_sending();
}
DTASK_INLINE void link_core::broke(error why) {
  if (ended_) return;
  ended_ = true;
  why_ = ending_ ? std::move(why_) : std::move(why);
  shut();
  report_end();
}
DTASK_INLINE error link_core::end_of_stream() const {
  error bad = decoder_.at_end();
  return bad ? error(bad.code(), bad.cause(), peer_)
             : error(errc::closed, "the connection was closed by the peer", peer_);
}
DTASK_INLINE void link_core::begin() {
  if (ended_ || events_ == nullptr) return;
  if (!first_ || deliver()) receive();
}
DTASK_INLINE bool link_core::deliver_greeting() {
  const error bad = decoder_.parse([&](wire::message&& m) {
    first_ = std::move(m);
    return false;
  });
  if (bad) {
    refuse(bad);
    if (!ended_) pump();
    return !ended_;
  }
  if (!first_) return true;
  const auto heard = std::exchange(on_greeting_, nullptr);
  heard(error());
  return false;  // start() goes on
}
DTASK_INLINE void link_core::refuse(const error& bad) {
  const error why(bad.code(), bad.cause(), peer_, bad.remedy());
  if (bad.cause().starts_with("not a dtask peer")) return broke(why);
  wire::refuse answer;
  answer.code = bad.code();
  answer.text = bad.what();
  if (!outbox_->push(std::move(answer), decoder_.agreed()))
    begin_end(why);
  else
    broke(why);
}
DTASK_INLINE void link_core::begin_end(const error& why) {
  if (ending_ || ended_) return;
  ending_ = true;
  why_ = why;
  limit_end();
}
DTASK_INLINE void link_core::schedule_flush() {
  if (corked_ || flush_posted_ || ended_) return;
  flush_posted_ = true;
  post_turn<&link_core::posted_flush>();
}
DTASK_INLINE void link_core::posted_flush() {
  flush_posted_ = false;
  if (!ended_) pump();
}
DTASK_INLINE void link_core::report_end() {
  if (const auto heard = std::exchange(on_greeting_, nullptr)) return heard(why_);
  if (wire::link_events* events = std::exchange(events_, nullptr)) events->closed(why_);
}

}  // namespace net::detail
DTASK_END
