// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/ATen.h>
#include <c10/core/Device.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/cuda/device.hpp"
#include "dtask/cuda/device_error.hpp"
#include "dtask/cuda/pinned_ring.hpp"
#include "dtask/task/task.hpp"
#include "dtask/torch/batch.hpp"

DTASK_BEGIN
namespace cuda {

/// Copies a loader's batches to a device, through pinned memory and on a stream of its own: for `copy_stage`, or by
/// hand:
///
///     auto there = co_await to_device.start(std::move(batch));  // enqueued; the network may be computing meanwhile
///     dtask::batch b = to_device.hand_over(std::move(there));   // the current stream waits, this thread does not
///
/// Types, shapes and values are those of the batch, dense. For the CPU it hands the batch through. Move-only. `start`:
/// one task at a time; `hand_over`: any thread.
class batch_to_device {
 public:
  /// A batch on its way.
  struct copied {
    batch there;                                  ///< on the device; for `hand_over`, whole only after it
    std::optional<c10::cuda::CUDAEvent> arrived;  ///< none on the CPU
  };

  /// `slabs`: batches that may be on their way at once. `slab_bytes`: the largest batch; 0: half more than the largest
  /// so far, made anew for a larger one. Throws `error(not_found)` without the device. Memory is pinned at the first
  /// batch.
  explicit batch_to_device(c10::Device device, std::size_t slabs = 3, std::size_t slab_bytes = 0)
      : device_(require_device(device)), inner_(std::make_unique<inner>()) {
    inner_->slabs = slabs;
    inner_->slab_bytes = slab_bytes;
    if (device_.is_cuda()) inner_->stream.emplace(c10::cuda::getStreamFromPool(false, device_.index()));
  }
  c10::Device device() const noexcept { return device_; }  ///< to which it copies

  /// Any batch that `to_batch` takes. Waits for a free slab, which is bounded by the copies under way. Throws
  /// `error(too_large)` for a batch larger than `slab_bytes`, `device_error`, c10::OutOfMemoryError where the device is
  /// full; under stop.
  template <class Batch>
  task<copied> start(Batch from) {
    return copy(inner_.get(), device_, to_batch(std::move(from)));
  }
  /// The batch for the calling thread's current stream: what is put into that stream from now on finds it whole.
  /// Throws what CUDA throws.
  batch hand_over(copied from) const {
    if (!from.arrived) return std::move(from.there);
    const c10::cuda::CUDAStream here = c10::cuda::getCurrentCUDAStream(device_.index());
    from.arrived->block(here);
    // The memory was allocated on the copying stream: it is not given to another tensor before this one is done with.
    if (from.there.inputs.defined()) from.there.inputs.record_stream(here.unwrap());
    if (from.there.targets.defined()) from.there.targets.record_stream(here.unwrap());
    return std::move(from.there);
  }

 private:
  struct inner {
    std::size_t slabs = 0, slab_bytes = 0;
    std::optional<c10::cuda::CUDAStream> stream;
    std::optional<pinned_ring> ring;
  };
  static std::size_t padded(const at::Tensor& t) { return t.defined() ? (t.nbytes() + 255) / 256 * 256 : 0; }

  static task<copied> copy(inner* in, c10::Device device, batch from) {
    copied out;
    out.there.samples = std::move(from.samples);
    if (device.is_cpu()) {
      out.there.inputs = std::move(from.inputs);
      out.there.targets = std::move(from.targets);
      co_return out;
    }
    const std::size_t inputs = padded(from.inputs), bytes = inputs + padded(from.targets);
    const bool outgrown = in->ring && in->slab_bytes == 0 && bytes > in->ring->slab_bytes();
    if ((!in->ring || outgrown) && bytes > 0) {
      const c10::cuda::CUDAGuard on(device);
      in->ring.emplace(watch(), in->slabs, in->slab_bytes != 0 ? in->slab_bytes : bytes + bytes / 2);
    }
    if (bytes > 0) {
      const std::span<std::byte> slab = co_await in->ring->next(bytes);
      // No await from here on: the guard is this thread's.
      const c10::cuda::CUDAStreamGuard on(*in->stream);
      // All memory first: a device that is full has then been sent nothing.
      out.there.inputs = room_for(from.inputs, device);
      out.there.targets = room_for(from.targets, device);
      try {
        send(from.inputs, slab.data(), out.there.inputs, *in->stream);
        send(from.targets, slab.data() + inputs, out.there.targets, *in->stream);
      } catch (...) {
        in->ring->in_use(*in->stream);  // part of it may be on its way
        throw;
      }
      in->ring->in_use(*in->stream);
    }
    out.arrived.emplace();
    out.arrived->record(*in->stream);
    co_return out;
  }
  static at::Tensor room_for(const at::Tensor& from, c10::Device device) {
    if (!from.defined()) return {};
    return at::empty(from.sizes(), from.options().device(device).memory_format(from.suggest_memory_format()));
  }
  static void send(const at::Tensor& from, std::byte* slab, const at::Tensor& to, c10::cuda::CUDAStream on) {
    if (!from.defined() || from.nbytes() == 0) return;
    const at::Tensor dense = from.contiguous(from.suggest_memory_format());
    std::memcpy(slab, dense.const_data_ptr(), dense.nbytes());
    detail::check(::cudaMemcpyAsync(to.mutable_data_ptr(), slab, dense.nbytes(), cudaMemcpyHostToDevice, on.stream()));
  }

  c10::Device device_;
  std::unique_ptr<inner> inner_;
};

}  // namespace cuda
DTASK_END
