// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>

#include "dtask/base/config.hpp"
#include "dtask/cuda/device_error.hpp"
#include "dtask/cuda/runtime.hpp"
#include "dtask/cuda/slab_ring.hpp"

DTASK_BEGIN
namespace cuda {

/// Page-locked memory, which a device reads by itself and at full speed, of all contexts.
struct pinned_memory {
  /// Memory of at least that size; pinning it is slow. Throws `device_error`.
  void* allocate(std::size_t bytes) {
    void* p = nullptr;
    detail::check(::cudaHostAlloc(&p, bytes, cudaHostAllocPortable));
    return p;
  }
  /// Gives back what `allocate` gave.
  void release(void* p) noexcept {
    if (::cudaFreeHost(p) != cudaSuccess) (void)::cudaGetLastError();
  }
};

/// `pinned_ring ring(watch(), slabs, bytes)`: see `slab_ring`.
using pinned_ring = slab_ring<runtime, pinned_memory>;

}  // namespace cuda
DTASK_END
