// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// Objects that the jobs of one client session share on one worker, by name: a dataset, a model, a connection. Each is
/// made once, by whoever asks first, and lives until the session ends or `drop`, and for as long as somebody has it.
/// At most `limit` names.
///
/// Thread safety: all members.
class shared_objects {
 public:
  /// Names in one session on one worker, at most.
  static constexpr std::size_t limit = 4096;

  shared_objects() = default;
  shared_objects(const shared_objects&) = delete;
  shared_objects& operator=(const shared_objects&) = delete;

  /// The object of this name; `make()` gives a `T` where there is none yet. Others that want it meanwhile wait on their
  /// threads; where `make` throws, that goes to its caller, and the next of them makes it. Throws `error`:
  /// `invalid_argument` (the name has an object of another type; `make` asks for its own name; a coroutine is making it
  /// just now), `too_large` (more than `limit` names).
  template <class T, class Make>
  std::shared_ptr<T> obtain(std::string_view name, Make&& make) {
    const std::shared_ptr<entry> at = find(name, typeid(T));
    std::unique_lock hold(at->guard);
    for (;;) {
      if (at->object) return std::static_pointer_cast<T>(at->object);
      if (at->state == stage::empty) break;
      if (at->state == stage::awaited)
        throw error(errc::invalid_argument, "the shared object '" + std::string(name) + "' is made by a coroutine", {},
                    "let its make function return a task everywhere, and co_await ctx.shared<T>(...)");
      if (at->maker == std::this_thread::get_id())
        throw error(errc::invalid_argument,
                    "the shared object '" + std::string(name) + "' is needed for making it itself", {},
                    "give the two objects two names");
      at->changed.wait(hold);
    }
    at->state = stage::made;
    at->maker = std::this_thread::get_id();
    hold.unlock();
    making under_way(*at);
    std::shared_ptr<T> made = take<T>(std::forward<Make>(make)());
    under_way.finish(made);
    return made;
  }

  /// The same where `make()` gives a `task<T>`: nobody blocks a thread. Under stop the wait ends, and so does the
  /// making, which the next who waits begins again.
  template <class T, class Make>
  static task<std::shared_ptr<T>> await(std::shared_ptr<shared_objects> self, std::string name, Make make) {
    const std::shared_ptr<entry> at = self->find(name, typeid(T));
    for (;;) {
      std::shared_ptr<event> ready;
      {
        const std::lock_guard hold(at->guard);
        if (at->object) co_return std::static_pointer_cast<T>(at->object);
        if (at->state == stage::empty) {
          at->state = stage::awaited;
          at->ended = std::make_shared<event>();
        } else if (at->state == stage::made) {
          throw error(errc::invalid_argument,
                      "the shared object '" + name + "' is made by a function that does not await", {},
                      "let its make function return a task everywhere");
        } else {
          ready = at->ended;
        }
      }
      if (!ready) break;
      co_await ready->wait();
    }
    making under_way(*at);
    auto coming = make();
    auto value = co_await std::move(coming);
    std::shared_ptr<T> made = take<T>(std::move(value));
    under_way.finish(made);
    co_return made;
  }

  /// Lets the object go: whoever asks next makes a new one. No effect where there is none, or while it is being made.
  void drop(std::string_view name) {
    std::shared_ptr<entry> gone;  // destroyed without the locks
    const std::lock_guard hold(guard_);
    const auto at = entries_.find(name);
    if (at == entries_.end()) return;
    gone = at->second;
    const std::lock_guard inner(gone->guard);
    if (gone->state == stage::empty) entries_.erase(at);
  }

 private:
  enum class stage : unsigned char { empty, made, awaited };
  struct entry {
    std::mutex guard;
    std::condition_variable changed;
    const std::type_info* type = nullptr;
    std::shared_ptr<void> object;
    stage state = stage::empty;  ///< of the making that is under way
    std::thread::id maker;
    std::shared_ptr<event> ended;
  };
  /// While somebody makes it; without `finish` it has failed, and the next may try.
  class making {
   public:
    explicit making(entry& of) noexcept : of_(of) {}
    making(const making&) = delete;
    making& operator=(const making&) = delete;
    ~making() {
      std::shared_ptr<event> ended;
      {
        const std::lock_guard hold(of_.guard);
        of_.state = stage::empty;
        of_.object = std::move(object_);
        ended = std::move(of_.ended);
        of_.changed.notify_all();
      }
      if (ended) ended->set();
    }
    void finish(std::shared_ptr<void> object) noexcept { object_ = std::move(object); }

   private:
    entry& of_;
    std::shared_ptr<void> object_;
  };

  /// A `T`, or a pointer to one.
  template <class T, class From>
  static std::shared_ptr<T> take(From&& from) {
    if constexpr (std::is_convertible_v<From, std::shared_ptr<T>>)
      return std::forward<From>(from);
    else
      return std::make_shared<T>(std::forward<From>(from));
  }

  std::shared_ptr<entry> find(std::string_view name, const std::type_info& type) {
    const std::lock_guard hold(guard_);
    auto at = entries_.find(name);
    if (at == entries_.end()) {
      if (entries_.size() >= limit)
        throw error(errc::too_large, "the session has " + std::to_string(limit) + " shared objects on this worker", {},
                    "share fewer, larger objects, or drop what is not needed any more");
      at = entries_.emplace(std::string(name), std::make_shared<entry>()).first;
      at->second->type = &type;
    }
    if (*at->second->type != type)
      throw error(errc::invalid_argument, "the shared object '" + std::string(name) + "' is of another type", {},
                  "give the two objects two names");
    return at->second;
  }

  std::mutex guard_;
  std::map<std::string, std::shared_ptr<entry>, std::less<>> entries_;
};

DTASK_END
