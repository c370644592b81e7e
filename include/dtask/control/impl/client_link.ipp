// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of client_state: the way to the coordinator, sessions, and the end. Included by client_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE client_state::client_state(identity who, const client_options& options, std::uint64_t seed)
    : who_(std::move(who)),
      options_(options),
      up_(options.redial_min, options.redial_max, options.hello_within, seed),
      timers_(calls_, time_point{}) {
  if (who_.role == wire::role::worker) who_.role = wire::role::client;
}

DTASK_INLINE void client_state::start(time_point now) {
  up_.start(now);
  tick(now);
}

DTASK_INLINE void client_state::connected(link_id link, time_point now) {
  if (ended_ || up_.now() != uplink::phase::dialing) {
    actions_.push_back(close_link{link, error(errc::closed, "not needed any more"), true});
    return;
  }
  up_.connected(link, now);
  wire::hello h;
  h.role = who_.role;
  h.limits = options_.limits;
  h.name = who_.name;
  h.host = who_.host;
  h.pid = who_.pid;
  h.session = session_;
  h.key = key_;
  h.epoch = epoch_;
  h.cookie = who_.cookie;
  h.jobs = who_.jobs;
  actions_.emplace_back(std::in_place_type<send>, link, wire::message(std::move(h)));
}

DTASK_INLINE void client_state::dial_failed(const error& why, time_point now) {
  last_error_ = why;
  up_.broken(now);
}

DTASK_INLINE void client_state::closed(link_id link, const error& why, time_point now) {
  if (!up_.is(link)) return;
  const bool no_coordinator = up_.now() == uplink::phase::greeting && !was_online_ && is_no_coordinator(why.code());
  // One line for each cause, not for each dial.
  if (!closing_ && !no_coordinator && last_error_.what() != std::string_view(why.what()))
    say(log_level::warning, "coordinator_away", why.what());
  last_error_ = why;
  link_broken(now);
  if (no_coordinator) coordinator_gone(last_error_, true, now);
}

DTASK_INLINE void client_state::link_broken(time_point now) {
  up_.broken(now);
  out_.clear([](std::uint64_t) {});
  in_.clear();
  acks_.clear();
  acks_at_ = never;
  syncing_ = false;
  going_ = false;
  broadcasting_ = false;
  for (query& q : queries_) q.sent = false;
}

DTASK_INLINE void client_state::violation(std::string_view what, time_point now) {
  last_error_ = error(errc::protocol_error, "the coordinator sent " + std::string(what), {},
                      "is it a dtask program of this version?");
  say(log_level::error, "protocol_error", last_error_.what());
  actions_.push_back(close_link{up_.link(), last_error_, true});
  link_broken(now);
}

DTASK_INLINE void client_state::unsent(link_id link, std::size_t bytes, time_point) {
  if (up_.is(link)) out_.set_unsent(bytes);
}

DTASK_INLINE void client_state::heard(link_id link, time_point now) {
  if (up_.is(link)) up_.heard(now);
}

DTASK_INLINE void client_state::received(link_id link, wire::message&& what, time_point now) {
  if (!up_.is(link)) return;
  up_.heard(now);
  if (!up_.ready() && !what.get_if<wire::welcome>() && !what.get_if<wire::refuse>())
    return violation("something else before its welcome", now);
  what.visit([&](auto& m) { on(std::move(m), now); });
}

DTASK_INLINE void client_state::on(wire::welcome&& m, time_point now) {
  if (up_.ready()) return violation("a second welcome", now);
  up_.welcomed(m, now);
  actions_.push_back(set_limits{up_.link(), m.limits});
  out_.set_limits(m.limits);
  credit_ = static_cast<std::int64_t>(m.credit);
  window_ = m.window;
  const bool same_epoch = m.epoch == epoch_;
  const bool had_session = session_ != 0;
  session_ = m.session;
  key_ = m.key;
  epoch_ = m.epoch;
  was_online_ = true;
  gone_ = false;
  actions_.push_back(control::online{epoch_, m.resumed});
  if (m.resumed) {
    syncing_ = true;
    for (std::uint32_t c = 0; c < calls_.bound(); ++c)
      if (calls_.live(c)) calls_[c].known = false;
    return;
  }
  if (had_session) new_session(same_epoch, now);
}

/// A session that knows nothing: what may run twice is submitted again, the rest ends with its cause; broadcasts are
/// sent again first.
DTASK_INLINE void client_state::new_session(bool same_epoch, time_point now) {
  const errc code = same_epoch ? errc::session_lost : errc::coordinator_lost;
  const std::string what = same_epoch ? "the coordinator gave this session up" : "the coordinator restarted";
  rebroadcast();
  const std::uint64_t needed = needed_broadcast();
  for (std::uint32_t c = calls_.bound(); c-- > 0;) {
    if (!calls_.live(c)) continue;
    call_record& r = calls_[c];
    r.broadcasts = std::min(r.broadcasts, needed) == 0 ? 0 : needed;
    if (r.phase == call_phase::zombie) {
      forget_zombie(c);
      continue;
    }
    if (r.phase != call_phase::sent) continue;
    ++r.attempts;
    if (r.cancelled)
      end_call(c, {.code = errc::cancelled, .message = "cancelled, and " + what}, {}, r.attempts, {}, false);
    else if (!may_run_again(r.wishes.effect_class))
      end_call(c,
               {.code = code,
                .message = what + "; the job may have run, and may not run twice",
                .remedy = "make the job idempotent to have it run again"},
               {}, r.attempts, {}, false);
    else if (r.attempts > r.wishes.retry.retries)
      end_call(c, {.code = code, .message = what + ", and the job has no retries left", .remedy = "raise its retries"},
               {}, r.attempts, {}, false);
    else
      requeue(c, true);
  }
  say(log_level::warning, "session_lost", what);
  static_cast<void>(now);
}

