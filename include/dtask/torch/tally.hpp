// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Named sums over samples: right answers, losses, whatever a recipe counts. Whole numbers are summed exactly, doubles
/// in the order in which they are added and ranks are merged, so that the result is the same for any number of workers.
///
/// It travels. Not thread-safe: one tally per part, merged in rank order.
class tally {
 public:
  static constexpr std::size_t most_names = 256;    ///< different names in one tally
  static constexpr std::size_t longest_name = 128;  ///< bytes of a name

  /// Adds a whole number. Throws `error(errc::too_large)` where the sum leaves 64 bits, or for too many or too long
  /// names.
  template <std::integral Number>
  void add(std::string_view name, Number value) {
    if constexpr (std::unsigned_integral<Number> && sizeof(Number) == sizeof(std::int64_t))
      if (value > static_cast<Number>(std::numeric_limits<std::int64_t>::max())) throw_overflow(name);
    add_whole(sum_of(name), name, static_cast<std::int64_t>(value));
  }
  /// Adds a number.
  void add(std::string_view name, double value) { sum_of(name).real += value; }
  /// Adds the one element of a tensor, a whole number exactly: `t.add("right", answers.argmax(1).eq(targets).sum())`.
  /// On a device other than the CPU sums stay there, where whole ones wrap, until `settle`. Throws as the others, and
  /// `error(errc::invalid_argument)` for more elements or complex ones.
  void add(std::string_view name, const at::Tensor& value) {
    if (!value.defined() || value.numel() != 1 || value.is_complex())
      throw error(errc::invalid_argument, "what is added to a tally is one number, not a tensor of more",
                  std::string(name), "sum it first");
    const at::Tensor one = value.detach().reshape({});
    if (one.device().is_cpu()) return add_number(name, one);
    sum_of(name);  // the limits hold at once
    const bool whole = !one.is_floating_point();
    at::Tensor& to = later_[std::string(name)][whole ? 0 : 1];
    const at::Tensor wide = one.to(whole ? at::kLong : at::kDouble);
    to = to.defined() ? to.add(wide) : wide;
  }
  /// Reads what tensors have added on a device, and waits for it. The training loop calls it, once per part.
  void settle() {
    for (const auto& [name, sums] : later_)
      for (const at::Tensor& one : sums)
        if (one.defined()) add_number(name, one.cpu());
    later_.clear();
  }
  /// Counts samples, over which `mean` divides: the training loop calls it, once per batch.
  void count(std::int64_t samples) { samples_ += samples; }

  /// Adds what another one has; ranks in their order. Throws `error(errc::invalid_argument)` where one is not settled.
  void merge(const tally& other) {
    if (!later_.empty() || !other.later_.empty()) throw_unsettled(later_.empty() ? other : *this);
    samples_ += other.samples_;
    for (const auto& [name, theirs] : other.sums_) {
      sum& ours = sum_of(name);
      add_whole(ours, name, theirs.whole);
      ours.real += theirs.real;
    }
  }

  std::int64_t samples() const noexcept { return samples_; }  ///< how many were counted
  /// Whether something was added under this name.
  bool contains(std::string_view name) const { return sums_.find(name) != sums_.end(); }
  /// The sum of the whole numbers, exact. Throws `error(errc::not_found)` for a name that was never added,
  /// `errc::invalid_argument` for one whose sum still lies on a device.
  std::int64_t whole(std::string_view name) const { return find(name).whole; }
  /// The sum of all numbers, rounded. Throws as `whole`.
  double value(std::string_view name) const {
    const sum& s = find(name);
    return static_cast<double>(s.whole) + s.real;
  }
  /// The sum per sample; of no samples, 0.
  double mean(std::string_view name) const {
    const double total = value(name);
    return samples_ == 0 ? 0 : total / static_cast<double>(samples_);
  }
  /// All names, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, s] : sums_) out.push_back(name);
    return out;
  }

  /// @cond internal
  struct sum {
    std::int64_t whole = 0;
    double real = 0;
    friend bool operator==(const sum&, const sum&) = default;
  };
  /// @endcond

  /// Equal samples and sums; what still lies on a device does not count.
  friend bool operator==(const tally& a, const tally& b) { return a.samples_ == b.samples_ && a.sums_ == b.sums_; }
  /// For cereal.
  template <class Archive>
  void serialize(Archive& archive) {
    if (!later_.empty()) throw_unsettled(*this);
    archive(samples_, sums_);
  }

 private:
  sum& sum_of(std::string_view name) {
    const auto at = sums_.find(name);
    if (at != sums_.end()) return at->second;
    if (name.size() > longest_name || sums_.size() == most_names)
      throw error(errc::too_large,
                  "a tally has at most " + std::to_string(most_names) + " names of at most " +
                      std::to_string(longest_name) + " bytes",
                  std::string(name.substr(0, longest_name)), "add under names that do not depend on the data");
    return sums_[std::string(name)];
  }
  [[noreturn]] static void throw_unsettled(const tally& t) {
    throw error(errc::invalid_argument, "a sum of a tally still lies on a device", t.later_.begin()->first,
                "call settle() first");
  }
  const sum& find(std::string_view name) const {
    if (later_.find(name) != later_.end()) throw_unsettled(*this);
    const auto at = sums_.find(name);
    if (at == sums_.end())
      throw error(errc::not_found, "nothing was added to the tally under this name", std::string(name),
                  "check the recipe");
    return at->second;
  }
  void add_number(std::string_view name, const at::Tensor& one) {
    if (one.is_floating_point())
      add(name, one.item<double>());
    else
      add(name, one.item<std::int64_t>());
  }
  static void add_whole(sum& to, std::string_view name, std::int64_t value) {
    if (value > 0 ? to.whole > std::numeric_limits<std::int64_t>::max() - value
                  : to.whole < std::numeric_limits<std::int64_t>::min() - value)
      throw_overflow(name);
    to.whole += value;
  }
  [[noreturn]] static void throw_overflow(std::string_view name) {
    throw error(errc::too_large, "a sum of a tally does not fit into 64 bits", std::string(name), "add it as a double");
  }

  std::int64_t samples_ = 0;
  std::map<std::string, sum, std::less<>> sums_;
  std::map<std::string, std::array<at::Tensor, 2>, std::less<>> later_;  // whole and real sums on a device
};

DTASK_END
