// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/job/blob.hpp"

DTASK_BEGIN

/// The values of one client session as a worker holds them.
class blob_source {
 public:
  /// What the worker has of one name.
  struct found {
    bytes value;                ///< its bytes, where they are here
    std::uint64_t version = 0;  ///< 0: there is none
    bool here = true;           ///< false: it is known, and would have to be fetched
  };
  /// What there is of this name.
  virtual found find(std::string_view name) const = 0;

 protected:
  ~blob_source() = default;
};

namespace detail {

/// What `blob(name)` gives on a worker, or throws.
inline blob held_blob(blob_source::found found, std::string_view name, std::string_view worker) {
  if (found.version == 0)
    throw error(errc::not_found, "no broadcast named '" + std::string(name) + "' in this client's session",
                std::string(worker), "co_await cluster.broadcast(name, value) before submitting");
  if (!found.here)
    throw error(errc::not_found,
                "'" + std::string(name) + "' does not lie on this worker: it was published, or is too large for it",
                std::string(worker), "co_await ctx.fetch(name) in the job");
  return {static_cast<bytes&&>(found.value), found.version};
}

}  // namespace detail
DTASK_END