/// The values that the lost session held go first on the next.
DTASK_INLINE void client_state::rebroadcast() {
  std::sort(broadcasts_.begin(), broadcasts_.end(),
            [](const value_record& a, const value_record& b) { return a.number < b.number; });
  for (value_record& v : to_broadcast_) broadcasts_.push_back(std::move(v));
  to_broadcast_ = std::exchange(broadcasts_, {});
}

DTASK_INLINE void client_state::on(wire::known_calls&& m, time_point) {
  for (const std::uint64_t call : m.calls)
    if (const std::uint32_t c = calls_.find(call); c != none) calls_[c].known = true;
  if (!m.last) return;
  syncing_ = false;
  for (std::uint32_t c = calls_.bound(); c-- > 0;) {
    if (!calls_.live(c)) continue;
    call_record& r = calls_[c];
    if (r.phase == call_phase::zombie && !r.known)
      forget_zombie(c);
    else if (r.phase == call_phase::sent && !r.known && r.cancelled)
      end_call(c, {.code = errc::cancelled, .message = "cancelled before it ran"}, {}, r.attempts, {}, false);
    else if (r.phase == call_phase::sent && !r.known)
      requeue(c, true);
    else if ((r.phase == call_phase::sent && r.cancelled) || r.phase == call_phase::zombie)
      emit(wire::cancel{calls_.id(c)});
  }
}

DTASK_INLINE void client_state::on(wire::refuse&& m, time_point now) {
  last_error_ = error(m.code, "the coordinator refused this client: " + m.text);
  const bool final = up_.refused_for_good(m.code);
  actions_.push_back(close_link{up_.link(), last_error_, true});
  link_broken(now);
  if (final) coordinator_gone(last_error_, true, now);
}

DTASK_INLINE void client_state::on(wire::goodbye&& m, time_point now) {
  last_error_ = error(errc::coordinator_lost, "the coordinator ended: " + m.reason);
  if (!closing_) say(log_level::warning, "coordinator_away", last_error_.what());
  actions_.push_back(close_link{up_.link(), last_error_, false});
  link_broken(now);
}

/// No coordinator: everything that waits for one ends.
DTASK_INLINE void client_state::coordinator_gone(const error& why, bool final, time_point now) {
  if (!gone_) actions_.push_back(offline{why, final});
  gone_ = true;
  session_ = key_ = 0;
  // The answer to a hello that is on its way would bring the session back, with calls that have just ended here.
  if (!final && up_.now() == uplink::phase::greeting) {
    actions_.push_back(close_link{up_.link(), why, true});
    link_broken(now);
  }
  const wire::failure cause{.code = why.code(), .message = why.cause(), .place = why.place(), .remedy = why.remedy()};
  for (std::uint32_t c = 0; c < calls_.bound(); ++c) {
    if (!calls_.live(c)) continue;
    if (calls_[c].phase == call_phase::zombie)
      forget_zombie(c);
    else
      end_call(c,
               calls_[c].cancelled
                   ? wire::failure{.code = errc::cancelled, .message = "cancelled, and the coordinator is gone"}
                   : cause,
               {}, calls_[c].attempts, {}, false);
  }
  // What was never held is given up; what was, is sent again should a coordinator come.
  to_broadcast_.erase_if([&](const value_record& v) {
    if (!v.told) actions_.push_back(broadcast_complete{v.number, cause});
    return !v.told;
  });
  rebroadcast();
  for (const query& q : queries_) actions_.push_back(status_arrived{q.request, why, {}});
  queries_.clear();
  if (!final) return;
  refused_ = why;
  closing_ = true;
  close_until_ = now;
  leave();
}

// ---- time ----

