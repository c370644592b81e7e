// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of worker_state: what comes in chunks, the values of sessions, and their fetches. Included by worker_state.hpp
// only.
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void worker_state::on(wire::chunk&& m, time_point now) {
  incoming* const at = in_.find_if([&m](const incoming& i) { return i.transfer == m.transfer; });
  if (at == nullptr) return;  // given back, or a value that is held already
  if (const error bad = at->from.accept(std::move(m))) return violation(bad.cause(), now);
  if (!at->from.complete()) return;
  incoming done = std::move(*at);
  in_.erase(at);
  payload whole = std::move(done.from).take();
  if (done.job.job == 0) return blob_arrived(std::move(done.blob), std::move(whole), now);
  const auto a = attempts_.find(done.job);
  if (a == attempts_.end()) return;
  a->second.content = std::move(whole);
  begin_waiting(done.job);
}

DTASK_INLINE void worker_state::on(wire::abort_transfer&& m, time_point) {
  incoming* const at = in_.find_if([&m](const incoming& i) { return i.transfer == m.transfer; });
  if (at == nullptr) return;
  const attempt_id id = at->job;
  const wire::blob blob = std::move(at->blob);
  in_.erase(at);
  if (id.job != 0) return give_back(id);
  if (blob.kind == wire::blob_kind::fetched) return ask_again(blob.session, blob.name);
  sessions_[blob.session].missing.erase_if([&](const blob_ref& b) { return b.number == blob.number; });
  wake_waiting(blob.session);
}

DTASK_INLINE void worker_state::on(wire::blob&& m, time_point now) {
  session& s = sessions_[m.session];
  s.ended = false;
  const auto known = s.values.find(m.name);
  switch (m.kind) {
    case wire::blob_kind::published: {
      named_value& v = s.values[m.name];
      if (m.number <= v.number) return;
      drop_value(v);
      v.number = m.number;
      v.published = true;
      actions_.push_back(blob_announced{m.session, m.number, std::move(m.name)});
      return;
    }
    case wire::blob_kind::withdrawn:
      emit(wire::blob_done{m.session, m.number, {}});
      if (known == s.values.end() || known->second.number > m.number) return;
      drop_value(known->second);
      s.values.erase(known);
      end_fetches(m.session, m.name, {.code = errc::not_found, .message = "'" + m.name + "' was withdrawn"});
      actions_.push_back(blob_withdrawn{m.session, std::move(m.name)});
      return;
    case wire::blob_kind::fetched:
      break;
    case wire::blob_kind::broadcast:
      if (known != s.values.end() && known->second.number == m.number) {
        emit(wire::blob_done{m.session, m.number, {}});
        return;
      }
      break;
  }
  if (m.kind == wire::blob_kind::broadcast &&
      s.missing.find_if([&m](const blob_ref& b) { return b.number == m.number; }) == nullptr)
    s.missing.push_back({++s.announced, m.number});
  if (m.value.transfer == 0) {
    payload whole = std::move(m.value.whole);
    return blob_arrived(std::move(m), std::move(whole), now);
  }
  incoming in;
  in.transfer = m.value.transfer;
  in.from = wire::assembler(std::move(m.value.lengths));
  in.blob = std::move(m);
  if (in.from.complete()) return blob_arrived(std::move(in.blob), std::move(in.from).take(), now);
  in_.push_back(std::move(in));
}

DTASK_INLINE void worker_state::blob_arrived(wire::blob&& b, payload&& content, time_point now) {
  std::vector<std::span<const std::byte>> runs;
  if (!content.body.empty()) runs.push_back(content.body.span());
  for (const bytes& piece : content.blobs)
    if (!piece.empty()) runs.push_back(piece.span());
  // A value that does not have its hash was damaged on the way: on a new link the coordinator sends it again.
  if (options_.digest == nullptr || options_.digest(runs) != b.hash)
    return violation("a broadcast value that does not have its hash", now);
  session& s = sessions_[b.session];
  s.missing.erase_if([&](const blob_ref& m) { return m.number == b.number; });
  const bool fetched = b.kind == wire::blob_kind::fetched;
  const std::uint64_t size = content.size();
  const auto known = s.values.find(b.name);
  // A fetched one that was withdrawn meanwhile has nobody who waits for it; of one that was replaced the newer is on
  // its way to a new question.
  const bool current = fetched ? known != s.values.end() && b.number >= known->second.number
                               : known == s.values.end() || b.number > known->second.number;
  // The answer to a question that a broadcast of the same value has overtaken brings nothing new.
  const bool here = known != s.values.end() && known->second.here && known->second.number == b.number;
  wire::failure why;
  if (current && !here) {
    named_value& v = s.values[b.name];
    const bool news = v.here || v.number != b.number;
    drop_value(v);
    if (evict_for(size, v)) {
      v = {b.number, size, ++fetch_clock_, fetched, true};
      blob_bytes_ += size;
      actions_.push_back(
          blob_available{b.session, b.number, b.name, content.blobs.empty() ? content.body : content.blobs.front()});
    } else {
      why = over_limit(b, size);
      v.number = b.number;
      v.published = fetched;
      if (news) actions_.push_back(blob_announced{b.session, b.number, b.name});
    }
  }
  if (!fetched) emit(wire::blob_done{b.session, b.number, why});
  if (current)
    end_fetches(b.session, b.name, why);
  else if (fetched)
    ask_again(b.session, b.name);
  wake_waiting(b.session);
}

