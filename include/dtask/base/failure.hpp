// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Why a job has no value. `type`, `message` and `place` are those of the exception, where there was one.
struct failure {
  errc code = errc::ok;  ///< the cause
  std::string type;      ///< of the exception; empty where none was thrown
  std::string message;   ///< what happened, in words
  std::string place;     ///< host, worker, attempt
  std::string remedy;    ///< what the reader can do
};

DTASK_END