DTASK_INLINE void client_state::tick(time_point now) {
  if (ended_) return;
  timers_.advance(now, [&](std::uint32_t c) { expired(c, now); });
  switch (up_.due(now)) {
    case uplink::need::dial:
      actions_.push_back(dial{});
      break;
    case uplink::need::ping:
      emit(wire::ping{static_cast<std::uint64_t>(now.time_since_epoch().count())});
      break;
    case uplink::need::give_up_link:
      last_error_ = error(errc::coordinator_lost, "the coordinator is silent");
      say(log_level::warning, "coordinator_away", last_error_.what());
      actions_.push_back(close_link{up_.link(), last_error_, true});
      link_broken(now);
      break;
    case uplink::need::nothing:
      break;
  }
  if (!up_.ready() && !gone_ && up_.now() != uplink::phase::idle &&
      now >= deadline_after(up_.away_since(), was_online_ ? options_.coordinator_wait : options_.connect_within)) {
    const std::string last = last_error_ ? std::string("; last: ") + last_error_.what() : std::string();
    if (was_online_)
      coordinator_gone(
          error(errc::coordinator_lost, "the coordinator was lost and did not come back within the stated time" + last,
                {}, "start it again, or raise --coordinator-wait (coordinator_wait)"),
          false, now);
    else
      coordinator_gone(error(errc::unreachable, "no coordinator within the stated time" + last, {},
                             "is the coordinator running, and the address right?"),
                       true, now);
  }
  for (const query& q : queries_)
    if (now >= q.until)
      actions_.push_back(status_arrived{
          q.request,
          error(errc::deadline_exceeded,
                "no status within " +
                    std::to_string(
                        std::chrono::duration_cast<std::chrono::milliseconds>(options_.status_within).count()) +
                    (up_.ready() ? " ms: the coordinator is connected and does not answer"
                                 : " ms: there is no connection to the coordinator now"),
                {}, "ask again, or raise status_within of the options; calls go on, and have bounds of their own"),
          {}});
  queries_.erase_if([&](const query& q) { return now >= q.until; });
  if (closing_) finish_close(now);
}

DTASK_INLINE time_point client_state::next_tick() const noexcept {
  if (ended_) return never;
  time_point at = std::min({timers_.next_time(), up_.next(), close_until_, acks_at_});
  if (!up_.ready() && !gone_ && up_.now() != uplink::phase::idle)
    at = std::min(at,
                  deadline_after(up_.away_since(), was_online_ ? options_.coordinator_wait : options_.connect_within));
  for (const query& q : queries_) at = std::min(at, q.until);
  return at;
}

// ---- the end ----

DTASK_INLINE void client_state::close(time_point now) {
  if (closing_ || ended_) return;
  closing_ = true;
  close_until_ = deadline_after(now, options_.close_within);
  for (std::uint32_t c = 0; c < calls_.bound(); ++c)
    if (calls_.live(c)) cancel(calls_.id(c), now);
  for (const value_record& v : to_broadcast_)
    if (!v.told)
      actions_.push_back(broadcast_complete{v.number, {.code = errc::closed, .message = "the client was closed"}});
  to_broadcast_.clear();
  // The coordinator need not take in the rest of a value that no job will see.
  if (std::exchange(broadcasting_, false) && up_.ready())
    out_.remove(0, {.code = errc::cancelled, .message = "the client closes"},
                [&](wire::message&& m) { emit(std::move(m)); });
  for (const query& q : queries_)
    actions_.push_back(status_arrived{q.request, error(errc::closed, "the client was closed"), {}});
  queries_.clear();
  finish_close(now);
}

DTASK_INLINE void client_state::abandon(time_point now) {
  close(now);
  close_until_ = now;
  finish_close(now);
}

DTASK_INLINE void client_state::finish_close(time_point now) {
  if (ended_ || (open_ != 0 && now < close_until_)) return;
  for (std::uint32_t c = 0; c < calls_.bound(); ++c)
    if (calls_.live(c) && calls_[c].phase != call_phase::zombie)
      end_call(c, {.code = errc::cancelled, .message = "the client was closed before the job's end was known"}, {},
               calls_[c].attempts, {}, false);
  leave();
}

DTASK_INLINE void client_state::leave() {
  if (ended_) return;
  if (up_.link() != 0) {
    // Before the welcome there is nothing to say, and an orderly end would wait for a peer that may be silent.
    emit(wire::goodbye{"the client closes"});
    actions_.push_back(close_link{up_.link(), error(errc::closed, "the client closes"), !up_.ready()});
  }
  up_.end();
  ended_ = true;
  actions_.push_back(control::closed{});
}

DTASK_INLINE void client_state::take_actions(std::vector<client_action>& out, time_point now) {
  if (!ended_) {
    if (closing_) finish_close(now);
    accept_waiting();
    if (up_.ready()) {
      if (!syncing_) {
        send_broadcasts();
        send_calls(now);
        for (; !waiting_.empty() && below_bounds(); send_calls(now)) accept_waiting();
      }
      send_queries();
      out_.pump([&](wire::message&& m) { emit(std::move(m)); }, [](std::uint64_t, std::size_t, bool) {});
      if (!acks_.empty() &&
          (sending_ || closing_ || !unsent_.empty() || acks_.size() >= acknowledge_at_once || now >= acks_at_)) {
        for (std::size_t from = 0; from < acks_.size(); from += acknowledge_in_frame)
          emit(wire::acknowledge{
              {acks_.begin() + static_cast<std::ptrdiff_t>(from),
               acks_.begin() + static_cast<std::ptrdiff_t>(std::min(from + acknowledge_in_frame, acks_.size()))}});
        acks_.clear();
        acks_at_ = never;
      }
    }
    sending_ = false;
  }
  out.clear();
  out.swap(actions_);
}

}  // namespace control
DTASK_END
