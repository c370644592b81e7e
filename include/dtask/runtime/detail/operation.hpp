// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/parts/short_lock.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN
namespace detail {

/// Memory for an operation's handler, inside the awaiter: one block at a time, larger ones come from the heap.
class handler_memory {
 public:
  void* take(std::size_t size) {
    if (used_ || size > sizeof buffer_) return ::operator new(size);
    used_ = true;
    return buffer_;
  }
  void give_back(void* at) noexcept {
    if (at == buffer_)
      used_ = false;
    else
      ::operator delete(at);
  }

 private:
  alignas(std::max_align_t) unsigned char buffer_[256];
  bool used_ = false;
};

template <class T>
class handler_allocator {
 public:
  using value_type = T;
  explicit handler_allocator(handler_memory& memory) noexcept : memory_(&memory) {}
  template <class U>
  handler_allocator(const handler_allocator<U>& other) noexcept : memory_(other.memory_) {}
  T* allocate(std::size_t n)
    requires(!std::is_void_v<T>)
  {
    return static_cast<T*>(memory_->take(n * sizeof(T)));
  }
  void deallocate(T* at, std::size_t) noexcept { memory_->give_back(at); }
  template <class U>
  bool operator==(const handler_allocator<U>& other) const noexcept {
    return memory_ == other.memory_;
  }

 private:
  template <class>
  friend class handler_allocator;
  handler_memory* memory_;
};

/// The part of an Asio operation in flight that does not know its signature: who waits, and how stop reaches it.
///
/// Both the operation's end and the emission of its cancellation happen on the waiting task's scheduler. A task resumes
/// only when neither of them is under way.
class operation : resumption {
 public:
  operation() noexcept {
    run = [](work_item& item) noexcept { static_cast<operation&>(item).finish(); };
  }
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  handler_memory& memory() noexcept { return memory_; }
  boost::asio::cancellation_slot slot() noexcept {
    return stoppable_ ? signal_.slot() : boost::asio::cancellation_slot();
  }
  bool stopped() const noexcept { return stopped_; }
  /// What the initiation threw, which came to nothing then.
  void check_initiated() const {
    if (failure_) [[unlikely]]
      std::rethrow_exception(failure_);
  }
  const environment& env() const noexcept { return *env_; }

  /// Starts with `initiate()`. False: stop was requested before, nothing was started. Afterwards another thread may
  /// have resumed the task.
  template <class Initiate>
  bool begin(std::coroutine_handle<> h, const environment& env, Initiate initiate) {
    env_ = &env;
    handle = h;
    stoppable_ = env.stop->stop_possible();
    // On a scheduler with several threads the task's end and its cancellation wait until the initiation is over: from
    // before stop can reach us.
    const bool locked = stoppable_ && !env.where->serial();
    if (locked) initiation_.lock();
    if (stoppable_) {
      on_stop_.self = this;
      on_stop_.fire = [](stop_link& link, errc) noexcept { static_cast<stop_entry&>(link).self->stop(); };
      if (env.stop->stop_requested() || !env.stop->add(on_stop_)) {
        if (locked) initiation_.unlock();
        stopped_ = true;
        return false;
      }
    }
    const void*& initiating = this_thread().initiating;
    const void* const outer = std::exchange(initiating, this);
    try {
      initiate();
    } catch (...) {
      initiating = outer;
      failure_ = std::current_exception();
      if (stoppable_) on_stop_.source->remove(on_stop_);
      // A cancellation that is on its way by now refers to this operation: it resumes the task.
      const bool suspended = emission_posted_;
      ended_ = suspended;
      if (locked) initiation_.unlock();
      return suspended;
    }
    initiating = outer;
    if (locked) initiation_.unlock();
    return true;
  }

  /// The handler was called: the result is stored.
  void complete() noexcept {
    const thread_state& thread = this_thread();
    // A handler that is called inside an initiation must not resume: the stack below still belongs to the initiation.
    if (!thread.initiating && (thread.current == env_->where || env_->where->runs_here()))
      finish();
    else
      env_->where->post(*this);
  }

 protected:
  ~operation() = default;

 private:
  struct stop_entry : stop_link {
    operation* self = nullptr;
  };
  struct emission : work_item {
    operation* self = nullptr;
  };

  /// On the thread that requests the stop: Asio wants the signal emitted where the operation was started.
  void stop() noexcept {
    emission_.self = this;
    emission_.run = [](work_item& item) noexcept { static_cast<emission&>(item).self->emit(); };
    emission_posted_ = true;
    env_->where->post(emission_);
  }
  void emit() noexcept {
    initiation_.lock();
    initiation_.unlock();
    bool ended;
    {
      const short_guard hold(lock_);
      ended = ended_;
    }
    if (!ended) {
      signal_.emit(boost::asio::cancellation_type::terminal);
      const short_guard hold(lock_);
      emitted_ = true;
      ended = ended_;
    }
    if (ended) resume(handle);
  }
  void finish() noexcept {
    if (stoppable_) {
      if (!env_->where->serial()) {
        initiation_.lock();
        initiation_.unlock();
      }
      on_stop_.source->remove(on_stop_);
      if (emission_posted_) {
        const short_guard hold(lock_);
        ended_ = true;
        // The emission is on its way or under way: it resumes the task.
        if (!emitted_) return;
      }
    }
    resume(handle);
  }

  const environment* env_ = nullptr;
  std::exception_ptr failure_;
  bool stoppable_ = false;
  bool stopped_ = false;
  bool emission_posted_ = false;
  bool ended_ = false;    // guarded by lock_
  bool emitted_ = false;  // guarded by lock_
  short_lock lock_, initiation_;
  stop_entry on_stop_;
  emission emission_;
  boost::asio::cancellation_signal signal_;
  handler_memory memory_;
};

/// What a completion's arguments become: an error code or exception in front is taken off and thrown.
template <class... Args>
struct completion_result {
  using error_type = void;
  using values = std::tuple<Args...>;
};
template <class... Args>
struct completion_result<boost::system::error_code, Args...> {
  using error_type = boost::system::error_code;
  using values = std::tuple<Args...>;
};
template <class... Args>
struct completion_result<std::exception_ptr, Args...> {
  using error_type = std::exception_ptr;
  using values = std::tuple<Args...>;
};

template <class... Values>
auto unpack(std::tuple<Values...>&& values) {
  if constexpr (sizeof...(Values) == 0)
    return;
  else if constexpr (sizeof...(Values) == 1)
    return std::get<0>(std::move(values));
  else
    return std::move(values);
}

}  // namespace detail
DTASK_END
