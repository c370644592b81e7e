// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/core/Device.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/cuda/batch_to_device.hpp"
#include "dtask/cuda/device.hpp"
#include "dtask/cuda/device_error.hpp"
#include "dtask/cuda/pinned_ring.hpp"
#include "dtask/cuda/runtime.hpp"
#include "dtask/cuda/stream_done.hpp"
#include "dtask/job/job_context.hpp"
#include "dtask/task/task.hpp"
#include "dtask/torch/batch.hpp"
#include "dtask/torch/cpu_device.hpp"
#include "dtask/torch/flat_model.hpp"

DTASK_BEGIN
namespace cuda {

/// The device of the worker in which a job runs, `cpu` as well, with a stream of its own: slots that run side by side
/// use streams side by side. It makes a training compute there:
///
///     using train = dtask::training<"fashion/1", fashion, dtask::cuda::worker_device>;
///
/// and other jobs use it likewise, in a `torch_task`:
///
///     const auto on = device.enter();                       // what follows goes to its stream
///     auto there = co_await device.start(std::move(batch)); // through pinned memory, on a stream for copies
///     const dtask::batch b = device.hand_over(std::move(there));
///     std::vector<at::Tensor> wanted{net->forward(b.inputs)};
///     auto answers = co_await device.copy_out(std::move(wanted));
///
/// Not thread-safe: one task at a time. Destroyed while the device is busy, it waits for copies under way.
class worker_device {
 public:
  /// Throws `error`: `invalid_argument` for a name that is no device, `not_found` without the device.
  template <class Context>
    requires requires(const Context& c) { c.worker(), c.device(); }
  explicit worker_device(Context& ctx) : inner_(std::make_unique<inner>(device_of(ctx))) {}

  c10::Device device() const noexcept { return inner_->device; }  ///< that of the worker
  /// The kind of processor: equal where the same deterministic operations give the same bytes.
  std::string name() const {
    if (device().is_cpu()) return cpu_device::name();
    ::cudaDeviceProp about{};
    detail::check(::cudaGetDeviceProperties(&about, device().index()));
    int runtime = 0;
    detail::check(::cudaRuntimeGetVersion(&runtime));
    return std::string(about.name) + ", CUDA " + std::to_string(runtime / 1000) + "." +
           std::to_string(runtime % 1000 / 10);
  }
  /// Whether operations are only enqueued when they return: on all devices but the CPU.
  bool is_later() const noexcept { return !device().is_cpu(); }

  /// The device's stream is the current one while this lives; on the thread that made it, or in the `torch_task` that
  /// did.
  class entered {
   public:
    /// @cond internal
    explicit entered(const std::optional<c10::cuda::CUDAStream>& s) {
      if (s) on_.emplace(*s);
    }
    /// @endcond

   private:
    std::optional<c10::cuda::CUDAStreamGuard> on_;
  };
  /// Makes the device's stream the current one for as long as the guard lives. On the CPU nothing changes.
  entered enter() const { return entered(inner_->stream); }
  /// None on the CPU.
  const std::optional<c10::cuda::CUDAStream>& stream() const noexcept { return inner_->stream; }

  /// As `batch_to_device::start`.
  template <class Batch>
  task<batch_to_device::copied> start(Batch from) {
    return inner_->batches.start(std::move(from));
  }
  /// As `batch_to_device::hand_over`, for this device's stream.
  batch hand_over(batch_to_device::copied from) {
    const entered on = enter();
    return inner_->batches.hand_over(std::move(from));
  }

  /// After each of many steps: waits until the one before the last is done, so that the thread is free while the device
  /// is behind, and no more batches than that wait there. Throws what the device throws; under stop.
  task<> pace() { return pace_of(inner_.get()); }

  /// Copies from the CPU, through pinned memory, for what is enqueued in this device's stream from then on. Tensors of
  /// the same sizes and type. Throws what the device throws; under stop.
  task<> copy_in(std::vector<flat_model::tensor_copy> pairs) { return copy_in_of(inner_.get(), std::move(pairs)); }

  /// The values that the tensors have when all that was enqueued in this device's stream before is done, in pinned
  /// memory of the CPU. Throws what the device throws; under stop, after the device.
  task<std::vector<at::Tensor>> copy_out(std::vector<at::Tensor> from) {
    return copy_out_of(inner_.get(), std::move(from));
  }

 private:
  struct inner {
    explicit inner(c10::Device on) : device(on), batches(on) {
      if (device.is_cpu()) return;
      stream.emplace(c10::cuda::getStreamFromPool(false, device.index()));
      // Of several ways to the same result cuDNN may take the fastest at each run: not the same bytes.
      at::globalContext().setDeterministicCuDNN(true);
      at::globalContext().setBenchmarkCuDNN(false);
    }
    c10::Device device;
    std::optional<c10::cuda::CUDAStream> stream;  ///< none on the CPU
    batch_to_device batches;
    std::optional<pinned_ring> ring;
    std::array<c10::cuda::CUDAEvent, 2> steps;
    std::size_t turn = 0;
  };
  static constexpr std::size_t slabs = 2, slab_bytes = std::size_t{4} << 20;

  static task<> pace_of(inner* in) {
    if (!in->stream) co_return;
    c10::cuda::CUDAEvent& e = in->steps[in->turn];
    co_await event_done(e);
    e.record(*in->stream);
    in->turn = 1 - in->turn;
  }
  static task<> copy_in_of(inner* in, std::vector<flat_model::tensor_copy> pairs) {
    for (const flat_model::tensor_copy& each : pairs) {
      if (!in->stream || !each.from.is_contiguous() || !each.to.is_contiguous() ||
          each.from.scalar_type() != each.to.scalar_type() || !each.from.device().is_cpu()) {
        const c10::InferenceMode no_gradients;  // in which tensors of both kinds may be written to
        const entered on(in->stream);
        each.to.copy_(each.from);
        continue;
      }
      if (!in->ring) {
        const c10::cuda::CUDAGuard on(in->device);
        in->ring.emplace(watch(), slabs, slab_bytes);
      }
      const auto* const from = static_cast<const std::byte*>(each.from.const_data_ptr());
      auto* const to = static_cast<std::byte*>(each.to.mutable_data_ptr());
      for (std::size_t at = 0; at < each.from.nbytes(); at += slab_bytes) {
        const std::size_t bytes = std::min(slab_bytes, each.from.nbytes() - at);
        const std::span<std::byte> slab = co_await in->ring->next(bytes);
        // No await from here on: the guard is this thread's.
        const c10::cuda::CUDAGuard on(in->device);
        std::memcpy(slab.data(), from + at, bytes);
        detail::check(::cudaMemcpyAsync(to + at, slab.data(), bytes, cudaMemcpyHostToDevice, in->stream->stream()));
        in->ring->in_use(*in->stream);
      }
    }
  }
  static task<std::vector<at::Tensor>> copy_out_of(inner* in, std::vector<at::Tensor> from) {
    std::vector<at::Tensor> out;
    {
      const at::NoGradGuard no_gradients;
      const entered on(in->stream);
      for (const at::Tensor& t : from) {
        out.push_back(at::empty(t.sizes(), t.options().device(at::kCPU).pinned_memory(in->stream.has_value())));
        out.back().copy_(t.detach(), /*non_blocking=*/true);
      }
    }
    if (in->stream) co_await stream_done(*in->stream);
    co_return out;
  }

  std::unique_ptr<inner> inner_;
};

}  // namespace cuda
DTASK_END
