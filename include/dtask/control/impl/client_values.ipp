// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of client_state: broadcasts and status queries. Included by client_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

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
  if (const error away = why_none()) {
    actions_.push_back(broadcast_complete{number, {away.code(), {}, away.cause(), away.place(), away.remedy()}});
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
    return {.code = errc::too_large,
            .message = "the name of a broadcast takes " + std::to_string(name.size()) + " bytes, the limit is " +
                       std::to_string(max_broadcast_name),
            .place = who_.host + "/" + who_.name,
            .remedy = "choose a shorter name"};
  if (size > agreed.payload)
    return {.code = errc::too_large,
            .message = "broadcast '" + name + "' takes " + std::to_string(size) + " bytes, the limit of a payload is " +
                       std::to_string(agreed.payload),
            .place = who_.host + "/" + who_.name,
            .remedy =
                "split the value, or raise limits.payload in the options of client, coordinator and worker "
                "(--payload-bytes)"};
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
  if (error away = why_none())
    actions_.push_back(status_arrived{request, std::move(away), {}});
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

}  // namespace control
DTASK_END
