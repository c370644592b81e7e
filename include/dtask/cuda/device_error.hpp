// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cuda_runtime_api.h>

#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN
namespace cuda {

/// Work on a device failed: an `error(io_error)` that knows CUDA's code.
class device_error : public error {
 public:
  /// `status`: what CUDA returned, not cudaSuccess; its name and text are the error's cause.
  explicit device_error(cudaError_t status)
      : error(errc::io_error, text(status), "CUDA device",
              status == cudaErrorMemoryAllocation
                  ? "smaller batches, or another device"
                  : "after an error in a kernel the process cannot use the device any more: start it anew"),
        status_(status) {}
  cudaError_t status() const noexcept { return status_; }  ///< CUDA's code

 private:
  static std::string text(cudaError_t status) {
    return std::string(::cudaGetErrorName(status)) + ": " + ::cudaGetErrorString(status);
  }
  cudaError_t status_;
};

namespace detail {
/// Throws for everything but success.
inline void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  (void)::cudaGetLastError();
  throw device_error(status);
}
}  // namespace detail

}  // namespace cuda
DTASK_END
