// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of worker_state: the way to the coordinator, and the end. Included by worker_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE worker_state::worker_state(identity who, const worker_options& options, std::uint64_t seed)
    : who_(std::move(who)), options_(options), up_(options.redial_min, options.redial_max, options.hello_within, seed) {
  who_.role = wire::role::worker;
  for (std::uint32_t n = std::max<std::uint32_t>(who_.slots, 1); n > 0; --n) slots_.push_back({});
  who_.slots = static_cast<std::uint32_t>(slots_.size());
  for (std::uint32_t s = who_.slots; s-- > 0;) free_.push_back(s);
}

DTASK_INLINE void worker_state::start(time_point now) {
  up_.start(now);
  tick(now);
}

DTASK_INLINE void worker_state::connected(link_id link, time_point now) {
  if (exited_ || up_.now() != uplink::phase::dialing) {
    actions_.push_back(close_link{link, error(errc::closed, "not needed any more"), true});
    return;
  }
  up_.connected(link, now);
  wire::hello h;
  h.role = wire::role::worker;
  h.limits = options_.limits;
  h.name = who_.name;
  h.host = who_.host;
  h.pid = who_.pid;
  h.slots = who_.slots;
  h.session = id_;
  h.key = key_;
  h.epoch = epoch_;
  h.cookie = who_.cookie;
  h.jobs = who_.jobs;
  if (id_ != 0) name_attempts(h);
  actions_.emplace_back(std::in_place_type<send>, link, wire::message(std::move(h)));
}

/// Says in the hello what is left here. What has run comes first; of the rest as much as a hello holds, and what it
/// does not name is forgotten: the coordinator places it again.
DTASK_INLINE void worker_state::name_attempts(wire::hello& h) {
  constexpr std::size_t fixed = 512, each_job = 32, each_attempt = 13;
  std::size_t size = fixed + std::min(h.name.size(), wire::max_text) + std::min(h.host.size(), wire::max_text);
  for (const wire::job_type& j : h.jobs)
    size += each_job + j.name.size() + std::min(j.signature.size(), wire::max_brief);
  const std::size_t most = size < wire::max_hello ? (wire::max_hello - size) / each_attempt : 0;
  std::size_t unnamed = 0;
  for (const phase named : {phase::running, phase::answered, phase::waiting, phase::arriving})
    std::erase_if(attempts_, [&](const auto& entry) {
      const auto& [id, a] = entry;
      if (a.now != named) return false;
      if (h.running.size() < most) {
        h.running.push_back({id.job, id.fence, named == phase::running || named == phase::answered});
        return false;
      }
      ++unnamed;
      if (named == phase::answered) result_bytes_ -= a.content.size();
      return named != phase::running;  // that is ended by its slot, whoever waits for it
    });
  for (auto& [id, a] : attempts_) a.told = a.now == phase::running || a.now == phase::answered;
  if (unnamed == 0) return;
  answered_.erase_if([&](const attempt_id& id) { return !attempts_.contains(id); });
  say(log_level::warning, "attempts_forgotten",
      std::to_string(unnamed) + " of " + std::to_string(unnamed + h.running.size()) +
          " attempts have no room in the hello and are placed again; run more workers with fewer slots each");
}

DTASK_INLINE void worker_state::dial_failed(const error& why, time_point now) {
  last_error_ = why;
  up_.broken(now);
}

DTASK_INLINE void worker_state::closed(link_id link, const error& why, time_point now) {
  if (!up_.is(link)) return;
  const bool no_coordinator = up_.now() == uplink::phase::greeting && id_ == 0 && is_no_coordinator(why.code());
  // One line for each cause, not for each dial.
  if (!no_coordinator && last_error_.what() != std::string_view(why.what()))
    say(log_level::warning, "coordinator_away", why.what());
  last_error_ = why;
  link_broken(now);
  if (no_coordinator) leave(exit_reason::refused, last_error_);
}

/// What had not arrived whole is forgotten; the next hello says what is left.
DTASK_INLINE void worker_state::link_broken(time_point now) {
  up_.broken(now);
  out_.clear([](std::uint64_t) {});
  in_.clear();
  for (const attempt_id& id : held_up_)
    if (const auto at = attempts_.find(id); at != attempts_.end() && at->second.now == phase::waiting)
      attempts_.erase(at);
  held_up_.clear();
  returned_.clear();  // the next hello does not name them
  for (auto& [id, s] : sessions_) s.missing.clear();
  for (wanted& w : wanted_) w.asked = false;
  std::erase_if(attempts_, [](const auto& entry) { return entry.second.now == phase::arriving; });
  if (draining_) finish_drain(now);
}

DTASK_INLINE void worker_state::violation(std::string_view what, time_point now) {
  const error why(errc::protocol_error, "the coordinator sent " + std::string(what), who_.host + "/" + who_.name,
                  "is it a dtask program of this version?");
  last_error_ = why;
  say(log_level::error, "protocol_error", why.what());
  actions_.push_back(close_link{up_.link(), why, true});
  link_broken(now);
}

