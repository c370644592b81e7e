// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dtask/base/call_request.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/job_state.hpp"
#include "dtask/node/detail/call_reply.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/one_shot.hpp"

DTASK_BEGIN
namespace detail {

/// What is to be woken when a batch of completions is over.
class completion_batch {
 public:
  wake_batch wakes;
  /// Sets the event of `owner` at the end of the batch, once for neighbours: a stream takes all that has arrived with
  /// one wake-up.
  void set_later(std::shared_ptr<event> owner) {
    if (events_.empty() || events_.back() != owner) events_.push_back(std::move(owner));
  }
  void flush() noexcept {
    wakes.flush();
    for (const auto& e : events_) e->set();
    events_.clear();
  }

 private:
  std::vector<std::shared_ptr<event>> events_;
};

/// A call on its way between its caller, on any thread, and the client's node.
class pending_call {
 public:
  virtual ~pending_call() = default;
  /// The client took the call: there was room. On the node's thread.
  virtual void accepted(completion_batch&) {}
  /// Its end. Once, on the node's thread; coroutines are resumed through the batch.
  virtual void complete(call_reply&& reply, completion_batch& batch) = 0;

  call_request request;    ///< until the node takes it
  time_point submitted{};  ///< when the caller submitted it
  std::atomic<job_state> state{job_state::unsent};
  std::uint64_t number = 0;  ///< of the node's thread; 0: not yet with its machine
};

/// A call that one task waits for.
class single_call final : public pending_call {
 public:
  void accepted(completion_batch& batch) override {
    if (tell_accepted) taken.set_in(batch.wakes);
  }
  void complete(call_reply&& reply, completion_batch& batch) override {
    if (tell_accepted) taken.set_in(batch.wakes);
    done.set_in(batch.wakes, std::move(reply));
  }
  bool tell_accepted = false;
  std::atomic<bool> end_taken{false};  ///< of a handle: `done` is waited for once
  one_shot<> taken;
  one_shot<call_reply> done;
};

}  // namespace detail
DTASK_END
