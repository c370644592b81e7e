# SPDX-License-Identifier: BSL-1.0
# What each target needs, in one place for the build tree and for the installed package (which includes this file too).
include_guard(DIRECTORY)

macro(dtask_find_core)
  # Without components: Boost 1.89 dropped the stub of `system`, and only headers are used.
  find_package(Boost 1.81 CONFIG REQUIRED)
  find_package(cereal CONFIG REQUIRED)
  find_package(xxHash MODULE REQUIRED)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
endmacro()

# REQUIRED or QUIET.
macro(dtask_find_main how)
  find_package(CLI11 CONFIG ${how})
endmacro()

macro(dtask_find_data how)
  find_package(JPEG ${how})
  find_package(PNG ${how})
  find_package(Exif MODULE ${how})
  find_package(ZLIB ${how})
endmacro()

macro(dtask_find_torch)
  find_package(LibTorch MODULE REQUIRED)
endmacro()

# After dtask_find_torch.
macro(dtask_need_cuda)
  if(NOT TARGET LibTorch::cuda)
    set(dtask_FOUND FALSE)
    set(dtask_NOT_FOUND_MESSAGE "This LibTorch is not built for CUDA, or the CUDA runtime (headers, libcudart) is neither beside it nor in CUDAToolkit_ROOT.")
    return()
  endif()
endmacro()
