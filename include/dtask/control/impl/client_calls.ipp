// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of client_state: calls, broadcasts and status queries. Included by client_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint64_t client_state::submit(call_request request, time_point now) {
  const std::uint32_t c = calls_.insert();
  const std::uint64_t id = calls_.id(c);
  call_record& r = calls_[c];
  r.type = request.type;
  r.effect_class = request.effect_class;
  r.watch = request.watch;
  r.deadline = deadline_after(now, request.deadline);
  r.no_worker_after = request.no_worker_after;
  r.retry = request.retry;
  r.arguments = std::move(request.arguments);
  r.cost = job_cost + r.arguments.size();
  r.broadcasts = needed_broadcast();
  ++open_;
  argument_bytes_ += r.arguments.size();
  unsent_cost_ += r.cost;
  unsent_.push_back(calls_, c);
  if (!has_room()) was_full_ = true;
  if (ended_ || closing_) {
    end_here(c, errc::closed, "the client is closed", {});
  } else if (gone_) {
    end_here(c, errc::coordinator_lost,
             last_error_ ? std::string("no coordinator; last: ") + last_error_.what() : std::string("no coordinator"),
             "start the coordinator; the client connects again by itself");
  } else if (request.type >= who_.jobs.size()) {
    end_here(c, errc::unknown_job, "the job is not in this client's registry", "add it to the registry");
  } else if (const error bad = wire::check_payload(r.arguments, options_.limits)) {
    end_here(c, bad.code(), "the arguments: " + bad.cause(), bad.remedy());
  } else {
    arm(c);
  }
  return id;
}

DTASK_INLINE void client_state::arm(std::uint32_t c) {
  const call_record& r = calls_[c];
  const time_point at = r.deadline == never           ? never
                        : r.phase == call_phase::sent ? deadline_after(r.deadline, options_.deadline_slack)
                                                      : r.deadline;
  timers_.arm(calls_, c, std::min({at, r.cancel_at, r.wake}));
}

