# SPDX-License-Identifier: BSL-1.0
# LibTorch without its own CMake package, which asks for a CUDA toolkit even for programs of the CPU.
#
# Looked for in this order:
#   1. a given Torch_DIR (the folder of TorchConfig.cmake) or LibTorch_ROOT (the folder with include/ and lib/), then CMAKE_PREFIX_PATH;
#   2. the wheel from PyPI in $DTASK_DEPS_DIR/libtorch (environment or cache variable);
#   3. the same in .deps/libtorch of this source tree.
# Defines LibTorch::cpu (torch_cpu, c10) and, for a LibTorch that was built for CUDA, LibTorch::cuda (c10_cuda and the CUDA runtime): streams, events,
# pinned memory. The kernels (torch_cuda, with cuBLAS and cuDNN) are loaded when the program runs and finds a device, so that LibTorch::cuda needs
# the headers and the library of the CUDA runtime alone, and a program that links it starts on every machine.
set(dtask_libtorch_given "")
set(dtask_torch_dir "${Torch_DIR}")
if(NOT dtask_torch_dir)
  set(dtask_torch_dir "$ENV{Torch_DIR}")
endif()
if(dtask_torch_dir)
  cmake_path(ABSOLUTE_PATH dtask_torch_dir NORMALIZE)
  cmake_path(APPEND dtask_torch_dir "../../.." OUTPUT_VARIABLE dtask_torch_root)
  cmake_path(NORMAL_PATH dtask_torch_root)
  list(APPEND dtask_libtorch_given "${dtask_torch_root}")
endif()
foreach(root IN ITEMS "${LibTorch_ROOT}" "$ENV{LibTorch_ROOT}" ${CMAKE_PREFIX_PATH})
  if(root)
    list(APPEND dtask_libtorch_given "${root}" "${root}/torch")
  endif()
endforeach()
set(dtask_libtorch_wheels "")
foreach(deps IN ITEMS "${DTASK_DEPS_DIR}" "$ENV{DTASK_DEPS_DIR}" "${CMAKE_CURRENT_LIST_DIR}/../.deps")
  if(deps)
    list(APPEND dtask_libtorch_wheels "${deps}/libtorch/torch")
  endif()
endforeach()

find_path(LibTorch_INCLUDE_DIR torch/types.h
  PATHS ${dtask_libtorch_given} ${dtask_libtorch_wheels} PATH_SUFFIXES include/torch/csrc/api/include NO_DEFAULT_PATH)
if(LibTorch_INCLUDE_DIR)
  cmake_path(APPEND LibTorch_INCLUDE_DIR "../../../.." OUTPUT_VARIABLE dtask_libtorch_include)
  cmake_path(NORMAL_PATH dtask_libtorch_include)
  cmake_path(APPEND dtask_libtorch_include "../lib" OUTPUT_VARIABLE dtask_libtorch_lib)
  cmake_path(NORMAL_PATH dtask_libtorch_lib)
endif()
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS "${dtask_libtorch_lib}" NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS "${dtask_libtorch_lib}" NO_DEFAULT_PATH)
find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda PATHS "${dtask_libtorch_lib}" NO_DEFAULT_PATH)
# The wheel's package of the CUDA runtime, else a toolkit.
set(dtask_cuda_roots "${dtask_libtorch_lib}/../../nvidia/cu13" "${CUDAToolkit_ROOT}" "$ENV{CUDA_HOME}" /usr/local/cuda)
# The wheels of CUDA 13 have crt/ in a package of its own, and the other headers include it.
find_path(LibTorch_CUDA_INCLUDE_DIR crt/host_defines.h PATHS ${dtask_cuda_roots} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(LibTorch_CUDART_LIBRARY NAMES libcudart.so.13 libcudart.so.12 cudart PATHS ${dtask_cuda_roots} PATH_SUFFIXES lib lib64 NO_DEFAULT_PATH)
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_C10_CUDA_LIBRARY LibTorch_CUDA_INCLUDE_DIR
  LibTorch_CUDART_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR)

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION "${LibTorch_C10_LIBRARY}")
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES IMPORTED_LOCATION "${LibTorch_CPU_LIBRARY}")
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE "${dtask_libtorch_include}" "${LibTorch_INCLUDE_DIR}")
  target_link_libraries(LibTorch::cpu INTERFACE LibTorch::c10)
  if(LibTorch_C10_CUDA_LIBRARY AND LibTorch_CUDART_LIBRARY AND EXISTS "${LibTorch_CUDA_INCLUDE_DIR}/cuda_runtime_api.h")
    add_library(LibTorch::cuda INTERFACE IMPORTED)
    target_include_directories(LibTorch::cuda SYSTEM INTERFACE "${LibTorch_CUDA_INCLUDE_DIR}")
    target_link_libraries(LibTorch::cuda INTERFACE LibTorch::cpu "${LibTorch_C10_CUDA_LIBRARY}" "${LibTorch_CUDART_LIBRARY}" ${CMAKE_DL_LIBS})
  endif()
endif()
