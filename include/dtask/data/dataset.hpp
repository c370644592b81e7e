// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// What a dataset's function yields in the end: `T` of a `T`, a `result<T>`, a `task<T>` or a `task<result<T>>`.
template <class T>
struct settled {
  using type = T;  ///< the answer
};
/// @cond internal
template <class T>
struct settled<result<T>> : settled<T> {};
template <class T>
struct settled<task<T>> : settled<T> {};
/// @endcond
/// The same, of a type that may be constant or a reference.
template <class T>
using settled_t = typename settled<std::remove_cvref_t<T>>::type;

/// A dataset that fills whole batches, which is preferred: `gather(samples, keys)` returns the batch of these samples,
/// in this order, or a task of it. The span and what the dataset refers to stay valid until then.
template <class D>
concept gathering_dataset =
    requires(const D& d, std::span<const std::uint64_t> samples, sample_keys keys) { d.gather(samples, keys); };

/// A dataset that gives one sample at a time, read and decoded at once: `get(sample, random)`.
template <class D>
concept getting_dataset = requires(const D& d, std::uint64_t sample, sample_random& random) { d.get(sample, random); };

/// A dataset that gives one sample at a time in two stages: `read(sample)` fetches what is stored, `decode(raw,
/// random)` makes of it what goes into a batch.
template <class D>
concept reading_dataset = requires(const D& d, std::uint64_t sample, sample_random& random) {
  d.decode(std::declval<settled_t<decltype(d.read(sample))>>(), random);
};

/// A dataset of single samples that knows how much memory one will take before it is read: `expected_bytes(sample)`.
template <class D>
concept sizing_dataset = requires(const D& d, std::uint64_t sample) {
  { d.expected_bytes(sample) } -> std::convertible_to<std::uint64_t>;
};

namespace detail {

struct nothing {};

/// What a dataset that gives single samples makes of one.
template <class D>
struct sample_types {};
template <getting_dataset D>
struct sample_types<D> {
  using raw = nothing;
  using sample = settled_t<decltype(std::declval<const D&>().get(0, std::declval<sample_random&>()))>;
};
template <reading_dataset D>
  requires(!getting_dataset<D>)
struct sample_types<D> {
  using raw = settled_t<decltype(std::declval<const D&>().read(0))>;
  using sample =
      settled_t<decltype(std::declval<const D&>().decode(std::declval<raw>(), std::declval<sample_random&>()))>;
};

}  // namespace detail

/// A dataset whose samples, one at a time, become a batch: `collate(samples)`.
template <class D>
concept collating_dataset = requires(const D& d, std::vector<typename detail::sample_types<D>::sample> samples) {
  d.collate(std::move(samples));
};

/// What a `data_loader` loads. Shared and constant: every function is called from several threads at once.
///
/// - `std::uint64_t size() const`: the number of samples, at least 1.
/// - `std::uint64_t fingerprint() const`: the same for the same samples in the same order, another for others: what a
///   stored `loader_state` is checked against.
/// - `gather(std::span<const std::uint64_t> samples, sample_keys keys) const`: a whole batch; or, sample by sample,
///   `get(std::uint64_t sample, sample_random random) const`, or `read(std::uint64_t sample) const` and
///   `decode(Raw raw, sample_random random) const`, and then `collate(std::vector<Sample> samples) const`.
/// - Each returns its value, a `task` of it where it awaits something, and for one sample also a `result` of it. A
///   function that returns a task takes its parameters by value, as the declarations here do.
/// - Random numbers come from `random`, or `keys.of(sample)`: they belong to (seed, epoch, sample).
/// - A sample that cannot be used throws `bad_sample`, or is an error in its `result`: it is left out, up to the
///   loader's limit. Any other exception ends the loading and arrives where the batch would have.
/// - `std::string source(std::uint64_t sample) const`, optional: what the sample is called in errors, as its file.
/// - `std::uint64_t expected_bytes(std::uint64_t sample) const`, optional, for single samples: the most that one will
///   hold, its part of the batch included; above 0, and known without reading it, as from the size of its file. The
///   loader's bound in bytes then holds whatever comes, where a sample counts as the largest so far otherwise. Does not
///   throw.
/// - `static constexpr bool in_memory = true`, optional, for a `gather` that returns the batch itself: it is called
///   inside `next()`, on the consumer's thread, since handing a copy over costs more than making it.
///
/// Types that take much memory tell how much (see `held_bytes`).
template <class D>
concept dataset = requires(const D& d) {
  { d.size() } -> std::convertible_to<std::uint64_t>;
  { d.fingerprint() } -> std::convertible_to<std::uint64_t>;
} && (gathering_dataset<D> || collating_dataset<D>);

namespace detail {

template <class D>
constexpr bool gathers_in_memory = false;
template <class D>
  requires requires { requires D::in_memory; }
constexpr bool gathers_in_memory<D> = true;

/// The types between a dataset's stages.
template <class D>
struct dataset_types : sample_types<D> {
  using batch = settled_t<decltype(std::declval<const D&>().collate(
      std::declval<std::vector<typename sample_types<D>::sample>>()))>;
};
template <gathering_dataset D>
struct dataset_types<D> {
  using raw = nothing;
  using sample = nothing;
  using batch = settled_t<decltype(std::declval<const D&>().gather(std::declval<std::span<const std::uint64_t>>(),
                                                                   sample_keys{}))>;
};

template <class D>
std::string source_of(const D& dataset, std::uint64_t sample) {
  if constexpr (requires { std::string(dataset.source(sample)); })
    return dataset.source(sample);
  else
    return {};
}

}  // namespace detail

/// The type of a dataset's batches.
template <class D>
using batch_of = typename detail::dataset_types<D>::batch;

DTASK_END