DTASK_INLINE void client_state::expired(std::uint32_t c, time_point now) {
  call_record& r = calls_[c];
  if (r.phase == call_phase::zombie) return;
  if (now >= r.cancel_at)
    return end_here(c, errc::cancelled, "cancelled; its worker did not confirm the end in time", {});
  const time_point at = r.phase == call_phase::sent ? deadline_after(r.deadline, options_.deadline_slack) : r.deadline;
  if (r.deadline != never && now >= at)
    return end_here(c, errc::deadline_exceeded,
                    r.phase == call_phase::sent ? "the deadline passed, and the coordinator is silent"
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
  if (!has_room()) was_full_ = true;
  if (front)
    unsent_.push_front(calls_, c);
  else
    unsent_.push_back(calls_, c);
  arm(c);
}

DTASK_INLINE void client_state::send_calls(time_point now) {
  while (!unsent_.empty()) {
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
    m.effect_class = r.effect_class;
    m.watch = r.watch;
    m.attempts = r.attempts;
    m.broadcasts = r.broadcasts;
    m.remaining = remaining(r.deadline, now);
    m.no_worker_after = r.no_worker_after;
    m.retry = r.retry;
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
    const auto cut = out_.remove(call, {errc::cancelled, {}, "cancelled by the client", {}, {}},
                                 [&](wire::message&& m) { emit(std::move(m)); });
    if (cut == send_queue::removed::before_start) {
      credit_ += static_cast<std::int64_t>(r.cost);
      return end_call(c, {errc::cancelled, {}, "cancelled before it was sent", {}, {}}, {}, r.attempts, {}, false);
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
  if (r.phase == call_phase::unsent) unsent_.erase(calls_, c);
  if (r.phase == call_phase::unsent || r.phase == call_phase::pausing) unsent_cost_ -= r.cost;
  timers_.disarm(calls_, c);
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
    const auto cut = out_.remove(id, {errc::cancelled, {}, "given up by the client", {}, {}},
                                 [&](wire::message&& m) { emit(std::move(m)); });
    if (cut == send_queue::removed::before_start) {
      known = false;
      credit_ += static_cast<std::int64_t>(r.cost);
    }
    if (cut == send_queue::removed::absent && !r.cancelled) emit(wire::cancel{id});
  }
  end_call(c, {code, {}, std::move(text), who_.host + "/" + who_.name, std::move(remedy)}, {}, r.attempts, {}, known);
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
  const std::uint64_t held = value.size() + (c == none ? 0 : calls_[c].cost);  // until then, by the coordinator
  acks_at_ = std::min(acks_at_, held > acknowledge_large ? now : now + acknowledge_within);
  if (c == none) return;  // sent again after a break; acknowledged again
  call_record& r = calls_[c];
  if (r.phase == call_phase::zombie) return forget_zombie(c);
  if (r.phase != call_phase::sent) return;
  // The coordinator has answered: what is left of the arguments need not go.
  out_.remove(head.call, {errc::cancelled, {}, "the call has ended", {}, {}},
              [&](wire::message&& m) { emit(std::move(m)); });
  if (head.why.code == errc::overloaded && head.worker.empty() && !r.cancelled && !closing_ &&
      r.refusals < r.retry.retries) {
    // Refused before it was accepted: trying again is safe whatever the effect class.
    ++r.refusals;
    r.phase = call_phase::pausing;
    unsent_cost_ += r.cost;  // its arguments wait here again
    if (!has_room()) was_full_ = true;
    r.wake = deadline_after(now, r.retry.pause_before(r.refusals + 1));
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

// ---- broadcasts ----

/// The broadcast that a job submitted now must see: the newest that is held or on its way.
DTASK_INLINE std::uint64_t client_state::needed_broadcast() const noexcept {
  std::uint64_t newest = 0;
  for (const value_record& v : to_broadcast_) newest = std::max(newest, v.number);
  for (const value_record& v : broadcasts_) newest = std::max(newest, v.number);
  return newest;
}

DTASK_INLINE std::uint64_t client_state::broadcast(std::string name, bytes value, time_point now,
                                                   wire::blob_kind kind) {
  wire::digest hash{};
  if (options_.digest != nullptr) {
    const std::span<const std::byte> run = value.span();
    hash = options_.digest(std::span<const std::span<const std::byte>>(&run, value.empty() ? 0 : 1));
  }
  return broadcast(std::move(name), std::move(value), hash, now, kind);
}

DTASK_INLINE std::uint64_t client_state::withdraw(std::string name, time_point now) {
  return broadcast(std::move(name), {}, {}, now, wire::blob_kind::withdrawn);
}

DTASK_INLINE std::uint64_t client_state::broadcast(std::string name, bytes value, wire::digest hash, time_point,
                                                   wire::blob_kind kind) {
  const std::uint64_t number = ++last_broadcast_;
  if (ended_ || closing_ || gone_) {
    const errc code = gone_ && !closing_ ? errc::coordinator_lost : errc::closed;
    actions_.push_back(broadcast_complete{number, {code, {}, "the client has no coordinator, or is closed", {}, {}}});
    return number;
  }
  wire::failure bad = unfit(name, value.size(), options_.limits);
  if (bad.code != errc::ok) {
    actions_.push_back(broadcast_complete{number, std::move(bad)});
    return number;
  }
  to_broadcast_.push_back({number, kind, std::move(name), hash, std::move(value), false});
  return number;
}

/// Why a broadcast cannot be sent under these limits: the message would end the link, and the next one.
DTASK_INLINE wire::failure client_state::unfit(const std::string& name, std::size_t size,
                                               const wire::limits& agreed) const {
  if (name.size() > max_broadcast_name)
    return {errc::too_large,
            {},
            "the name of a broadcast takes " + std::to_string(name.size()) + " bytes, the limit is " +
                std::to_string(max_broadcast_name),
            who_.host + "/" + who_.name,
            "choose a shorter name"};
  if (size > agreed.payload)
    return {
        errc::too_large,
        {},
        "broadcast '" + name + "' takes " + std::to_string(size) + " bytes, the limit of a payload is " +
            std::to_string(agreed.payload),
        who_.host + "/" + who_.name,
        "split the value, or raise limits.payload in the options of client, coordinator and worker (--payload-bytes)"};
  return {};
}

DTASK_INLINE void client_state::send_broadcasts() {
  while (!broadcasting_ && !to_broadcast_.empty()) {
    const value_record& first = to_broadcast_.front();
    wire::failure bad = unfit(first.name, first.value.size(), out_.limits());
    if (bad.code == errc::ok) break;
    if (!first.told)
      actions_.push_back(broadcast_complete{first.number, std::move(bad)});
    else
      say(log_level::error, "broadcast_lost",
          "'" + first.name + "' could not be sent again to a new coordinator: " + bad.message);
    to_broadcast_.pop_front();
  }
  if (broadcasting_ || to_broadcast_.empty()) return;
  broadcasting_ = true;
  const value_record& v = to_broadcast_.front();
  payload whole;
  if (v.kind != wire::blob_kind::withdrawn) whole.blobs.push_back(v.value);
  wire::broadcast m;
  m.number = v.number;
  m.kind = v.kind;
  m.name = v.name;
  m.hash = v.hash;
  if (v.value.size() > send_queue::small) {
    out_.push(std::move(m), make_stream(whole), 0);
    return;
  }
  m.value.whole = std::move(whole);
  emit(std::move(m));
}

DTASK_INLINE void client_state::on(wire::broadcast_done&& m, time_point) {
  if (to_broadcast_.empty() || !broadcasting_ || to_broadcast_.front().number != m.number) return;
  value_record v = std::move(to_broadcast_.front());
  to_broadcast_.pop_front();
  broadcasting_ = false;
  out_.remove(0, m.why, [&](wire::message&& other) { emit(std::move(other)); });
  if (!v.told) actions_.push_back(broadcast_complete{m.number, m.why});
  if (m.why.code != errc::ok) {
    if (v.told)
      say(log_level::error, "broadcast_lost",
          "'" + v.name + "' could not be sent again to a new coordinator: " + m.why.message);
    return;
  }
  v.told = true;
  broadcasts_.erase_if([&](const value_record& old) { return old.name == v.name; });
  if (v.kind != wire::blob_kind::withdrawn) broadcasts_.push_back(std::move(v));
}

// ---- status ----

DTASK_INLINE std::uint64_t client_state::query_status(time_point now) {
  const std::uint64_t request = ++last_request_;
  if (ended_ || closing_ || gone_)
    actions_.push_back(status_arrived{request, error(errc::closed, "the client has no coordinator, or is closed"), {}});
  else
    queries_.push_back({request, deadline_after(now, options_.status_within), false});
  return request;
}

DTASK_INLINE void client_state::send_queries() {
  for (query& q : queries_)
    if (!std::exchange(q.sent, true)) emit(wire::status_query{q.request});
}

DTASK_INLINE void client_state::on(wire::status_report&& m, time_point) {
  query* const at = queries_.find_if([&m](const query& q) { return q.request == m.request; });
  if (at == nullptr) return;
  queries_.erase(at);
  actions_.push_back(status_arrived{m.request, {}, std::move(m.now)});
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
  std::uint32_t waiting = 0;
  for (std::uint32_t c = 0; c < calls_.bound(); ++c) {
    if (!calls_.live(c)) continue;
    const call_record& r = calls_[c];
    if (r.phase != call_phase::zombie) ++open;
    arguments += r.arguments.size();
    waiting += r.phase == call_phase::unsent;
    if (r.phase == call_phase::unsent || r.phase == call_phase::pausing) cost += r.cost;
    if (r.phase != call_phase::zombie && r.deadline != never && r.timer.bucket == 0xffff)
      return "an open call with a deadline has no timer";
  }
  if (open != open_) return "open calls are miscounted";
  if (arguments != argument_bytes_) return "bytes of arguments are miscounted";
  if (waiting != unsent_.size() || cost != unsent_cost_) return "unsent calls are miscounted";
  if (!closing_ && !has_room() && !was_full_) return "there is no room for calls, and nobody will hear when there is";
  return {};
}

}  // namespace control
DTASK_END