DTASK_INLINE void worker_state::unsent(link_id link, std::size_t bytes, time_point) {
  if (up_.is(link)) out_.set_unsent(bytes);
}

DTASK_INLINE void worker_state::heard(link_id link, time_point now) {
  if (up_.is(link)) up_.heard(now);
}

DTASK_INLINE void worker_state::received(link_id link, wire::message&& what, time_point now) {
  if (!up_.is(link)) return;
  up_.heard(now);
  if (!up_.ready() && !what.get_if<wire::welcome>() && !what.get_if<wire::refuse>())
    return violation("something else before its welcome", now);
  what.visit([&](auto& m) { on(std::move(m), now); });
}

DTASK_INLINE void worker_state::on(wire::welcome&& m, time_point now) {
  if (up_.ready()) return violation("a second welcome", now);
  up_.welcomed(m, now);
  actions_.push_back(set_limits{up_.link(), m.limits});
  out_.set_limits(m.limits);
  credit_ = window_ = static_cast<std::int64_t>(m.credit);
  if (id_ != 0 && !m.resumed) forget_everything(now);
  id_ = m.session;
  key_ = m.key;
  epoch_ = m.epoch;
  told_ = {};
  say(log_level::info, m.resumed ? "resumed" : "joined", who_.host + "/" + who_.name);
  // What has happened since the hello was written.
  for (const attempt_id& id : std::exchange(returned_, {})) emit(wire::returned{id.job, id.fence});
  if (lost_ != 0 || orphans_ != 0) report_slots();
  for (auto& [id, a] : attempts_) {
    if (a.now == phase::running) report_started(id, a);
    if (a.now == phase::answered) answer(id, a);
  }
  for (wanted& w : wanted_) ask(w);
  if (draining_) {
    emit(wire::drain{});
    finish_drain(now);
  }
}

DTASK_INLINE void worker_state::on(wire::refuse&& m, time_point now) {
  last_error_ = error(m.code, "the coordinator refused this worker: " + m.text, who_.host + "/" + who_.name);
  if (up_.refused_for_good(m.code)) return leave(exit_reason::refused, last_error_);
  actions_.push_back(close_link{up_.link(), last_error_, true});
  link_broken(now);
}

DTASK_INLINE void worker_state::on(wire::goodbye&& m, time_point now) {
  last_error_ = error(errc::coordinator_lost, "the coordinator ended: " + m.reason);
  if (draining_) {
    // It has sent this worker home, and nobody takes what still runs here.
    actions_.push_back(close_link{up_.link(), last_error_, false});
    link_broken(now);
    for (slot& s : slots_)
      if (s.busy && !s.stopping) request_stop(s, errc::cancelled, now);
    return leave(exit_reason::drained, {});
  }
  say(log_level::warning, "coordinator_away", last_error_.what());
  actions_.push_back(close_link{up_.link(), last_error_, false});
  link_broken(now);
}

DTASK_INLINE void worker_state::on(wire::credit&& m, time_point) {
  credit_ = std::min(credit_ + static_cast<std::int64_t>(m.bytes), window_);
}

/// The coordinator does not know this worker: nobody wants what runs here.
DTASK_INLINE void worker_state::forget_everything(time_point now) {
  for (slot& s : slots_) {
    if (!s.busy || s.orphan) continue;
    s.orphan = true;
    if (!s.lost) {
      ++orphans_;
      request_stop(s, errc::cancelled, now);
    }
  }
  attempts_.clear();
  result_bytes_ = 0;
  ready_.clear();
  held_up_.clear();
  answered_.clear();
  returned_.clear();
  for (wanted& w : std::exchange(wanted_, {}))
    actions_.push_back(fetched{w.request,
                               w.session,
                               std::move(w.name),
                               {.code = errc::coordinator_lost,
                                .message = "the coordinator does not know this worker any more",
                                .place = who_.host + "/" + who_.name}});
  std::vector<std::uint64_t> all;
  all.reserve(sessions_.size());
  for (auto& [id, s] : sessions_) all.push_back(id);
  for (const std::uint64_t s : all) {
    sessions_[s].ended = true;
    leave_session(s);
  }
}

DTASK_INLINE void worker_state::report_slots() {
  emit(wire::slots{static_cast<std::uint32_t>(slots_.size()) - lost_ - orphans_, lost_});
}

// ---- time ----

