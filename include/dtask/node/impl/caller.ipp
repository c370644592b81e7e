// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "dtask/base/error.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/exchange.hpp"
#include "dtask/node/detail/pending_call.hpp"
#include "dtask/task/environment.hpp"

DTASK_BEGIN
namespace detail {

// Templates, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<call_reply> not_begun(std::exception_ptr failed) {
  call_reply reply;
  reply.why = encoding_failure(failed);
  co_return reply;
}
template <class = void>
task<submitted_call> submit_when_there_is_room(std::shared_ptr<client_port> client, std::shared_ptr<single_call> call) {
  const environment& env = co_await this_environment();
  call->request.wishes.deadline = std::min(call->request.wishes.deadline, env.remaining());
  call->request.wishes.watch = true;
  call->tell_accepted = true;
  submitted_call handle(client, call);
  client->submit(call);
  co_await call->taken.wait();
  co_return std::move(handle);
}

}  // namespace detail

DTASK_INLINE caller::caller(std::shared_ptr<detail::client_port> client, std::span<const job_entry> entries,
                            const codec_limits& limits) noexcept
    : client_(std::move(client)), entries_(entries), limits_(limits) {}

DTASK_INLINE caller caller::with(const call_options& options) const {
  caller other = *this;
  other.options_ = options;
  return other;
}

DTASK_INLINE call_request caller::form(std::string_view name, effect effect_class) const {
  if (!client_)
    throw error(errc::closed, "this cluster is not connected", {},
                "use what cluster::connect gave, before it is moved");
  std::uint32_t at = 0;
  while (at < entries_.size() && entries_[at].name.data() != name.data() && entries_[at].name != name) ++at;
  if (at == entries_.size())
    throw error(errc::unknown_job, "the job " + std::string(name) + " is not in this program's registry", {},
                "add it to dtask::registry<...> of dtask::main or cluster::connect");
  call_request r;
  r.type = at;
  r.wishes.effect_class = effect_class;
  r.wishes.deadline = options_.deadline;
  r.wishes.no_worker_after = options_.no_worker_after;
  r.wishes.retry = {options_.retries, options_.backoff, options_.max_backoff, options_.retry_exceptions};
  return r;
}

DTASK_INLINE task<detail::call_reply> caller::exchange(std::string_view name, effect effect_class, payload arguments,
                                                       std::exception_ptr failed) const {
  if (!failed) {
    try {
      auto call = std::make_shared<detail::single_call>();
      call->request = form(name, effect_class);
      call->request.arguments = std::move(arguments);
      return detail::exchange(client_, std::move(call));
    } catch (...) {
      failed = std::current_exception();
    }
  }
  return detail::not_begun(std::move(failed));
}

DTASK_INLINE task<detail::submitted_call> caller::hand_over(std::string_view name, effect effect_class,
                                                            payload arguments) const {
  auto call = std::make_shared<detail::single_call>();
  call->request = form(name, effect_class);
  call->request.arguments = std::move(arguments);
  return detail::submit_when_there_is_room(client_, std::move(call));
}

DTASK_INLINE detail::map_core caller::begin_map(std::string_view name, effect effect_class,
                                                std::unique_ptr<detail::item_source> items,
                                                const map_options& options) const {
  call_request each = form(name, effect_class);
  each.wishes.deadline = options.deadline.value_or(each.wishes.deadline);
  each.wishes.no_worker_after = options.no_worker_after.value_or(each.wishes.no_worker_after);
  each.wishes.retry = {options.retries.value_or(options_.retries), options.backoff.value_or(options_.backoff),
                       options.max_backoff.value_or(options_.max_backoff),
                       options.retry_exceptions.value_or(options_.retry_exceptions)};
  return detail::map_core(client_, std::move(items), std::move(each), options);
}

DTASK_END
