// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>

#include "dtask/node/detail/exchange.hpp"

DTASK_BEGIN
namespace detail {

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
DTASK_INLINE task<call_reply> submitted_call::end() { return await_end(client_, call_); }
DTASK_INLINE void submitted_call::cancel() {
  if (call_ && !call_->done.is_set()) client_->cancel(call_);
}
DTASK_INLINE job_state submitted_call::state() const noexcept { return call_->state.load(std::memory_order_relaxed); }

}  // namespace detail
DTASK_END
