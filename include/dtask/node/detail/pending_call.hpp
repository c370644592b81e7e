#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace detail {

/// The one end of a call as it came, not yet decoded.
struct call_reply {
  wire::failure why;  ///< code ok: the value is there
  payload value;
  std::uint32_t attempts = 0;
  std::string worker;
};

/// A call on its way between its caller, on any thread, and the client's node.
class pending_call {
 public:
  virtual ~pending_call() = default;
  /// The client took the call: there was room. On the node's thread.
  virtual void accepted(wake_batch&) {}
  /// Its end. Once, on the node's thread; coroutines are resumed through the batch.
  virtual void complete(call_reply&& reply, wake_batch& wakes) = 0;

  control::call_request request;       ///< until it is accepted
  time_point submitted{};              ///< when the caller submitted it
  std::atomic<wire::job_state> state{wire::job_state::unsent};
  // Of the node's thread:
  std::uint64_t number = 0;  ///< 0: not yet accepted
  bool ended = false;
};

/// A call that one task waits for.
class single_call final : public pending_call {
 public:
  void accepted(wake_batch& wakes) override {
    if (tell_accepted) taken.set_in(wakes);
  }
  void complete(call_reply&& reply, wake_batch& wakes) override {
    if (tell_accepted) taken.set_in(wakes);
    done.set_in(wakes, std::move(reply));
  }
  bool tell_accepted = false;
  one_shot<> taken;
  one_shot<call_reply> done;
};

}  // namespace detail
DTASK_END
