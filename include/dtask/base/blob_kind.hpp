// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// What becomes of a value that a client gives a name, for its jobs.
enum class blob_kind : std::uint8_t {
  broadcast = 0,  ///< every worker of the session's jobs gets the value before them
  published = 1,  ///< those workers are told of it; the value goes to those that ask
  fetched = 2,    ///< the value of a published one, for a worker that has asked (never from a client)
  withdrawn = 3,  ///< there is none of this name any more
};

DTASK_END
