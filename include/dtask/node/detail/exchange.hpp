// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/job/codec.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/pending_call.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

inline remote_error to_remote_error(call_reply&& reply) {
  return remote_error(reply.why.code, std::move(reply.why.type), std::move(reply.why.message),
                      std::move(reply.why.place), std::move(reply.why.remedy), reply.attempts, std::move(reply.worker));
}

template <class R>
outcome<R> to_outcome(call_reply&& reply) {
  if (reply.why.code != errc::ok) return outcome<R>(to_remote_error(std::move(reply)));
  if constexpr (std::is_void_v<R>) {
    return outcome<R>({}, std::move(reply.worker), reply.attempts);
  } else {
    try {
      return outcome<R>(decode<R>(reply.value), std::move(reply.worker), reply.attempts);
    } catch (const std::exception& e) {
      return outcome<R>(remote_error(errc::decode_failed, {}, std::string("the result cannot be decoded: ") + e.what(),
                                     reply.worker, {}, reply.attempts, reply.worker));
    }
  }
}

// Templates, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<call_reply> wait_end(single_call& call) {
  call_reply reply = co_await call.done.wait();
  co_return reply;
}

/// The end of a call that is under way. Under stop it is cancelled, and its end awaited out of reach of the stop: the
/// client's machine bounds that.
template <class = void>
task<call_reply> await_end(std::shared_ptr<client_port> client, std::shared_ptr<single_call> call) {
  std::exception_ptr stopped;
  call_reply reply;
  try {
    reply = co_await call->done.wait();
  } catch (...) {
    stopped = std::current_exception();
  }
  if (stopped) {
    client->cancel(call);
    auto end = wait_end(*call);
    auto shielded_end = shield(std::move(end));
    co_await std::move(shielded_end);
    std::rethrow_exception(stopped);
  }
  co_return reply;
}

/// A call from its submission to its end.
template <class = void>
task<call_reply> exchange(std::shared_ptr<client_port> client, std::shared_ptr<single_call> call) {
  const environment& env = co_await this_environment();
  call->request.deadline = std::min(call->request.deadline, env.remaining());
  client->submit(call);
  auto end = await_end(client, call);
  co_return co_await std::move(end);
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
