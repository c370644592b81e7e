// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/system/system_error.hpp>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <system_error>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/message_of.hpp"
#include "dtask/base/shortage.hpp"
#include "dtask/cli/exit_code.hpp"

DTASK_BEGIN
namespace detail {

/// Says in one line why the program ends, and gives the exit code for it.
inline int explain(std::string_view program, const std::exception_ptr& why) {
  try {
    std::rethrow_exception(why);
  } catch (const error& e) {
    complain(program, message_of(e));
    return exit_code_of(e.code());
  } catch (const std::system_error& e) {
    complain(program, system_failure(e.code(), message_of(e)).what());
  } catch (const boost::system::system_error& e) {
    complain(program, system_failure(e.code(), message_of(e)).what());
  } catch (const std::bad_alloc&) {
    complain(program, "no memory is left: raise the limits of this user or container, or end other programs");
  } catch (const std::exception& e) {
    complain(program, message_of(e));
  } catch (...) {
    complain(program, "ended by an exception of unknown type");
  }
  return exit_code::failed;
}

/// Where what must not throw meets the end of a resource, the C++ runtime ends the program: with one line and an exit
/// code then, not with a core. What else ends it so is a mistake, and stays one.
class orderly_terminate {
 public:
  /// From here on, for the whole process. `program`: its name in the line; the last one counts.
  static void install(std::string_view program) {
    name_ = program;
    static const std::terminate_handler usual = std::set_terminate(&ended);
    usual_ = usual;
  }

 private:
  [[noreturn]] static void ended() {
    if (const auto why = std::current_exception()) {
      bool resource = false;
      try {
        std::rethrow_exception(why);
      } catch (const std::system_error& e) {
        resource = !shortage(e.code()).empty();
      } catch (const boost::system::system_error& e) {
        resource = !shortage(e.code()).empty();
      } catch (const std::bad_alloc&) {
        resource = true;
      } catch (...) {
      }
      if (resource) std::_Exit(explain(name_, why));
    }
    if (usual_ != nullptr) usual_();
    std::abort();
  }
  inline static std::string name_;
  inline static std::terminate_handler usual_ = nullptr;
};

}  // namespace detail
DTASK_END
