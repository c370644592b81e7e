// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Why a job has no value. `type`, `message` and `place` are those of the exception, where there was one.
///
/// Made by the names of what there is to say: `failure{.code = errc::closed, .message = "the session is over"}`.
struct failure {
  // Initialised, each of them, so that no compiler warns of those that are left out.
  errc code = errc::ok;   ///< the cause
  std::string type{};     ///< of the exception; empty where none was thrown
  std::string message{};  ///< what happened, in words
  std::string place{};    ///< host, worker, attempt
  std::string remedy{};   ///< what the reader can do
};

DTASK_END
