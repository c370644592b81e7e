// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/job/job_host.hpp"
#include "dtask/node/detail/blob_table.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// A value that a job waits for.
struct pending_fetch {
  std::uint64_t session = 0;
  std::string name;
  one_shot<result<blob>> done;
  std::uint64_t request = 0;  ///< of the node's thread
};
/// To the node's thread: it is wanted, or not any more.
struct fetch_letter {
  std::shared_ptr<pending_fetch> which;
  bool forget = false;
};
/// False where the worker has ended: the letter was not taken.
using fetch_sender = std::function<bool(fetch_letter)>;

/// What one attempt may ask its worker.
class attempt_host final : public job_host {
 public:
  attempt_host(std::shared_ptr<const blob_table> blobs, std::shared_ptr<shared_objects> shared, std::uint64_t session,
               const fetch_sender& send, std::string_view device = "cpu")
      : blobs_(blobs ? std::move(blobs) : std::make_shared<const blob_table>()),
        shared_(std::move(shared)),
        session_(session),
        send_(send),
        device_(device) {}

  const blob_source& blobs() const noexcept { return *blobs_; }
  blob_source::found find(std::string_view name) const override { return blobs_->find(name); }
  task<blob> fetch(std::string name) override { return await_value<>(*this, std::move(name)); }
  std::shared_ptr<shared_objects> shared() override { return shared_; }
  std::string_view device() const noexcept override { return device_; }

 private:
  // A template, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
  template <class = void>
  static task<blob> await_value(attempt_host& self, std::string name) {
    auto pending = std::make_shared<pending_fetch>();
    pending->session = self.session_;
    pending->name = std::move(name);
    if (!self.send_({pending, false})) throw error(errc::cancelled, "the worker has ended");
    std::exception_ptr stopped;
    try {
      auto value = co_await pending->done.wait();
      co_return std::move(value).value();
    } catch (...) {
      stopped = std::current_exception();
    }
    self.send_({std::move(pending), true});  // no effect where it has been answered
    std::rethrow_exception(stopped);
  }

  std::shared_ptr<const blob_table> blobs_;
  std::shared_ptr<shared_objects> shared_;
  std::uint64_t session_;
  const fetch_sender& send_;
  std::string_view device_;
};

}  // namespace detail
DTASK_END
