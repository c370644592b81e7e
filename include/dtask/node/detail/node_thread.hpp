// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/node/detail/process_memory.hpp"
#include "dtask/runtime/io_thread.hpp"

DTASK_BEGIN
namespace detail {

/// The thread on which nodes keep their links and take their decisions; no user code runs here, so nothing that a job
/// does delays a heartbeat. Whatever lives on it is taken down before it is destroyed.
class node_thread {
 public:
  /// `polling`: see `io_thread::set_polling`; zero: never. Throws std::system_error where the system has no thread or
  /// descriptor left for it.
  explicit node_thread(duration polling) {
    // Asio opens the descriptors of its reactor with the first timer or socket: here, where it may fail.
    try {
      const net::timer first(io_.get_executor());
    } catch (const boost::system::system_error& e) {
      throw std::system_error(e.code(), "cannot watch for events");
    }
    if (polling > duration::zero()) io_.set_polling(polling);
    post([when = std::make_shared<net::timer>(executor())] { trim_after_a_period(when); });
    process_memory::shared().node_began();
  }
  node_thread(const node_thread&) = delete;
  node_thread& operator=(const node_thread&) = delete;
  ~node_thread() { process_memory::shared().node_ended(); }

  net::executor executor() noexcept { return io_.get_executor(); }

  template <class F>
  void post(F f) {
    net::post(executor(), std::move(f));
  }
  /// Runs `f` on the thread and waits for its result. Not from the thread itself.
  template <class F>
  std::invoke_result_t<F&> call(F f) {
    using R = std::invoke_result_t<F&>;
    // Not std::packaged_task: libstdc++ makes its state in a static function template, which every unit that sees this
    // would compile, used or not.
    std::promise<R> done;
    auto result = done.get_future();
    net::post(executor(), [f = std::move(f), done = std::move(done)]() mutable {
      try {
        if constexpr (std::is_void_v<R>) {
          f();
          done.set_value();
        } else {
          done.set_value(f());
        }
      } catch (...) {
        done.set_exception(std::current_exception());
      }
    });
    return result.get();
  }

 private:
  /// The timer is kept by its own wait, which ends with the thread's context.
  static void trim_after_a_period(std::shared_ptr<net::timer> when) {
    when->expires_after(control::trim_schedule::period);
    net::timer& on = *when;
    net::wait(on, [when = std::move(when)](const boost::system::error_code& ec) mutable {
      if (ec) return;
      process_memory::shared().tick(std::chrono::time_point_cast<duration>(clock_type::now()));
      trim_after_a_period(std::move(when));
    });
  }

  io_thread io_;
};

}  // namespace detail
DTASK_END
