// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <string>

#include "dtask/base/message_of.hpp"

DTASK_BEGIN
namespace detail {

DTASK_INLINE remote_error to_remote_error(call_reply&& reply) {
  return remote_error(reply.why.code, std::move(reply.why.type), std::move(reply.why.message),
                      std::move(reply.why.place), std::move(reply.why.remedy), reply.attempts, std::move(reply.worker));
}
DTASK_INLINE remote_error undecodable(call_reply&& reply) {
  try {
    throw;
  } catch (const std::exception& e) {
    return remote_error(errc::decode_failed, {}, "the result cannot be decoded: " + message_of(e), reply.worker, {},
                        reply.attempts, reply.worker);
  }
}

}  // namespace detail
DTASK_END
