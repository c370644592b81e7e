// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/async_result.hpp>

#include "dtask/base/config.hpp"
#include "dtask/runtime/detail/operation.hpp"

DTASK_BEGIN
namespace detail {

/// An Asio operation, started when it is awaited. `Throws`: an error ends the await with an exception; otherwise it is
/// the first element of a tuple.
template <bool Throws, class Initiation, class Bound, class... Args>
class operation_op;
template <bool Throws, class Initiation, class... Bound, class... Args>
class [[nodiscard("dtask: an operation with use_task starts when it is awaited")]] operation_op<
    Throws, Initiation, std::tuple<Bound...>, Args...> {
 public:
  template <class I, class... B>
  explicit operation_op(I&& initiation, B&&... bound)
      : initiation_(std::forward<I>(initiation)), bound_(std::forward<B>(bound)...) {}

  class awaiter : operation {
   public:
    explicit awaiter(operation_op& op) noexcept : op_(op) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
      // On the stack: the awaiter may be gone before the initiation returns.
      return begin(h, *h.promise().env,
                   [this, start = std::move(op_.initiation_), bound = std::move(op_.bound_)]() mutable {
                     std::apply([&](Bound&... b) { std::move(start)(handler{this}, std::move(b)...); }, bound);
                   });
    }
    auto await_resume() {
      check_initiated();
      using shape = completion_result<Args...>;
      using failure = typename shape::error_type;
      if constexpr (!Throws) {
        if (stopped()) {
          if constexpr (std::is_same_v<failure, boost::system::error_code>) {
            results_.emplace();
            std::get<0>(*results_) = boost::asio::error::operation_aborted;
          } else {
            throw_stopped(env());
          }
        }
        return unpack(std::move(*results_));
      } else {
        if (stopped()) throw_stopped(env());
        if constexpr (std::is_void_v<failure>) {
          return unpack(std::move(*results_));
        } else {
          if (std::get<0>(*results_)) raise(std::get<0>(*results_));
          return std::apply(
              [](auto&, auto&... values) {
                return unpack(std::tuple<std::remove_reference_t<decltype(values)>...>(std::move(values)...));
              },
              *results_);
        }
      }
    }

   private:
    struct handler {
      using allocator_type = handler_allocator<void>;
      using cancellation_slot_type = boost::asio::cancellation_slot;
      awaiter* self;
      allocator_type get_allocator() const noexcept { return allocator_type(self->memory()); }
      cancellation_slot_type get_cancellation_slot() const noexcept { return self->slot(); }
      template <class... A>
      void operator()(A&&... results) const {
        self->results_.emplace(std::forward<A>(results)...);
        self->complete();
      }
    };
    [[noreturn, gnu::noinline, gnu::cold]] void raise(const boost::system::error_code& e) {
      if (e == boost::asio::error::operation_aborted && env().stop->stop_requested()) throw_stopped(env());
      throw boost::system::system_error(e);
    }
    [[noreturn, gnu::noinline, gnu::cold]] void raise(const std::exception_ptr& e) {
      try {
        std::rethrow_exception(e);
      } catch (const boost::system::system_error& failure) {
        if (failure.code() == boost::asio::error::operation_aborted && env().stop->stop_requested())
          throw_stopped(env());
        throw;
      }
    }

    operation_op& op_;
    std::optional<std::tuple<Args...>> results_;
  };
  awaiter operator co_await() && noexcept { return awaiter(*this); }

 private:
  Initiation initiation_;
  std::tuple<Bound...> bound_;
};

}  // namespace detail

/// The completion token for tasks: `std::size_t n = co_await socket.async_read_some(buffer, use_task);`
///
/// The operation starts when it is awaited and keeps its state and its handler's memory in the awaiting frame, so it
/// costs what a callback costs. The task resumes on its own scheduler. Errors are thrown as
/// `boost::system::system_error`. Under stop it is not started; a stop while it runs cancels it through its
/// cancellation slot (terminal); both throw `error(cancelled)` or `error(deadline_exceeded)`. Sockets are used from
/// tasks on their own `io_thread`.
struct use_task_t {
  constexpr use_task_t() = default;
};
inline constexpr use_task_t use_task{};  ///< see `use_task_t`

/// The same without exceptions for errors of the operation: `auto [e, n] = co_await socket.async_read_some(buffer,
/// use_tuple);` Under stop `e` is `operation_aborted`.
struct use_tuple_t {
  constexpr use_tuple_t() = default;
};
inline constexpr use_tuple_t use_tuple{};  ///< see `use_tuple_t`

DTASK_END

/// @cond internal
template <class... Args>
class boost::asio::async_result<dtask::use_task_t, void(Args...)> {
 public:
  template <class Initiation, class... Bound>
  static auto initiate(Initiation&& initiation, dtask::use_task_t, Bound&&... bound) {
    return dtask::detail::operation_op<true, std::decay_t<Initiation>, std::tuple<std::decay_t<Bound>...>,
                                       std::decay_t<Args>...>(std::forward<Initiation>(initiation),
                                                              std::forward<Bound>(bound)...);
  }
};

template <class... Args>
class boost::asio::async_result<dtask::use_tuple_t, void(Args...)> {
 public:
  template <class Initiation, class... Bound>
  static auto initiate(Initiation&& initiation, dtask::use_tuple_t, Bound&&... bound) {
    return dtask::detail::operation_op<false, std::decay_t<Initiation>, std::tuple<std::decay_t<Bound>...>,
                                       std::decay_t<Args>...>(std::forward<Initiation>(initiation),
                                                              std::forward<Bound>(bound)...);
  }
};
/// @endcond
