// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <cstddef>
#include <iterator>
#include <utility>

namespace dtask_test {

/// As std::generator<int>: what is thrown inside comes out of begin() or ++, and the coroutine is then at its end.
class number_generator {
 public:
  struct promise_type {
    int value = 0;
    number_generator get_return_object() { return number_generator(handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int v) {
      value = v;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  using handle = std::coroutine_handle<promise_type>;
  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    explicit iterator(handle h) : at_(h) {}
    int operator*() const { return at_.promise().value; }
    iterator& operator++() {
      at_.resume();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) { return i.at_.done(); }

   private:
    handle at_;
  };

  number_generator(number_generator&& other) noexcept : body_(std::exchange(other.body_, {})) {}
  ~number_generator() {
    if (body_) body_.destroy();
  }
  iterator begin() {
    body_.resume();
    return iterator(body_);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  explicit number_generator(handle h) : body_(h) {}
  handle body_;
};

}  // namespace dtask_test
