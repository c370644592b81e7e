// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "dtask/base/blob_kind.hpp"
#include "dtask/base/bytes.hpp"
#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/failure.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/result.hpp"
#include "dtask/node/detail/pending_call.hpp"
#include "dtask/task/one_shot.hpp"

DTASK_BEGIN
namespace detail {

inline failure failure_of(const error& e) {
  return {.code = e.code(), .message = e.cause(), .place = e.place(), .remedy = e.remedy()};
}

/// Why the arguments of a call cannot be encoded; that is the call's end.
inline failure encoding_failure(const std::exception_ptr& failed) {
  try {
    std::rethrow_exception(failed);
  } catch (const error& e) {
    return failure_of(e);
  } catch (const std::exception& e) {
    return {.code = errc::encode_failed, .message = "the arguments cannot be encoded: " + message_of(e)};
  } catch (...) {
    return {.code = errc::encode_failed, .message = "the arguments cannot be encoded"};
  }
}

struct pending_broadcast {
  blob_kind kind = blob_kind::broadcast;
  std::string name;
  bytes value;
  one_shot<failure> done;
};
struct pending_status {
  one_shot<result<cluster_status>> done;
};

/// The client of a cluster as its callers see it. All members from any thread.
class client_port {
 public:
  virtual ~client_port() = default;
  /// Hands a call over; it ends with `complete`, whatever happens.
  virtual void submit(std::shared_ptr<pending_call> call) = 0;
  /// The result is not wanted any more.
  virtual void cancel(std::shared_ptr<pending_call> call) = 0;
  virtual void broadcast(std::shared_ptr<pending_broadcast> value) = 0;
  virtual void query_status(std::shared_ptr<pending_status> query) = 0;
  /// Orderly; `at_once`: without waiting for the ends of calls. `closed` is set at the end.
  virtual void close(bool at_once) = 0;

  /// Set when the first welcome has come, or when the first connection failed for good: then with why.
  one_shot<error> connected;
  /// Set when every call has been completed and the last words have been written.
  one_shot<> closed;
};

}  // namespace detail
DTASK_END
