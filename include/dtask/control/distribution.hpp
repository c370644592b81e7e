// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/decider.hpp"
#include "dtask/control/job_lifecycle.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// Decides about values that clients broadcast or publish: which are held, and which worker is sent what of them.
class distribution final : public decider {
 public:
  distribution(coordinator_tables& tables, switchboard& out, job_lifecycle& lifecycle) noexcept
      : decider(tables, out), lifecycle_(lifecycle) {}

  /// A client's value, or its announcement. Returns what it may not say, in words, or nothing.
  std::string_view offered(peer& p, wire::broadcast&& m, time_point now);
  /// The value has arrived whole: it is held if it has the hash that was announced.
  void verify(std::uint32_t s, cached_value&& value, time_point now);
  /// The value does not come to be held; its client learns why.
  void failed(std::uint32_t s, std::uint64_t number, errc code, std::string text, std::string remedy, time_point now);

  /// A worker's job wants a value that was published.
  void fetched(peer& p, wire::fetch&& m);
  /// A worker holds a value, has forgotten a withdrawn one, or could not.
  void confirmed(peer& p, const wire::blob_done& m);

  /// Sends what this worker has not been sent of the session's values. Once per worker, and only to workers that run
  /// jobs of the session.
  void serve(std::uint32_t w, std::uint32_t s);
  /// A worker that came back is told again what it has not confirmed, and what is never confirmed; it skips what it
  /// knows.
  void serve_again(std::uint32_t w);

 private:
  /// Marks the keys of published values in a worker's send queue: no number of a job has this bit.
  static constexpr std::uint64_t fetched_value = std::uint64_t{1} << 63;

  void take(peer& p, wire::broadcast&& m, std::uint64_t size, time_point now);
  void withdraw(std::uint32_t s, wire::broadcast&& m, time_point now);
  void hold(std::uint32_t s, cached_value&& value, time_point now);
  void tell(peer& p, served_session& served, const cached_value& v);
  void drop_marks(std::uint32_t s);
  void unblock(std::uint32_t s, time_point now);

  job_lifecycle& lifecycle_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/distribution.ipp"
#endif
