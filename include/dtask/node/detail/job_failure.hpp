// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cxxabi.h>

#include <exception>
#include <string>
#include <typeinfo>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/failure.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/readable_name.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/task/stop.hpp"

DTASK_BEGIN
namespace detail {

/// The type of the exception in flight.
inline std::string type_in_flight() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  return type == nullptr ? "an exception of unknown type" : readable_name(*type);
}

/// What the exception in flight says about a job. To be called in a catch block.
inline failure failure_in_flight(stop_token stop) {
  const auto thrown = [](std::string words) {
    return failure{.code = errc::job_failed, .type = type_in_flight(), .message = std::move(words)};
  };
  failure why;
  try {
    throw;
  } catch (const codec_failure& e) {
    why = failure_of(e.why());
  } catch (const error& e) {
    // The job ended because it was told to.
    if (stop.stop_requested() && e.code() == stop.cause())
      why = {.code = e.code(), .message = e.cause()};
    else
      why = thrown(message_of(e));
  } catch (const std::exception& e) {
    why = thrown(message_of(e));
  } catch (...) {
    why = thrown("not a std::exception");
  }
  // What a job throws may be of any length; a message of the control plane may not.
  if (why.message.size() > 8192) why.message.resize(8192);
  return why;
}

}  // namespace detail
DTASK_END
