// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/cuda/device_error.hpp"
#include "dtask/cuda/event_watch.hpp"

DTASK_BEGIN
namespace cuda {

/// CUDA as an `event_backend`: LibTorch's streams and events.
class runtime {
 public:
  using event = c10::cuda::CUDAEvent;    ///< LibTorch's
  using stream = c10::cuda::CUDAStream;  ///< LibTorch's

  /// Looks, without waiting. An event that was never recorded is done.
  event_status query(event& e) noexcept {
    if (!e.isCreated()) return event_status::done;  // never recorded
    const cudaError_t status = ::cudaEventQuery(e.event());
    if (status == cudaSuccess) return event_status::done;
    (void)::cudaGetLastError();  // "not ready" is an error to whoever asks for the last one
    return status == cudaErrorNotReady ? event_status::pending : event_status{static_cast<int>(status)};
  }
  /// Without timing, from a pool: making one takes longer than recording it.
  event record(stream s) {
    event e = from_pool(s.device_index());
    e.record(s);
    return e;
  }
  /// Keeps the event for another `record`, up to 64 of a device.
  void recycle(event&& e) noexcept {
    if (!e.isCreated()) return;
    try {
      const auto device = static_cast<std::size_t>(e.device_index());
      const std::lock_guard hold(guard_);
      if (free_.size() <= device) free_.resize(device + 1);
      if (free_[device].size() < most_free) free_[device].push_back(std::move(e));
    } catch (...) {  // no memory for the pool: the event is destroyed
    }
  }
  /// Has the device call `f(data)` behind all that is in `s`; `f` does not call CUDA. False: it will not be called.
  bool call_back(stream s, void (*f)(void*), void* data) noexcept {
    const cudaError_t status = ::cudaLaunchHostFunc(s.stream(), f, data);
    if (status == cudaSuccess) return true;
    (void)::cudaGetLastError();
    return false;
  }
  /// A `device_error` of that code.
  std::exception_ptr failure(event_status status) noexcept {
    try {
      return std::make_exception_ptr(device_error(static_cast<cudaError_t>(status)));
    } catch (...) {
      return std::current_exception();
    }
  }
  /// Looking at an event is allowed while another thread captures a graph.
  void enter_thread() noexcept {
    cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal;
    if (::cudaThreadExchangeStreamCaptureMode(&mode) != cudaSuccess) (void)::cudaGetLastError();
  }

 private:
  static constexpr std::size_t most_free = 64;  // of a device
  event from_pool(c10::DeviceIndex device) {
    const std::lock_guard hold(guard_);
    const auto at = static_cast<std::size_t>(device);
    if (at >= free_.size() || free_[at].empty()) return event();
    event e = std::move(free_[at].back());
    free_[at].pop_back();
    return e;
  }
  std::mutex guard_;
  std::vector<std::vector<event>> free_;  // by device
};

/// The watch of the process, with one thread. Never destroyed: what the device does may outlive main. The first call
/// throws std::system_error where there is no thread.
inline event_watch<runtime>& watch() {
  static runtime* const device = new runtime;
  static auto* const shared = new event_watch<runtime>(*device);
  return *shared;
}

}  // namespace cuda
DTASK_END