DTASK_INLINE wire::failure worker_state::over_limit(const wire::blob& b, std::uint64_t size) const {
  return {.code = errc::too_large,
          .message = "'" + b.name + "' of " + std::to_string(size) + " bytes is over what this worker may hold (" +
                     std::to_string(options_.broadcast_bytes) + " bytes, of which " + std::to_string(blob_bytes_) +
                     " are taken)",
          .place = who_.host + "/" + who_.name,
          .remedy = "raise the worker's --broadcast-bytes (broadcast_bytes), or withdraw what is not needed any more"};
}

/// Its bytes are not kept here any more; jobs that have them keep them for as long as they want.
DTASK_INLINE void worker_state::drop_value(named_value& v) {
  blob_bytes_ -= v.size;
  v.size = 0;
  v.here = false;
}

/// What was fetched can be fetched again: the least recently used of it goes where there is no room.
DTASK_INLINE bool worker_state::evict_for(std::uint64_t size, const named_value& except) {
  if (size > options_.broadcast_bytes) return false;
  while (blob_bytes_ + size > options_.broadcast_bytes) {
    named_value* oldest = nullptr;
    const std::string* name = nullptr;
    std::uint64_t owner = 0;
    for (auto& [id, s] : sessions_)
      for (auto& [each, v] : s.values)
        if (v.published && v.here && &v != &except && (oldest == nullptr || v.used < oldest->used)) {
          oldest = &v;
          name = &each;
          owner = id;
        }
    if (oldest == nullptr) return false;
    drop_value(*oldest);
    actions_.push_back(blob_announced{owner, oldest->number, *name});
  }
  return true;
}

DTASK_INLINE void worker_state::fetch(std::uint64_t request, std::uint64_t session_id, std::string name, time_point) {
  const auto refuse = [&](errc code, std::string text, std::string remedy) {
    actions_.push_back(control::fetched{
        request,
        session_id,
        name,
        {.code = code, .message = std::move(text), .place = who_.host + "/" + who_.name, .remedy = std::move(remedy)}});
  };
  const auto s = sessions_.find(session_id);
  if (exited_ || s == sessions_.end()) return refuse(errc::cancelled, "the worker has given its client session up", {});
  const auto known = s->second.values.find(name);
  if (known == s->second.values.end())
    return refuse(errc::not_found, "no value named '" + name + "' in this client's session",
                  "co_await cluster.publish(name, value) before submitting");
  if (known->second.here) {
    known->second.used = ++fetch_clock_;
    actions_.push_back(control::fetched{request, session_id, std::move(name), {}});
    return;
  }
  if (wanted_.size() >= max_fetches)
    return refuse(errc::overloaded,
                  "the jobs of this worker wait for " + std::to_string(wanted_.size()) + " values already",
                  "fetch fewer values at once");
  wanted_.push_back({request, session_id, std::move(name), false});
  ask(wanted_[wanted_.size() - 1]);
}

DTASK_INLINE void worker_state::forget_fetch(std::uint64_t request) {
  wanted_.erase_if([request](const wanted& w) { return w.request == request; });
}

/// Asks the coordinator, once for all that want the same.
DTASK_INLINE void worker_state::ask(wanted& w) {
  if (w.asked || !up_.ready()) return;
  bool others = false;
  for (const wanted& each : wanted_) others |= each.asked && each.session == w.session && each.name == w.name;
  w.asked = true;
  if (!others) emit(wire::fetch{w.session, w.name});
}

DTASK_INLINE void worker_state::ask_again(std::uint64_t s, const std::string& name) {
  for (wanted& w : wanted_)
    if (w.session == s && w.name == name) w.asked = false;
  for (wanted& w : wanted_) ask(w);
}

DTASK_INLINE void worker_state::end_fetches(std::uint64_t s, const std::string& name, const wire::failure& why) {
  wanted_.erase_if([&](wanted& w) {
    if (w.session != s || w.name != name) return false;
    wire::failure each = why;
    if (each.code != errc::ok && each.place.empty()) each.place = who_.host + "/" + who_.name;
    actions_.push_back(control::fetched{w.request, s, std::move(w.name), std::move(each)});
    return true;
  });
}

DTASK_INLINE void worker_state::on(wire::fetch_failed&& m, time_point) { end_fetches(m.session, m.name, m.why); }

DTASK_INLINE void worker_state::on(wire::end_session&& m, time_point) {
  const auto at = sessions_.find(m.session);
  if (at == sessions_.end()) return;
  at->second.ended = true;
  std::vector<attempt_id> waiting;
  for (const auto& [id, a] : attempts_)
    if (a.session == m.session && (a.now == phase::arriving || a.now == phase::waiting)) waiting.push_back(id);
  for (const attempt_id& id : waiting) give_back(id);
  in_.erase_if([&](const incoming& i) { return i.job.job == 0 && i.blob.session == m.session; });
  leave_session(m.session);
}

/// Lets a session go that has ended, once nothing of it runs here.
DTASK_INLINE void worker_state::leave_session(std::uint64_t s) {
  const auto at = sessions_.find(s);
  if (at == sessions_.end() || !at->second.ended || at->second.running != 0) return;
  for (const auto& [name, v] : at->second.values) {
    blob_bytes_ -= v.size;
    end_fetches(s, name, {.code = errc::cancelled, .message = "its client session is over"});
  }
  sessions_.erase(at);
  actions_.push_back(session_ended{s});
}

DTASK_INLINE std::vector<std::uint64_t> worker_state::open_sessions() const {
  std::vector<std::uint64_t> out;
  for (const auto& [id, s] : sessions_)
    if (!s.ended) out.push_back(id);
  return out;
}

}  // namespace control
DTASK_END
