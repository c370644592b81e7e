// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Why a job has no value, as the caller sees it: thrown by `call`, held by an `outcome`.
///
/// Where the job threw, `code()` is `errc::job_failed`, `type()` the type of the exception in words, `message()` its
/// `what()`, and `place()` host, worker and attempt. Else the code names the cause (`deadline_exceeded`, `worker_lost`,
/// ...), and `type()` is empty. Copying never throws.
class remote_error : public error {
 public:
  /// No error.
  remote_error() = default;
  /// `type` and `message`: of the exception that the job threw; with an empty `type` only what happened. `place` and
  /// `remedy`: as in `error`. `attempts`: executions that were started or lost. `worker`: who answered.
  remote_error(errc code, std::string type, std::string message, std::string place = {}, std::string remedy = {},
               std::uint32_t attempts = 0, std::string worker = {})
      : error(code, type.empty() ? message : type + ": " + message, std::move(place), std::move(remedy)),
        detail_(std::make_shared<const detail>(detail{std::move(type), std::move(message), std::move(worker)})),
        attempts_(attempts) {}
  /// An error of this side, seen as a job's.
  explicit remote_error(const error& e)
      : error(e), detail_(std::make_shared<const detail>(detail{{}, e.cause(), {}})) {}

  /// The type of the exception that the job threw, as the compiler writes it; empty where none was thrown.
  const std::string& type() const noexcept { return part(&detail::type); }
  /// What happened, in words, without the type.
  const std::string& message() const noexcept { return part(&detail::message); }
  /// The worker that answered, as `host/name#id`; empty where none did.
  const std::string& worker() const noexcept { return part(&detail::worker); }
  /// Executions that were started or lost.
  std::uint32_t attempts() const noexcept { return attempts_; }

 private:
  struct detail {
    std::string type, message, worker;
  };
  const std::string& part(std::string detail::* which) const noexcept {
    static const std::string none;
    return detail_ ? (*detail_).*which : none;
  }
  std::shared_ptr<const detail> detail_;
  std::uint32_t attempts_ = 0;
};

DTASK_END