DTASK_INLINE void worker_state::tick(time_point now) {
  if (exited_) return;
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
  if (!up_.ready() && now >= unreachable_at())
    return leave(exit_reason::unreachable,
                 error(errc::unreachable,
                       "no coordinator within the stated time" +
                           (last_error_ ? std::string("; last: ") + last_error_.what() : std::string()),
                       who_.host + "/" + who_.name, "is the coordinator running, and the address right?"));
  bool lost_one = false;
  for (slot& s : slots_) {
    if (!s.busy || s.lost) continue;
    if (!s.stopping && now >= s.deadline) request_stop(s, errc::deadline_exceeded, now);
    if (!s.stopping || now < deadline_after(s.stop_at, options_.abandon_after)) continue;
    s.lost = true;
    lost_one = true;
    ++lost_;
    if (s.orphan) --orphans_;
    const auto at = attempts_.find(s.who);
    say(log_level::error, "job_abandoned", "a job ignores stop; its slot is lost until it ends");
    if (at == attempts_.end() || at->second.now != phase::running) continue;
    // The slot is counted out before the answer, so that nothing is placed into it.
    report_slots();
    at->second.why = {
        .code = errc::job_abandoned,
        .message =
            "the job ignored stop for " +
            std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(options_.abandon_after).count()) +
            " ms",
        .place = place(at->second.number),
        .remedy = "let the job look at its stop token, or await something"};
    if (s.leaving) at->second.why = left(at->second);
    at->second.now = phase::answered;
    at->second.slot = none;
    answer(at->first, at->second);
  }
  if (lost_one) {
    report_slots();
    if (lost_ == slots_.size())
      return leave(exit_reason::no_slots, error(errc::job_abandoned, "all slots are held by jobs that ignore stop",
                                                who_.host + "/" + who_.name));
  }
  if (draining_) finish_drain(now);
}

DTASK_INLINE time_point worker_state::next_tick() const noexcept {
  if (exited_) return never;
  time_point at = up_.next();
  if (!up_.ready() && up_.now() != uplink::phase::idle) at = std::min(at, unreachable_at());
  bool quiet = true;
  for (const slot& s : slots_) {
    if (!s.busy || s.lost) continue;
    quiet = false;
    at = std::min(at, s.stopping ? deadline_after(s.stop_at, options_.abandon_after) : s.deadline);
  }
  if (draining_ && quiet && !up_.ready()) at = std::min(at, up_.given_up_at());
  return std::min(at, drain_until_);
}

// ---- the end ----

DTASK_INLINE void worker_state::drain(time_point now) {
  if (draining_ || exited_) return;
  draining_ = true;
  drain_until_ = deadline_after(now, options_.drain_within);
  emit(wire::drain{});
  std::vector<attempt_id> waiting;
  for (const auto& [id, a] : attempts_)
    if (a.now == phase::arriving || a.now == phase::waiting) waiting.push_back(id);
  for (const attempt_id& id : waiting) give_back(id);
  finish_drain(now);
}

DTASK_INLINE void worker_state::finish_drain(time_point now) {
  if (exited_) return;
  if (now >= drain_until_ && !drain_stops_) {
    drain_stops_ = true;
    for (slot& s : slots_) {
      if (!s.busy || s.stopping) continue;
      request_stop(s, errc::cancelled, now);
      s.leaving = true;
    }
    drain_until_ = deadline_after(now, options_.abandon_after + options_.abandon_after / 2);
  } else if (now >= drain_until_) {
    return leave(exit_reason::drained, error(errc::deadline_exceeded, "draining took longer than the stated time"));
  }
  const bool quiet = slots_.find_if([](const slot& s) { return s.busy && !s.lost; }) == nullptr;
  if (!quiet) return;
  // Without a link there is nobody to acknowledge: a coordinator that has ended takes nothing more, and one that comes
  // back after this time has given the jobs to others.
  const bool unwanted = !up_.ready() && now >= up_.given_up_at();
  if (unwanted || ((attempts_.empty() || (up_.link() == 0 && drain_stops_)) && out_.empty()))
    leave(exit_reason::drained, {});
}

DTASK_INLINE void worker_state::stop(time_point now) {
  if (exited_) return;
  for (slot& s : slots_)
    if (s.busy && !s.stopping) request_stop(s, errc::cancelled, now);
  leave(exit_reason::stopped, {});
}

DTASK_INLINE void worker_state::leave(exit_reason reason, error why) {
  if (exited_) return;
  if (up_.link() != 0) {
    // Before the welcome the link ends without a word, and without waiting for a peer that may be silent.
    emit(wire::goodbye{reason == exit_reason::no_slots  ? "it has no slots left"
                       : reason == exit_reason::drained ? "it has drained"
                                                        : "it was stopped"});
    actions_.push_back(close_link{up_.link(), error(errc::closed, "the worker ends"), !up_.ready()});
  }
  up_.end();
  exited_ = true;
  actions_.push_back(exit{reason, std::move(why)});
}

DTASK_INLINE void worker_state::take_actions(std::vector<worker_action>& out, time_point now) {
  if (!exited_) {
    start_jobs(now);
    if (up_.ready() && !out_.empty())
      credit_ -=
          out_.pump([&](wire::message&& m) { emit(std::move(m)); }, [](std::uint64_t, std::size_t, bool) {}, credit_);
    if (draining_) finish_drain(now);
  }
  out.clear();
  out.swap(actions_);
}

}  // namespace control
DTASK_END
