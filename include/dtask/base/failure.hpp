// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Why a job has no value. `type`, `message` and `place` are those of the exception, where there was one.
struct failure {
  errc code = errc::ok;
  std::string type;
  std::string message;
  std::string place;  ///< host, worker, attempt
  std::string remedy;
};

DTASK_END
