// SPDX-License-Identifier: BSL-1.0
#include "dtask/cli/detail/explain.hpp"

#include <doctest/doctest.h>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <csignal>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "faults/process.hpp"
#include "program.hpp"

using faults::process;

namespace {

void fail(std::string_view how) {
  if (how == "thread") throw std::system_error(EAGAIN, std::generic_category());
  if (how == "descriptor")
    throw boost::system::system_error(boost::system::error_code(EMFILE, boost::system::system_category()), "epoll");
  if (how == "memory") throw std::bad_alloc();
  if (how == "other") throw std::system_error(EACCES, std::generic_category());
  throw std::logic_error("a mistake");
}
void must_not_throw(std::string_view how) noexcept { fail(how); }

const dtask_test::role ends_by_terminate("ends_by_terminate", [](int, char** argv) -> int {
  dtask::detail::orderly_terminate::install("first");
  dtask::detail::orderly_terminate::install("program");
  const std::string how = argv[2];
  if (std::string_view(argv[3]) == "thread")
    std::thread([&how] { fail(how); }).join();
  else
    must_not_throw(how);
  return 0;
});

template <class Base>
struct says_nothing : Base {
  using Base::Base;
  const char* what() const noexcept override { return nullptr; }
};
const dtask_test::role explains_null("explains_null", [](int, char** argv) -> int {
  const std::string_view how = argv[2];
  std::exception_ptr why;
  if (how == "exception") why = std::make_exception_ptr(says_nothing<std::exception>());
  if (how == "ours") why = std::make_exception_ptr(says_nothing<dtask::error>(dtask::errc::io_error));
  if (how == "system") why = std::make_exception_ptr(says_nothing<std::system_error>(EMFILE, std::generic_category()));
  return dtask::detail::explain("program", why);
});

}  // namespace

TEST_CASE("an exception whose what() is null is explained in one line like others") {
  for (const char* how : {"exception", "ours", "system"}) {
    CAPTURE(how);
    process p({dtask_test::self(), "--role=explains_null", how});
    const auto end = p.wait();
    REQUIRE(end);
    CHECK(end->code == dtask::exit_code::failed);
    const auto lines = p.lines(process::err);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].starts_with("program: "));
    CHECK(lines[0].find("whose what() is null") != std::string::npos);
  }
}

TEST_CASE("a shortage where nothing may throw ends the program with one line; a mistake stays one") {
  struct expected {
    const char* how;
    const char* says;
  };
  for (const char* where : {"thread", "noexcept"}) {
    CAPTURE(where);
    for (const expected& e : {expected{"thread", "no thread or process left"},
                              {"descriptor", "no descriptor left (epoll"},
                              {"memory", "no memory is left"}}) {
      CAPTURE(e.how);
      process p({dtask_test::self(), "--role=ends_by_terminate", e.how, where});
      const auto end = p.wait();
      REQUIRE(end);
      CHECK(end->code == dtask::exit_code::failed);
      const auto lines = p.lines(process::err);
      REQUIRE(lines.size() == 1);
      CHECK(lines[0].starts_with("program: "));
      CHECK(lines[0].find(e.says) != std::string::npos);
      CHECK(lines[0].find("raise the limits") != std::string::npos);
    }
    for (const char* how : {"other", "mistake"}) {
      process p({dtask_test::self(), "--role=ends_by_terminate", how, where});
      const auto end = p.wait();
      REQUIRE(end);
      CHECK(end->signal == SIGABRT);
    }
  }
}
