// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// Every cause for which an operation of dtask can end. The values travel on the wire: they are never renumbered.
enum class errc : std::uint16_t {
  ok = 0,  ///< no error
  // ends that the caller or the environment asked for
  cancelled = 1,          ///< stopped by its caller, its scope or its session
  deadline_exceeded = 2,  ///< its deadline passed
  // what a job does
  job_failed = 10,       ///< the job threw; type, message and place are in the remote error
  job_abandoned = 11,    ///< ignored stop for longer than the grace time
  quarantined = 12,      ///< killed its workers too often and is not run again
  unknown_job = 13,      ///< the job is not in the registry of the program that calls it, or not in the worker's
  schema_mismatch = 14,  ///< same name, other argument or result types
  // what cannot be encoded, decoded or carried
  encode_failed = 20,     ///< a value cannot be encoded, as one that is nested too deep
  decode_failed = 21,     ///< bytes are no value of the type
  too_large = 22,         ///< over a stated limit; the message names the limit and its option
  protocol_error = 23,    ///< the peer broke the wire protocol
  version_mismatch = 24,  ///< the peer speaks another protocol version
  // who is missing
  worker_lost = 30,       ///< the worker that had the job is gone
  coordinator_lost = 31,  ///< the coordinator is gone and has not come back in time
  no_worker = 32,         ///< no worker for this job within the stated time
  unreachable = 33,       ///< no connection could be made
  session_lost = 34,      ///< the coordinator no longer knows this session
  refused = 35,           ///< the peer refused the connection and said why
  // capacity
  overloaded = 40,  ///< a queue is full; may be tried again
  closed = 41,      ///< the object was closed: a channel, a cluster, a scope
  // input and environment
  invalid_argument = 50,  ///< what the caller gave makes no sense
  not_found = 51,         ///< there is nothing of this name
  io_error = 52,          ///< the system refused, or a file cannot be read or written
  bad_data = 53,          ///< a file or picture that cannot be used
};

/// A short, stable word for each cause, as it stands in logs and JSON.
constexpr std::string_view to_string(errc e) noexcept {
  switch (e) {
    case errc::ok:
      return "ok";
    case errc::cancelled:
      return "cancelled";
    case errc::deadline_exceeded:
      return "deadline_exceeded";
    case errc::job_failed:
      return "job_failed";
    case errc::job_abandoned:
      return "job_abandoned";
    case errc::quarantined:
      return "quarantined";
    case errc::unknown_job:
      return "unknown_job";
    case errc::schema_mismatch:
      return "schema_mismatch";
    case errc::encode_failed:
      return "encode_failed";
    case errc::decode_failed:
      return "decode_failed";
    case errc::too_large:
      return "too_large";
    case errc::protocol_error:
      return "protocol_error";
    case errc::version_mismatch:
      return "version_mismatch";
    case errc::worker_lost:
      return "worker_lost";
    case errc::coordinator_lost:
      return "coordinator_lost";
    case errc::no_worker:
      return "no_worker";
    case errc::unreachable:
      return "unreachable";
    case errc::session_lost:
      return "session_lost";
    case errc::refused:
      return "refused";
    case errc::overloaded:
      return "overloaded";
    case errc::closed:
      return "closed";
    case errc::invalid_argument:
      return "invalid_argument";
    case errc::not_found:
      return "not_found";
    case errc::io_error:
      return "io_error";
    case errc::bad_data:
      return "bad_data";
  }
  return "unknown";
}

namespace detail {
class errc_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "dtask"; }
  std::string message(int value) const override { return std::string(to_string(static_cast<errc>(value))); }
};
}  // namespace detail

/// The category of `errc` for `std::error_code`, named "dtask". Thread-safe.
inline const std::error_category& error_category() noexcept {
  static const detail::errc_category category;
  return category;
}
/// Makes `std::error_code code = dtask::errc::closed;` work.
inline std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

/// What went wrong, where, and what to do about it. Thrown by the operations of dtask, and carried as a value in
/// outcomes and callbacks.
///
/// `what()` reads as one line: `cause (place): remedy`. Copying never throws. Thread safety: immutable after
/// construction.
class error : public std::exception {
 public:
  /// No error.
  error() = default;
  /// `cause`: what happened, in words. `place`: host, worker, file, attempt. `remedy`: what the reader can do. Empty
  /// parts are left out.
  explicit error(errc code, std::string cause = {}, std::string place = {}, std::string remedy = {})
      : code_(code),
        text_(std::make_shared<const text>(
            text{compose(code, cause, place, remedy), std::move(cause), std::move(place), std::move(remedy)})) {}

  /// The cause; `ok` where there is no error.
  errc code() const noexcept { return code_; }
  /// Whether there is an error.
  explicit operator bool() const noexcept { return code_ != errc::ok; }
  /// The line `cause (place): remedy`, valid while this error or a copy lives; "ok" where there is no error.
  const char* what() const noexcept override { return text_ ? text_->line.c_str() : "ok"; }
  /// What happened, in words; empty where only a code was given. The three are valid while this error lives.
  const std::string& cause() const noexcept { return text_ ? text_->cause : empty(); }
  /// Where: host, worker, file, attempt; may be empty.
  const std::string& place() const noexcept { return text_ ? text_->place : empty(); }
  /// What the reader can do; may be empty.
  const std::string& remedy() const noexcept { return text_ ? text_->remedy : empty(); }

 private:
  struct text {
    std::string line, cause, place, remedy;
  };
  static std::string compose(errc code, const std::string& cause, const std::string& place, const std::string& remedy) {
    std::string line(cause.empty() ? to_string(code) : std::string_view(cause));
    if (!place.empty()) line.append(" (").append(place).append(")");
    if (!remedy.empty()) line.append(": ").append(remedy);
    return line;
  }
  static const std::string& empty() noexcept {
    static const std::string none;
    return none;
  }
  errc code_ = errc::ok;
  std::shared_ptr<const text> text_;
};

DTASK_END

/// @cond internal
template <>
struct std::is_error_code_enum<dtask::errc> : std::true_type {};
/// @endcond
