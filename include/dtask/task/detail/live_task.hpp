// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"
#include "dtask/base/readable_name.hpp"

#if DTASK_DEBUG
#include <exception>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "dtask/task/parts/short_lock.hpp"
#endif

DTASK_BEGIN
namespace detail {

#if DTASK_DEBUG
/// A task's entry in the registry of live tasks: who awaits it and where it awaits.
class live_task {
 public:
  live_task() noexcept {
    const short_guard hold(guard());
    following_ = first();
    if (following_) following_->previous_ = this;
    first() = this;
  }
  ~live_task() {
    const short_guard hold(guard());
    if (previous_)
      previous_->following_ = following_;
    else
      first() = following_;
    if (following_) following_->previous_ = previous_;
  }
  live_task(const live_task&) = delete;
  live_task& operator=(const live_task&) = delete;

  void awaits_at(const std::source_location& at) noexcept {
    const short_guard hold(guard());
    at_ = at;
    started_ = true;
  }
  void awaited_by(const live_task& parent) noexcept {
    const short_guard hold(guard());
    parent_ = &parent;
  }
  /// Its frame may stay for a while, but it belongs to no stack any more.
  void ended() noexcept {
    const short_guard hold(guard());
    parent_ = nullptr;
    ended_ = true;
  }
  /// This task and those that wait for it, innermost first, one line each. The parents stand: they wait.
  std::vector<std::string> stack() const {
    const short_guard hold(guard());
    std::vector<std::string> lines;
    for (const live_task* t = this; t; t = t->parent_) lines.push_back(t->line());
    return lines;
  }
  /// One stack per task that no other live task names as its parent.
  static std::vector<std::vector<std::string>> all() {
    const short_guard hold(guard());
    std::vector<std::vector<std::string>> stacks;
    for (const live_task* t = first(); t; t = t->following_) {
      if (t->ended_) continue;
      bool awaits_another = false;
      for (const live_task* other = first(); other && !awaits_another; other = other->following_)
        awaits_another = other->parent_ == t;
      if (awaits_another) continue;
      stacks.emplace_back();
      for (const live_task* up = t; up; up = up->parent_) stacks.back().push_back(up->line());
    }
    return stacks;
  }

 private:
  static short_lock& guard() noexcept {
    static short_lock lock;
    return lock;
  }
  static live_task*& first() noexcept {
    static live_task* head = nullptr;
    return head;
  }
  std::string line() const {
    if (!started_) return "a task that has not awaited anything yet";
    std::string function = at_.function_name();
    // g++ names the actor function, `void f(f(int)::_Z1fi.Frame*)`: the coroutine's own name is inside.
    if (const auto frame = function.find("::_Z"); frame != std::string::npos) {
      if (const auto open = function.find('('); open < frame) function = function.substr(open + 1, frame - open - 1);
    }
    return readable_name(function) + " at " + at_.file_name() + ":" + std::to_string(at_.line());
  }
  live_task* previous_ = nullptr;
  live_task* following_ = nullptr;
  const live_task* parent_ = nullptr;
  std::source_location at_;
  bool started_ = false;
  bool ended_ = false;
};

/// The async stacks of the last exceptions that left a task, noted where they first did.
class exception_stacks {
 public:
  static void note(const std::exception_ptr& e, const live_task& origin) noexcept {
    try {
      std::vector<std::string> stack = origin.stack();
      const short_guard hold(guard());
      for (const auto& [known, lines] : kept()) {
        if (known == e) return;
      }
      if (kept().size() == limit) kept().erase(kept().begin());
      kept().emplace_back(e, std::move(stack));
    } catch (...) {
      // Without memory there is no stack.
    }
  }
  static std::vector<std::string> of(const std::exception_ptr& e) {
    const short_guard hold(guard());
    for (const auto& [known, lines] : kept()) {
      if (known == e) return lines;
    }
    return {};
  }

 private:
  static constexpr std::size_t limit = 32;
  static short_lock& guard() noexcept {
    static short_lock lock;
    return lock;
  }
  static std::vector<std::pair<std::exception_ptr, std::vector<std::string>>>& kept() noexcept {
    static std::vector<std::pair<std::exception_ptr, std::vector<std::string>>> list;
    return list;
  }
};
#endif

/// Notes that `child` is awaited by `parent`. Nothing without DTASK_DEBUG.
template <class Child, class Parent>
void note_parent([[maybe_unused]] Child& child, [[maybe_unused]] Parent& parent) noexcept {
#if DTASK_DEBUG
  child.live.awaited_by(parent.live);
#endif
}

}  // namespace detail
DTASK_END
