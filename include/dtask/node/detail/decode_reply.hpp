// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/job/codec.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/job/remote_error.hpp"
#include "dtask/node/detail/call_reply.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// Why the reply brings no value.
remote_error to_remote_error(call_reply&& reply);
/// The same where its value could not be decoded, for the reason in flight. To be called in a catch block.
remote_error undecodable(call_reply&& reply);

template <class R>
outcome<R> to_outcome(call_reply&& reply) {
  if (reply.why.code != errc::ok) return outcome<R>(to_remote_error(std::move(reply)));
  if constexpr (std::is_void_v<R>) {
    return outcome<R>({}, std::move(reply.worker), reply.attempts);
  } else {
    try {
      return outcome<R>(decode<R>(reply.value), std::move(reply.worker), reply.attempts);
    } catch (...) {
      return outcome<R>(undecodable(std::move(reply)));
    }
  }
}

template <class R>
task<R> value_of(task<call_reply> coming) {
  call_reply reply = co_await std::move(coming);
  if (reply.why.code != errc::ok) throw to_remote_error(std::move(reply));
  if constexpr (!std::is_void_v<R>) {
    auto end = to_outcome<R>(std::move(reply));
    co_return std::move(end).value();
  }
}
template <class R>
task<outcome<R>> outcome_of(task<call_reply> coming) {
  call_reply reply = co_await std::move(coming);
  auto end = to_outcome<R>(std::move(reply));
  co_return std::move(end);
}

}  // namespace detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/decode_reply.ipp"
#endif
