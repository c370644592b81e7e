// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/fingerprint.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/torch/batch.hpp"

DTASK_BEGIN

/// Tensors in memory as a `data_loader`'s dataset: a batch is one `index_select` of each, inside `next()`.
///
/// Copies share the tensors, which must not be written to meanwhile. Thread-safe once it is set up.
class tensor_dataset {
 public:
  /// A batch is gathered inside `next()`, not handed over between threads.
  static constexpr bool in_memory = true;
  /// Changes a gathered batch in place: see `then`.
  using transform = std::function<void(batch&, sample_keys)>;

  /// `inputs` and `targets`: on the CPU, as many samples along the first dimension, at least one. Tensors that are not
  /// contiguous are copied once. Blocks for some 0.1 s a GB, which it hashes for `fingerprint`. Throws
  /// `error(invalid_argument)` for anything else.
  tensor_dataset(const at::Tensor& inputs, const at::Tensor& targets)
      : inputs_(prepared(inputs, "inputs")), targets_(prepared(targets, "targets")) {
    if (inputs_.size(0) != targets_.size(0))
      throw error(errc::invalid_argument,
                  std::to_string(inputs_.size(0)) + " inputs and " + std::to_string(targets_.size(0)) + " targets",
                  "tensor_dataset", "the first dimensions are the samples");
    content_fingerprint print;
    for (const at::Tensor* t : {&inputs_, &targets_}) {
      print.add(static_cast<std::uint64_t>(t->scalar_type()));
      for (const std::int64_t n : t->sizes()) print.add(static_cast<std::uint64_t>(n));
      print.add(std::span(static_cast<const std::byte*>(t->const_data_ptr()), t->nbytes()));
    }
    fingerprint_ = print.value();
  }

  /// From now on each gathered batch is changed by `change(batch, keys)`: whole tensors at once, with the random
  /// numbers of a sample from `keys.of(batch.samples[i])`.
  void then(transform change) { change_ = std::move(change); }

  std::uint64_t size() const { return static_cast<std::uint64_t>(inputs_.size(0)); }  ///< number of samples
  /// A hash of types, shapes and elements.
  std::uint64_t fingerprint() const noexcept { return fingerprint_; }
  const at::Tensor& inputs() const noexcept { return inputs_; }    ///< of all samples; shares their memory
  const at::Tensor& targets() const noexcept { return targets_; }  ///< of all samples; shares their memory

  /// The batch of these samples in this order, copied, then changed by the function of `then` with `keys`. A loader
  /// calls it. Throws c10::Error for a sample that does not exist, and what that function throws. Thread-safe.
  batch gather(std::span<const std::uint64_t> samples, sample_keys keys) const {
    batch out;
    out.samples.assign(samples.begin(), samples.end());
    // Indices below 2^62 are the same in both types; from_blob takes a writable pointer for any tensor.
    const at::Tensor index =
        at::from_blob(out.samples.data(), {static_cast<std::int64_t>(samples.size())}, at::TensorOptions(at::kLong));
    out.inputs = inputs_.index_select(0, index);
    out.targets = targets_.index_select(0, index);
    if (change_) change_(out, keys);
    return out;
  }

 private:
  static at::Tensor prepared(const at::Tensor& t, const char* what) {
    const auto refuse = [what](std::string why) {
      throw error(errc::invalid_argument, std::string(what) + ": " + std::move(why), "tensor_dataset",
                  "give dense tensors on the CPU whose first dimension is the samples");
    };
    if (!t.defined()) refuse("an undefined tensor");
    if (t.layout() != at::kStrided || !t.device().is_cpu()) refuse("not a dense tensor on the CPU");
    if (t.dim() < 1 || t.size(0) < 1) refuse("no samples");
    return t.detach().contiguous();
  }
  at::Tensor inputs_, targets_;
  transform change_;
  std::uint64_t fingerprint_ = 0;
};

DTASK_END
