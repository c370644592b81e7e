// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <typeinfo>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/failure.hpp"
#include "dtask/base/readable_name.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/task/stop.hpp"

DTASK_BEGIN
namespace detail {

/// A type as it is written in C++.
inline std::string type_in_words(const std::type_info* type) {
  if (type == nullptr) return "an exception of unknown type";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(type->name(), nullptr, nullptr, &status),
                                                    &std::free);
  return status == 0 ? readable_name(text.get()) : type->name();
}

/// What the exception in flight says about a job. To be called in a catch block.
inline failure failure_in_flight(stop_token stop) {
  failure why;
  why.code = errc::job_failed;
  try {
    throw;
  } catch (const codec_failure& e) {
    why = failure_of(e.why());
  } catch (const error& e) {
    // The job ended because it was told to.
    if (stop.stop_requested() && e.code() == stop.cause()) {
      why.code = e.code();
      why.message = e.cause();
    } else {
      why.type = type_in_words(abi::__cxa_current_exception_type());
      why.message = e.what();
    }
  } catch (const std::exception& e) {
    why.type = type_in_words(abi::__cxa_current_exception_type());
    why.message = e.what();
  } catch (...) {
    why.type = type_in_words(abi::__cxa_current_exception_type());
    why.message = "not a std::exception";
  }
  // What a job throws may be of any length; a message of the control plane may not.
  if (why.message.size() > 8192) why.message.resize(8192);
  return why;
}

}  // namespace detail
DTASK_END
