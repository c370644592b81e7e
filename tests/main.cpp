// SPDX-License-Identifier: BSL-1.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstring>

#include "program.hpp"

// The main of every test program. Exit codes: 0 passed, 1 failed, 77 passed but something was left out (CTest shows
// "Skipped").
int main(int argc, char** argv) {
  if (argc > 1 && std::strncmp(argv[1], "--role=", 7) == 0) {
    for (dtask_test::role* r = dtask_test::roles(); r != nullptr; r = r->next)
      if (std::strcmp(r->name, argv[1] + 7) == 0) return r->run(argc, argv);
    return 2;
  }
  doctest::Context context(argc, argv);
  const int failed = context.run();
  if (failed != 0 || context.shouldExit()) return failed;
  return dtask_test::left_out() != 0 ? 77 : 0;
}
