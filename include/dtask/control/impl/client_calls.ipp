// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of client_state: calls, from their submission to their ends. Included by client_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint64_t client_state::submit(call_request request, time_point submitted) {
  const std::uint32_t c = calls_.insert();
  const std::uint64_t id = calls_.id(c);
  call_record& r = calls_[c];
  r.type = request.type;
  r.wishes = request.wishes;
  r.deadline = deadline_after(submitted, r.wishes.deadline);
  r.arguments = std::move(request.arguments);
  r.cost = job_cost + r.arguments.size();
  r.broadcasts = needed_broadcast();
  ++open_;
  argument_bytes_ += r.arguments.size();
  const bool at_once = waiting_.empty() && below_bounds();
  waiting_.push_back(calls_, c);
  if (const error away = why_none()) {
    end_call(c, {away.code(), {}, away.cause(), away.place(), away.remedy()}, {}, 0, {}, false);
  } else if (request.type >= who_.jobs.size()) {
    end_here(c, errc::unknown_job, "the job is not in this client's registry", "add it to the registry");
  } else if (const error bad = wire::check_payload(r.arguments, options_.limits)) {
    end_here(c, bad.code(), "the arguments: " + bad.cause(), bad.remedy());
  } else if (r.wishes.deadline <= duration::zero()) {
    end_here(c, errc::deadline_exceeded, "the call's deadline was over before it was made",
             "give a deadline that lies ahead: it counts from the call");
  } else {
    arm(c);
    if (at_once) accept(c);
  }
  return id;
}

/// Why nothing can be sent, now or ever; else no error.
DTASK_INLINE error client_state::why_none() const {
  if (refused_) return refused_;
  if (ended_ || closing_) return error(errc::closed, "the cluster is closed");
  if (!gone_) return {};
  return error(errc::coordinator_lost,
               last_error_ ? std::string("no coordinator; last: ") + last_error_.what() : std::string("no coordinator"),
               {}, "start the coordinator; the client connects again by itself");
}

/// There is room for a call that waits for it.
DTASK_INLINE void client_state::accept(std::uint32_t c) {
  call_record& r = calls_[c];
  waiting_.erase(calls_, c);
  r.phase = call_phase::unsent;
  unsent_cost_ += r.cost;
  unsent_.push_back(calls_, c);
  actions_.push_back(accepted{calls_.id(c)});
}

DTASK_INLINE void client_state::accept_waiting() {
  while (!waiting_.empty() && below_bounds()) accept(waiting_.front());
}

DTASK_INLINE void client_state::arm(std::uint32_t c) {
  const call_record& r = calls_[c];
  const time_point at = r.deadline == never           ? never
                        : r.phase == call_phase::sent ? deadline_after(r.deadline, options_.deadline_slack)
                                                      : r.deadline;
  timers_.arm(c, std::min({at, r.cancel_at, r.wake}));
}

DTASK_INLINE void client_state::expired(std::uint32_t c, time_point now) {
  call_record& r = calls_[c];
  if (r.phase == call_phase::zombie) return;
  if (now >= r.cancel_at)
    return end_here(c, errc::cancelled, "cancelled; neither coordinator nor worker told of its end in time", {});
  const time_point at = r.phase == call_phase::sent ? deadline_after(r.deadline, options_.deadline_slack) : r.deadline;
  if (r.deadline != never && now >= at)
    return end_here(c, errc::deadline_exceeded,
                    r.phase == call_phase::sent      ? "the deadline passed, and the coordinator is silent"
                    : r.phase == call_phase::waiting ? "the deadline passed before there was room to send the job"
                                                     : "the deadline passed before the job could be sent",
                    {});
  if (r.phase == call_phase::pausing && now >= r.wake) {
    r.wake = never;
    requeue(c, false);
  }
  arm(c);
}

/// Puts a call where it waits to be sent.
DTASK_INLINE void client_state::requeue(std::uint32_t c, bool front) {
  call_record& r = calls_[c];
  if (r.phase != call_phase::pausing) unsent_cost_ += r.cost;  // it has not counted while it was sent
  r.phase = call_phase::unsent;
  if (front)
    unsent_.push_front(calls_, c);
  else
    unsent_.push_back(calls_, c);
  arm(c);
}

