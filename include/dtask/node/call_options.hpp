// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/retry_policy.hpp"

DTASK_BEGIN

/// True for a type whose values can be written in braces inside a `co_await` expression, as options are: g++ 12
/// destroys such temporaries twice.
template <class Options>
consteval bool require_options() {
  static_assert(std::is_trivially_destructible_v<Options>,
                "dtask: options are trivially destructible: no strings and no containers, but string_view, numbers, "
                "enums and chrono");
  return std::is_trivially_destructible_v<Options>;
}

/// How calls are to be treated, and the items of a map whose own options say nothing else:
/// `auto urgent = c.with({.retries = 5, .deadline = 30s});`
struct call_options {
  std::uint32_t retries =
      3;  ///< attempts after the first: after a loss where the job's effect class allows, and after an overload
  duration deadline = default_deadline;  ///< from the submission to the outcome; `no_deadline` lifts it
  duration no_worker_after =
      std::chrono::seconds(60);   ///< without any worker for the job for this long it ends with `no_worker`
  bool retry_exceptions = false;  ///< run a job again that threw
  duration backoff = std::chrono::milliseconds(50);  ///< before the first retry; doubles
  duration max_backoff = std::chrono::seconds(5);    ///< where the doubling ends
};

/// In which order `map_stream::next` gives the outcomes.
enum class map_order : std::uint8_t {
  ordered,    ///< in the order of the items
  unordered,  ///< as they come
};
inline constexpr map_order ordered = map_order::ordered;      ///< results in the order of the items
inline constexpr map_order unordered = map_order::unordered;  ///< results as they come

/// How a range of items is mapped: `c.map<classify>(images(), {.order = dtask::unordered, .window = 512, .deadline =
/// 10min});` What is not set here is as the caller's `call_options` say (`caller::with`).
struct map_options {
  map_order order = map_order::ordered;  ///< of the outcomes
  std::size_t window = 256;  ///< items sent and not yet taken by `next()`, at most: the back-pressure. At least 1
  /// No item is taken from the range while the encoded arguments of open items and the results that wait for `next()`
  /// are this many bytes or more; one item is always under way.
  std::uint64_t window_bytes = std::uint64_t{256} << 20;
  std::optional<duration> deadline = std::nullopt;         ///< of each item, from its own submission
  std::optional<std::uint32_t> retries = std::nullopt;     ///< as in `call_options`, for each item
  std::optional<duration> no_worker_after = std::nullopt;  ///< as in `call_options`, for each item
  std::optional<bool> retry_exceptions = std::nullopt;     ///< as in `call_options`, for each item
  std::optional<duration> backoff = std::nullopt;          ///< as in `call_options`, for each item
  std::optional<duration> max_backoff = std::nullopt;      ///< as in `call_options`, for each item
};

static_assert(require_options<call_options>() && require_options<map_options>());

DTASK_END
