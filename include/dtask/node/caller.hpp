// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/job/arguments.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/call_options.hpp"
#include "dtask/node/detail/exchange.hpp"
#include "dtask/node/job_handle.hpp"
#include "dtask/node/map_stream.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

template <class J, class Item>
payload encode_item(const codec_limits& limits, Item&& item) {
  if constexpr (callable_with<J, Item>) {
    return encode_arguments<J>(limits, std::forward<Item>(item));
  } else {
    return std::apply([&]<class... Us>(Us&&... us) { return encode_arguments<J>(limits, std::forward<Us>(us)...); },
                      std::forward<Item>(item));
  }
}
template <class J, std::ranges::input_range Range>
class range_source final : public item_source {
 public:
  range_source(Range range, const codec_limits& limits) : range_(std::move(range)), limits_(limits) {}
  bool next(payload& arguments) override {
    // The first item is made when it is needed, and each one only then: a range may decode pictures as it goes.
    if (!at_)
      at_.emplace(std::ranges::begin(range_));
    else if (stepped_)
      ++*at_;
    stepped_ = false;
    if (*at_ == std::ranges::end(range_)) return false;
    stepped_ = true;
    arguments = encode_item<J>(limits_, **at_);
    return true;
  }

 private:
  Range range_;
  codec_limits limits_;
  std::optional<std::ranges::iterator_t<Range>> at_;
  bool stepped_ = false;
};

}  // namespace detail

/// Calls jobs on a cluster under given options. Made by `cluster` (which is one, with the default options) and
/// `cluster::with`. Copies are cheap.
///
/// Arguments are given as the job takes them or as the fields of its one aggregate, and are encoded before the function
/// returns: nothing of the caller's expression is kept. Every call ends with a value or a cause: at its deadline at the
/// latest, `no_worker` where no worker runs such jobs, `coordinator_lost` where the coordinator is gone. Thread safety:
/// from any thread, and any number of calls at once.
class caller {
 public:
  /// Runs job `J` on a worker and gives its result. Throws `remote_error` (what the job threw, or why it could not be
  /// run), or `error(cancelled)` under stop. Cancellation: before dispatch the job is not run; after, its stop token is
  /// set, and its end is awaited.
  template <class J, class... Us>
  task<result_of<J>> call(Us&&... arguments) const {
    return detail::value_of<result_of<J>>(begin<J>(std::forward<Us>(arguments)...));
  }
  /// The same with an outcome, which also names the worker and the number of attempts. Throws under stop only.
  template <class J, class... Us>
  task<outcome<result_of<J>>> try_call(Us&&... arguments) const {
    return detail::outcome_of<result_of<J>>(begin<J>(std::forward<Us>(arguments)...));
  }
  /// Hands a job over and gives a handle as soon as the client has room for it; suspends while the windows are full.
  /// Throws under stop.
  template <class J, class... Us>
  task<job_handle<result_of<J>>> submit(Us&&... arguments) const {
    return hand_over<result_of<J>>(client_, prepare<J>(std::forward<Us>(arguments)...));
  }
  /// Runs `J` for each item of a range: argument values, or tuples of arguments. A range that is no view and no
  /// temporary is copied. Nothing happens until the stream is asked for its first outcome.
  template <class J, std::ranges::input_range Range>
  map_stream<result_of<J>> map(Range&& range, const map_options& options = {}) const {
    using stored = std::remove_cvref_t<Range>;
    detail::call_form form = request<J>();
    form.deadline = options.deadline;
    form.no_worker_after = options.no_worker_after;
    form.retry = {options.retries, options.backoff, options.max_backoff, options.retry_exceptions};
    return map_stream<result_of<J>>(
        client_, std::make_unique<detail::range_source<J, stored>>(std::forward<Range>(range), limits_),
        std::move(form), options);
  }

  /// The same cluster under other options.
  caller with(const call_options& options) const {
    caller other = *this;
    other.options_ = options;
    return other;
  }
  const call_options& options() const noexcept { return options_; }

 protected:
  caller(std::shared_ptr<detail::client_port> client, std::span<const job_entry> entries, const codec_limits& limits)
      : client_(std::move(client)), entries_(entries), limits_(limits) {}
  caller() = default;

  std::shared_ptr<detail::client_port> client_;
  std::span<const job_entry> entries_;
  codec_limits limits_;
  call_options options_;

 private:
  template <class J>
  detail::call_form request() const {
    static_assert(require_job<J>());
    detail::call_form r;
    std::uint32_t at = 0;
    while (at < entries_.size() && entries_[at].name.data() != std::string_view(J::name).data() &&
           entries_[at].name != J::name)
      ++at;
    if (at == entries_.size())
      throw error(errc::unknown_job, "the job " + std::string(J::name) + " is not in this program's registry", {},
                  "add it to dtask::registry<...> of dtask::main or cluster::connect");
    r.type = at;
    r.effect_class = J::effect_class;
    r.deadline = options_.deadline;
    r.no_worker_after = options_.no_worker_after;
    r.retry = {options_.retries, options_.backoff, options_.max_backoff, options_.retry_exceptions};
    return r;
  }
  template <class J, class... Us>
  std::shared_ptr<detail::single_call> prepare(Us&&... arguments) const {
    auto call = std::make_shared<detail::single_call>();
    call->request = request<J>();
    call->request.arguments = encode_arguments<J>(limits_, std::forward<Us>(arguments)...);
    return call;
  }
  template <class J, class... Us>
  task<detail::call_reply> begin(Us&&... arguments) const {
    std::exception_ptr failed;
    try {
      return detail::exchange(client_, prepare<J>(std::forward<Us>(arguments)...));
    } catch (...) {
      failed = std::current_exception();
    }
    return not_begun(failed);
  }
  template <class = void>
  static task<detail::call_reply> not_begun(std::exception_ptr failed) {
    detail::call_reply reply;
    try {
      std::rethrow_exception(failed);
    } catch (const error& e) {
      reply.why = detail::failure_of(e);
    } catch (const std::exception& e) {
      reply.why =
          detail::failure_of(error(errc::encode_failed, std::string("the arguments cannot be encoded: ") + e.what()));
    }
    co_return reply;
  }
  template <class R>
  static task<job_handle<R>> hand_over(std::shared_ptr<detail::client_port> client,
                                       std::shared_ptr<detail::single_call> call) {
    const environment& env = co_await this_environment();
    call->request.deadline = std::min(call->request.deadline, env.remaining());
    call->request.watch = true;
    call->tell_accepted = true;
    job_handle<R> handle(client, call);
    client->submit(call);
    co_await call->taken.wait();
    co_return std::move(handle);
  }
};

DTASK_END