DTASK_INLINE void client_state::send_calls(time_point now) {
  while (!going_ && !unsent_.empty()) {
    const std::uint32_t c = unsent_.front();
    call_record& r = calls_[c];
    // A sixteenth of the credit may lie with the coordinator, to be given back in one piece.
    if (const std::uint64_t most = window_ - window_ / 16; r.cost > most) {
      end_here(c, errc::too_large,
               "the arguments take " + std::to_string(r.cost - job_cost) + " bytes, the coordinator takes at most " +
                   std::to_string(most - std::min<std::uint64_t>(most, job_cost)) + " from one client",
               "raise the coordinator's --session-bytes (session_bytes), or split the value");
      continue;
    }
    if (const error bad = wire::check_payload(r.arguments, out_.limits())) {
      end_here(c, bad.code(), "the arguments, with the coordinator's limits: " + bad.cause(), bad.remedy());
      continue;
    }
    if (credit_ < static_cast<std::int64_t>(r.cost)) return;
    credit_ -= static_cast<std::int64_t>(r.cost);
    unsent_.erase(calls_, c);
    unsent_cost_ -= r.cost;
    r.phase = call_phase::sent;
    wire::submit m;
    m.call = calls_.id(c);
    m.job = r.type;
    m.effect_class = r.wishes.effect_class;
    m.watch = r.wishes.watch;
    m.attempts = r.attempts;
    m.broadcasts = r.broadcasts;
    m.remaining = remaining(r.deadline, now);
    m.no_worker_after = r.wishes.no_worker_after;
    m.retry = r.wishes.retry;
    if (r.arguments.size() > send_queue::small || r.arguments.blobs.size() > wire::blobs_in_frame) {
      const std::uint64_t id = m.call;
      out_.push(std::move(m), make_stream(r.arguments), id);
    } else {
      m.arguments.whole = r.arguments;
      emit(std::move(m));
    }
    if (r.deadline != never) arm(c);
  }
}

DTASK_INLINE void client_state::cancel(std::uint64_t call, time_point now) {
  const std::uint32_t c = calls_.find(call);
  if (c == none) return;
  call_record& r = calls_[c];
  if (r.phase == call_phase::zombie || r.cancelled) return;
  r.cancelled = true;
  if (r.phase != call_phase::sent) return end_here(c, errc::cancelled, "cancelled before it was sent", {});
  if (up_.ready() && !syncing_) {
    const auto cut = out_.remove(call, {.code = errc::cancelled, .message = "cancelled by the client"},
                                 [&](wire::message&& m) { emit(std::move(m)); });
    if (cut == send_queue::removed::before_start) {
      credit_ += static_cast<std::int64_t>(r.cost);
      return end_call(c, {.code = errc::cancelled, .message = "cancelled before it was sent"}, {}, r.attempts, {},
                      false);
    }
    if (cut == send_queue::removed::absent) emit(wire::cancel{call});
  }
  r.cancel_at = deadline_after(now, options_.cancel_within);
  arm(c);
}

/// The one end of a call. `known_there`: the coordinator has it still, so its number is not free yet.
DTASK_INLINE void client_state::end_call(std::uint32_t c, wire::failure why, payload value, std::uint32_t attempts,
                                         std::string worker, bool known_there) {
  call_record& r = calls_[c];
  // Whoever cancelled it does not want to hear how it failed meanwhile.
  if (r.cancelled && why.code != errc::ok && why.code != errc::cancelled) {
    why.message = "cancelled; its end was " + std::string(to_string(why.code)) + ": " + why.message;
    why.code = errc::cancelled;
    why.type.clear();
    why.remedy.clear();
  }
  if (r.phase == call_phase::waiting) waiting_.erase(calls_, c);
  if (r.phase == call_phase::unsent) unsent_.erase(calls_, c);
  if (r.phase == call_phase::unsent || r.phase == call_phase::pausing) unsent_cost_ -= r.cost;
  timers_.disarm(c);
  --open_;
  argument_bytes_ -= r.arguments.size();
  actions_.push_back(complete{calls_.id(c), std::move(why), std::move(value), attempts, std::move(worker)});
  if (!known_there) return calls_.erase(c);
  r.phase = call_phase::zombie;
  r.arguments = {};
}

DTASK_INLINE void client_state::end_here(std::uint32_t c, errc code, std::string text, std::string remedy) {
  call_record& r = calls_[c];
  const bool sent = r.phase == call_phase::sent;
  bool known = sent;
  if (sent && up_.ready() && !syncing_) {
    const std::uint64_t id = calls_.id(c);
    const auto cut = out_.remove(id, {.code = errc::cancelled, .message = "given up by the client"},
                                 [&](wire::message&& m) { emit(std::move(m)); });
    if (cut == send_queue::removed::before_start) {
      known = false;
      credit_ += static_cast<std::int64_t>(r.cost);
    }
    if (cut == send_queue::removed::absent && !r.cancelled) emit(wire::cancel{id});
  }
  end_call(
      c, {.code = code, .message = std::move(text), .place = who_.host + "/" + who_.name, .remedy = std::move(remedy)},
      {}, r.attempts, {}, known);
}

DTASK_INLINE void client_state::forget_zombie(std::uint32_t c) { calls_.erase(c); }

// ---- results ----

