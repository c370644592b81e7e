// SPDX-License-Identifier: BSL-1.0
// Preloaded, it lets the program start DTASK_TEST_THREADS threads, and refuses the next one as the system would. What
// the program starts is left alone.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

namespace {
using creator = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

int allowed() {
  const char* const text = std::getenv("DTASK_TEST_THREADS");
  const int count = text != nullptr ? std::atoi(text) : 1000000;
  ::unsetenv("DTASK_TEST_THREADS");
  ::unsetenv("LD_PRELOAD");
  return count;
}
std::atomic<int>& left() {
  static std::atomic<int> count{allowed()};
  return count;
}
// Before the program has threads, since it changes the environment.
[[gnu::constructor]] void begin() { left(); }
}  // namespace

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* with, void* (*run)(void*), void* argument) {
  static const auto real = reinterpret_cast<creator>(::dlsym(RTLD_NEXT, "pthread_create"));
  if (left().fetch_sub(1) <= 0) return EAGAIN;
  return real(thread, with, run, argument);
}
