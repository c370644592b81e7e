// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <utility>
#include <vector>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// The CUDA part of a thread's state: the current device, and the current stream of every device. Asked and set through
/// the registry of c10, so that this needs no header of CUDA, and costs one load where the program is not linked with
/// CUDA or the machine has no device.
class device_place {
 public:
  device_place() { fill(); }
  device_place(const device_place&) = delete;
  device_place& operator=(const device_place&) = delete;

  /// Exchanges what is kept here with what the calling thread has. Makes no context on a device, and leaves the thread
  /// as it is where the device cannot be asked any more: an earlier error of the device is reported by the next
  /// operation, not from here.
  void exchange() noexcept {
    const auto* const guard = registered();
    if (guard == nullptr) return;
    try {
      if (streams_.empty()) return fill();
      for (c10::Stream& kept : streams_) {
        const c10::Stream now = guard->getStream(kept.device());
        if (now != kept) kept = guard->exchangeStream(kept);
      }
      const c10::Device now = guard->getDevice();
      if (now == device_) return;
      guard->uncheckedSetDevice(device_);
      device_ = now;
    } catch (...) {
    }
  }

 private:
  static constexpr c10::DeviceType kind = c10::DeviceType::CUDA;
  static const c10::impl::DeviceGuardImplInterface* registered() noexcept {
    return c10::impl::device_guard_impl_registry[static_cast<std::size_t>(kind)].load(std::memory_order_acquire);
  }
  void fill() {
    const auto* const guard = registered();
    if (guard == nullptr) return;
    const c10::DeviceIndex devices = guard->deviceCount();
    if (devices < 1) return;
    device_ = guard->getDevice();
    streams_.reserve(static_cast<std::size_t>(devices));
    for (c10::DeviceIndex i = 0; i < devices; ++i) streams_.push_back(guard->getStream(c10::Device(kind, i)));
  }

  c10::Device device_{c10::DeviceType::CPU};
  std::vector<c10::Stream> streams_;  // one for each device
};

}  // namespace detail
DTASK_END