DTASK_INLINE void client_state::on(wire::result&& m, time_point now) {
  if (m.value.transfer == 0) {
    payload value = std::move(m.value.whole);
    return resulted(std::move(m), std::move(value), now);
  }
  incoming in;
  in.transfer = m.value.transfer;
  in.from = wire::assembler(std::move(m.value.lengths));
  in.head = std::move(m);
  if (in.from.complete()) return resulted(std::move(in.head), std::move(in.from).take(), now);
  in_.push_back(std::move(in));
}

DTASK_INLINE void client_state::resulted(wire::result&& head, payload&& value, time_point now) {
  const std::uint32_t c = calls_.find(head.call);
  acks_.push_back(head.call);
  const std::uint64_t freed =
      value.size() + (c == none ? 0 : calls_[c].cost);  // by the coordinator, on the acknowledgement
  acks_at_ = std::min(acks_at_, freed > acknowledge_large ? now : now + acknowledge_within);
  if (c == none) return;  // sent again after a break; acknowledged again
  call_record& r = calls_[c];
  if (r.phase == call_phase::zombie) return forget_zombie(c);
  if (r.phase != call_phase::sent) return;
  // The coordinator has answered: what is left of the arguments need not go.
  out_.remove(head.call, {.code = errc::cancelled, .message = "the call has ended"},
              [&](wire::message&& m) { emit(std::move(m)); });
  if (head.why.code == errc::closed && head.worker.empty()) {
    // The coordinator ends and gives back what nobody has begun: the next one gets it, and this link no more.
    if (r.cancelled)
      return end_call(c, {.code = errc::cancelled, .message = "cancelled before it ran"}, {}, 0, {}, false);
    going_ = true;
    return requeue(c, true);
  }
  if (head.why.code == errc::overloaded && head.worker.empty() && !r.cancelled && !closing_ &&
      r.refusals < r.wishes.retry.retries) {
    // Refused before it was accepted: trying again is safe whatever the effect class.
    ++r.refusals;
    r.phase = call_phase::pausing;
    unsent_cost_ += r.cost;  // its arguments wait here again
    r.wake = deadline_after(now, r.wishes.retry.pause_before(r.refusals + 1));
    return arm(c);
  }
  end_call(c, std::move(head.why), std::move(value), head.attempts, std::move(head.worker), false);
}

DTASK_INLINE void client_state::on(wire::chunk&& m, time_point now) {
  incoming* const at = in_.find_if([&m](const incoming& i) { return i.transfer == m.transfer; });
  if (at == nullptr) return;  // of a call that has ended here
  if (const error bad = at->from.accept(std::move(m))) return violation(bad.cause(), now);
  if (!at->from.complete()) return;
  incoming done = std::move(*at);
  in_.erase(at);
  resulted(std::move(done.head), std::move(done.from).take(), now);
}

DTASK_INLINE void client_state::on(wire::abort_transfer&& m, time_point) {
  in_.erase_if([&](const incoming& i) { return i.transfer == m.transfer; });
}

DTASK_INLINE void client_state::on(wire::state&& m, time_point) {
  const std::uint32_t c = calls_.find(m.call);
  if (c != none && calls_[c].phase == call_phase::sent) actions_.push_back(call_changed{m.call, m.now, m.attempt});
}

DTASK_INLINE memory_use client_state::memory(memory_use process) const {
  process.arguments = argument_bytes_;
  for (const incoming& i : in_) process.results += i.from.received();
  for (const value_record& v : to_broadcast_) process.broadcasts += v.value.size();
  for (const value_record& v : broadcasts_) process.broadcasts += v.value.size();
  return process;
}

DTASK_INLINE std::string client_state::check() const {
  std::uint64_t open = 0, cost = 0, arguments = 0;
  std::uint32_t waiting = 0, unsent = 0;
  for (std::uint32_t c = 0; c < calls_.bound(); ++c) {
    if (!calls_.live(c)) continue;
    const call_record& r = calls_[c];
    if (r.phase != call_phase::zombie) ++open;
    arguments += r.arguments.size();
    waiting += r.phase == call_phase::waiting;
    unsent += r.phase == call_phase::unsent;
    if (r.phase == call_phase::unsent || r.phase == call_phase::pausing) cost += r.cost;
    if (r.phase != call_phase::zombie && r.deadline != never && !r.timer.armed())
      return "an open call with a deadline has no timer";
  }
  if (open != open_) return "open calls are miscounted";
  if (arguments != argument_bytes_) return "bytes of arguments are miscounted";
  if (waiting != waiting_.size()) return "calls that wait for room are miscounted";
  if (unsent != unsent_.size() || cost != unsent_cost_) return "unsent calls are miscounted";
  if (waiting != 0 && below_bounds()) return "calls wait though there is room";
  return {};
}

}  // namespace control
DTASK_END
