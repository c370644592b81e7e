// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Context.h>
#include <c10/core/Device.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/device_name.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN
namespace cuda {

/// What this process can compute on besides the CPU.
struct device_list {
  int devices = 0;     ///< CUDA devices, numbered from 0; 0 where `reason` says why not
  std::string reason;  ///< in words, where there is none
};

namespace detail {
/// LibTorch's kernels for CUDA are a library of their own, 1 GB with what it needs. Loaded when a device is there, so
/// that one program runs on machines with and without: a program linked with it does not start where cuBLAS is missing.
inline std::string load_kernels() {
  std::string path = "libtorch_cuda.so";
  if (void* const c10_cuda = ::dlopen("libc10_cuda.so", RTLD_LAZY | RTLD_NOLOAD)) {
    // Beside the library that is linked: the program's own search path need not lead there.
    ::Dl_info where{};
    void* const in_it = ::dlsym(c10_cuda, "_ZN3c104cuda12device_countEv");
    if (in_it != nullptr && ::dladdr(in_it, &where) != 0 && where.dli_fname != nullptr) {
      const std::string_view file = where.dli_fname;
      if (const auto slash = file.rfind('/'); slash != file.npos) path.insert(0, file.substr(0, slash + 1));
    }
    ::dlclose(c10_cuda);
  }
  if (::dlopen(path.c_str(), RTLD_LAZY | RTLD_GLOBAL) != nullptr) return {};
  const char* const why = ::dlerror();
  return std::string("LibTorch's CUDA library cannot be loaded: ") + (why != nullptr ? why : path.c_str());
}
inline device_list find_devices() {
  device_list found;
  const cudaError_t status = ::cudaGetDeviceCount(&found.devices);
  if (status != cudaSuccess) {
    (void)::cudaGetLastError();
    found.devices = 0;
    int driver = 0;
    const bool has_driver = ::cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
    found.reason = has_driver ? std::string("no CUDA device: ") + ::cudaGetErrorString(status)
                              : std::string("this machine has no driver for CUDA devices");
  } else if (found.devices < 1) {
    found.devices = 0;
    found.reason = "no CUDA device: CUDA_VISIBLE_DEVICES hides all of them, or there is none";
  } else if (found.reason = load_kernels(); !found.reason.empty()) {
    found.devices = 0;
  } else if (!at::hasCUDA()) {
    found.devices = 0;
    found.reason =
        "LibTorch was asked about CUDA before its CUDA library was loaded, and remembers that there is none: call "
        "dtask::cuda::devices() first in main";
  }
  return found;
}
}  // namespace detail

/// The CUDA devices of this process. The first call looks, and loads LibTorch's CUDA library where there is a device:
/// it comes before anything else asks LibTorch about CUDA (`at::manual_seed` does), which otherwise remembers that
/// there is none; `reason` then says so. Some 0.1 s without a device, seconds with one. Thread-safe. Throws nothing but
/// std::bad_alloc.
inline const device_list& devices() {
  static const device_list found = detail::find_devices();
  return found;
}

/// A device by its name: "cpu", "cuda:N", or "cuda" for the one of this process by its rank on the machine
/// (`local_rank`), modulo the number of devices. Throws `error(invalid_argument)` for anything else.
inline c10::Device read_device(std::string_view name) {
  const std::optional<device_name> read = read_device_name(name);
  if (!read)
    throw error(errc::invalid_argument, "'" + std::string(name.substr(0, 64)) + "' is no device", "device",
                "cpu, cuda or cuda:N, N from 0 to 127");
  if (!read->cuda) return c10::Device(c10::DeviceType::CPU);
  const auto shared = [] { return local_rank() % static_cast<unsigned>(std::max(1, devices().devices)); };
  return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(read->index ? *read->index : shared()));
}

/// Throws `error(not_found)` where this process does not have the device: naming why, and how many there are.
inline c10::Device require_device(c10::Device device) {
  if (device.is_cpu()) return device;
  const device_list& found = devices();
  if (!device.is_cuda() || device.index() >= found.devices)
    throw error(errc::not_found,
                "no device " + device.str() +
                    (found.devices > 0 ? ": there are " + std::to_string(found.devices) : ": " + found.reason),
                "device", "use cpu, or a machine and a LibTorch with CUDA");
  return device;
}

/// The device on which a job shall compute: that of its worker, from `job_context` or `worker_context`. Throws as
/// `read_device` and `require_device` do.
template <class Context>
  requires requires(const Context& c) { c.worker(), c.device(); }
c10::Device device_of(const Context& context) {
  return require_device(read_device(context.device()));
}

}  // namespace cuda
DTASK_END
