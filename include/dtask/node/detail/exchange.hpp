// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/pending_call.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

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
  call->request.wishes.deadline = std::min(call->request.wishes.deadline, env.remaining());
  client->submit(call);
  auto end = await_end(client, call);
  co_return co_await std::move(end);
}

}  // namespace detail
DTASK_END
