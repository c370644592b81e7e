#pragma once
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/net/link.hpp"
#include "dtask/runtime/io_thread.hpp"

DTASK_BEGIN
namespace detail {

/// The thread on which nodes keep their links and take their decisions; no user code runs here, so nothing that a job does delays a heartbeat.
/// Whatever lives on it is taken down before it is destroyed.
class node_thread {
 public:
  /// `polling`: see `io_thread::set_polling`; zero: never.
  explicit node_thread(duration polling) {
    if (polling > duration::zero()) io_.set_polling(polling);
  }

  net::executor executor() noexcept { return io_.get_executor(); }

  template <class F>
  void post(F f) {
    boost::asio::post(io_.context(), std::move(f));
  }
  /// Runs `f` on the thread and waits for its result. Not from the thread itself.
  template <class F>
  std::invoke_result_t<F&> call(F f) {
    std::packaged_task<decltype(f())()> packed(std::move(f));
    auto result = packed.get_future();
    boost::asio::post(io_.context(), std::move(packed));
    return result.get();
  }

 private:
  io_thread io_;
};

}  // namespace detail
DTASK_END
