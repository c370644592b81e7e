// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <c10/core/Device.h>
#include <c10/cuda/CUDAStream.h>

#include <cstddef>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/cuda/device.hpp"
#include "dtask/cuda/lease_pool.hpp"

DTASK_BEGIN
namespace cuda {

/// Streams of one device, each lent to one task at a time:
///
///     dtask::cuda::stream_pool streams(device, 2);
///     auto stream = co_await streams.acquire();
///     const c10::cuda::CUDAStreamGuard on(*stream);     // in a torch_task: moves with it
///
/// What a stream still does when it is given back is done before what its next holder puts in. The streams are of
/// LibTorch's own pool, which has 32 of a priority: larger pools share them. See `lease_pool`.
class stream_pool : public lease_pool<c10::cuda::CUDAStream> {
 public:
  /// `streams`: 1 to 32. Throws `error(invalid_argument)` for other numbers, `error(not_found)` without the device.
  stream_pool(c10::Device device, std::size_t streams, bool high_priority = false)
      : lease_pool(take(require_device(device), streams, high_priority)) {}

 private:
  static std::vector<c10::cuda::CUDAStream> take(c10::Device device, std::size_t streams, bool high_priority) {
    if (!device.is_cuda() || streams < 1 || streams > 32)
      throw error(errc::invalid_argument, std::to_string(streams) + " streams of " + device.str(), "cuda::stream_pool",
                  "1 to 32 streams of a CUDA device");
    std::vector<c10::cuda::CUDAStream> all;
    all.reserve(streams);
    for (std::size_t i = 0; i < streams; ++i)
      all.push_back(c10::cuda::getStreamFromPool(high_priority, device.index()));
    return all;
  }
};

}  // namespace cuda
DTASK_END
