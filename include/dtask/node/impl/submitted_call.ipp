// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <memory>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/node/detail/exchange.hpp"

DTASK_BEGIN
namespace detail {

// A template, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<call_reply> end_once(std::shared_ptr<client_port> client, std::shared_ptr<single_call> call) {
  if (!call) throw error(errc::closed, "this handle of a job was moved from", {}, "use the one that has it now");
  if (call->end_taken.exchange(true, std::memory_order_relaxed))
    throw error(errc::invalid_argument, "the end of this job was given already", {},
                "await result() or outcome() of a handle once, and keep what it gives");
  auto end = await_end(std::move(client), std::move(call));
  co_return co_await std::move(end);
}

DTASK_INLINE submitted_call::submitted_call(std::shared_ptr<client_port> client,
                                            std::shared_ptr<single_call> call) noexcept
    : client_(std::move(client)), call_(std::move(call)) {}
DTASK_INLINE submitted_call::submitted_call(submitted_call&&) noexcept = default;
DTASK_INLINE submitted_call& submitted_call::operator=(submitted_call&& other) noexcept {
  if (this != &other) {
    cancel();
    client_ = std::move(other.client_);
    call_ = std::move(other.call_);
  }
  return *this;
}
DTASK_INLINE submitted_call::~submitted_call() { cancel(); }
DTASK_INLINE task<call_reply> submitted_call::end() { return end_once(client_, call_); }
DTASK_INLINE void submitted_call::cancel() {
  if (call_ && !call_->done.is_set()) client_->cancel(call_);
}
DTASK_INLINE job_state submitted_call::state() const noexcept {
  return call_ ? call_->state.load(std::memory_order_relaxed) : job_state::finished;
}

}  // namespace detail
DTASK_END
