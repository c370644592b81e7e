// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <memory>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dtask/base/call_request.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/job/arguments.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/call_options.hpp"
#include "dtask/node/detail/call_reply.hpp"
#include "dtask/node/detail/decode_reply.hpp"
#include "dtask/node/detail/range_source.hpp"
#include "dtask/node/detail/submitted_call.hpp"
#include "dtask/node/job_handle.hpp"
#include "dtask/node/map_stream.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// Calls jobs on a cluster under given options. Made by `cluster` (which is one, with the default options) and
/// `cluster::with`. Copies are cheap.
///
/// Arguments are given as the job takes them or as the fields of its one aggregate, and are encoded before the function
/// returns: nothing of the caller's expression is kept. Every call ends with a value or a cause: at its deadline at the
/// latest, `no_worker` where no worker runs such jobs, `coordinator_lost` where the coordinator is gone, `closed` where
/// the cluster is not connected. Thread safety: from any thread, and any number of calls at once.
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
    static_assert(require_job<J>());
    return handle_of<result_of<J>>(hand_over(J::name, J::effect_class, encode<J>(std::forward<Us>(arguments)...)));
  }
  /// Runs `J` for each item of a range: argument values, or tuples of arguments. A range that is no view and no
  /// temporary is copied. Nothing happens until the stream is asked for its first outcome. What `options` leave open is
  /// as this caller's own options say. Throws `error`: `closed` where the cluster is not connected, `unknown_job`.
  template <class J, std::ranges::input_range Range>
  map_stream<result_of<J>> map(Range&& range, const map_options& options = {}) const {
    static_assert(require_job<J>());
    using stored = std::remove_cvref_t<Range>;
    return map_stream<result_of<J>>(
        begin_map(J::name, J::effect_class,
                  std::make_unique<detail::range_source<J, stored>>(std::forward<Range>(range), limits_), options));
  }

  /// The same cluster under other options.
  caller with(const call_options& options) const;
  /// What its calls are made with, valid while this lives.
  const call_options& options() const noexcept { return options_; }

  /// @cond internal
 protected:
  caller(std::shared_ptr<detail::client_port> client, std::span<const job_entry> entries,
         const codec_limits& limits) noexcept;
  caller() = default;

  std::shared_ptr<detail::client_port> client_;
  std::span<const job_entry> entries_;
  codec_limits limits_;
  call_options options_;
  /// @endcond

 private:
  template <class J, class... Us>
  payload encode(Us&&... arguments) const {
    return encode_arguments<J>(limits_, std::forward<Us>(arguments)...);
  }
  template <class J, class... Us>
  task<detail::call_reply> begin(Us&&... arguments) const {
    static_assert(require_job<J>());
    payload encoded;
    std::exception_ptr failed;
    try {
      encoded = encode<J>(std::forward<Us>(arguments)...);
    } catch (...) {
      failed = std::current_exception();
    }
    return exchange(J::name, J::effect_class, std::move(encoded), std::move(failed));
  }
  template <class R>
  static task<job_handle<R>> handle_of(task<detail::submitted_call> coming) {
    co_return job_handle<R>(co_await std::move(coming));
  }

  // What does not depend on the types of a job.
  call_request form(std::string_view name, effect effect_class) const;
  /// `failed`: why the arguments could not be encoded; then that is the reply.
  task<detail::call_reply> exchange(std::string_view name, effect effect_class, payload arguments,
                                    std::exception_ptr failed) const;
  task<detail::submitted_call> hand_over(std::string_view name, effect effect_class, payload arguments) const;
  detail::map_core begin_map(std::string_view name, effect effect_class, std::unique_ptr<detail::item_source> items,
                             const map_options& options) const;
};

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/caller.ipp"
#endif
