// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// What the system has too little of where a call failed with `code`, in words; empty where that is not the trouble.
inline std::string shortage(const std::error_code& code) {
  if (code.category() != std::system_category() && code.category() != std::generic_category()) return {};
  switch (code.value()) {
    case EAGAIN:
      return "the system has no thread or process left";
    case EMFILE:
    case ENFILE:
      return "the system has no descriptor left";
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:
      return "the system has no memory or room left";
    default:
      return {};
  }
}

/// The failure of a call of the system as `error(io_error)`, with a remedy where it is a shortage. `what`: the call and
/// the reason, as the system's exception says it.
inline error system_failure(const std::error_code& code, std::string what) {
  std::string lack = shortage(code);
  if (lack.empty()) return error(errc::io_error, std::move(what));
  return error(errc::io_error, std::move(lack), std::move(what),
               "raise the limits of this user or container (ulimit -a), or end other programs");
}

DTASK_END
