// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <c10/core/Device.h>

#include <concepts>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/job/job_context.hpp"
#include "dtask/torch/detail/processor.hpp"

DTASK_BEGIN

/// Where the parts of a training compute; one object for each slot of a worker, used by one part at a time.
///
/// - `explicit D(job_context&)`: throws where the worker is to compute on what `D` cannot.
/// - `device() const`: where the model lies.
/// - `name() const`: the kind of processor, for the report: equal where the same operations give the same bytes.
/// - `is_later() const`: whether operations are only enqueued when they return. Then the part reads nothing of what it
///   computes before its end, and uses what follows; otherwise nothing of it is called.
/// - `enter() const`: a guard; what is computed while it lives, on the thread that made it or in the `torch_task` that
///   did, goes to this device's stream.
/// - `start(batch)`, a task; `hand_over(..)` of its result: the batch on the device, for what is enqueued afterwards.
/// - `pace()`, a task: after each step; bounds how far the enqueuing is ahead of the device.
/// - `copy_in(pairs)`, a task: from the CPU to the model, for what is enqueued afterwards.
/// - `copy_out(tensors)`, a task: their values on the CPU, when all that was enqueued before is done.
template <class D>
concept training_device = std::constructible_from<D, job_context&> && requires(const D& d) {
  { d.device() } -> std::same_as<c10::Device>;
  { d.name() } -> std::convertible_to<std::string>;
  { d.is_later() } -> std::same_as<bool>;
  d.enter();
};

/// The CPU, for programs that compute nowhere else.
class cpu_device {
 public:
  /// Throws `error(errc::not_found)` in a worker that was started for another device.
  explicit cpu_device(job_context& ctx) {
    if (ctx.device() != "cpu")
      throw error(errc::not_found,
                  "this program trains on the CPU alone, and its worker is to compute on " + std::string(ctx.device()),
                  std::string(ctx.worker()),
                  "start the worker without --device, or give dtask::cuda::worker_device to dtask::training");
  }
  c10::Device device() const noexcept { return c10::Device(c10::DeviceType::CPU); }  ///< the CPU
  static std::string name() { return detail::processor_name(); }                     ///< the kind of processor
  static constexpr bool is_later() noexcept { return false; }  ///< operations are done when they return
  /// A guard that changes nothing.
  struct entered {
    ~entered() {}  // no "unused" warning where it is a guard by name
  };
  entered enter() const noexcept { return {}; }  ///< changes nothing: there are no streams
};

DTASK_END
