// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <memory>
#include <span>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dtask/base/config.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace detail {

/// XXH3-128 of runs of bytes as if they were one.
inline wire::digest xxh3_digest(std::span<const std::span<const std::byte>> runs) {
  XXH128_hash_t hash;
  if (runs.size() == 1) {
    hash = XXH3_128bits(runs[0].data(), runs[0].size());
  } else {
    const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), &XXH3_freeState);
    XXH3_128bits_reset(state.get());
    for (const auto& run : runs) XXH3_128bits_update(state.get(), run.data(), run.size());
    hash = XXH3_128bits_digest(state.get());
  }
  return {hash.low64, hash.high64};
}

}  // namespace detail
DTASK_END
