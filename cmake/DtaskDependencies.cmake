# SPDX-License-Identifier: BSL-1.0
# What each target needs, in one place for the build tree and for the installed package (which includes this file too).
include_guard(DIRECTORY)

# dtask_lacks(SENTENCE): ends the search for dtask, or the configuration of its own tree, with that sentence.
macro(dtask_lacks sentence)
  if(NOT dtask_in_package)
    message(FATAL_ERROR "${sentence}")
  endif()
  set(dtask_FOUND FALSE)
  set(dtask_NOT_FOUND_MESSAGE "${sentence}")
  list(REMOVE_ITEM CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
  return()
endmacro()

# dtask_check(COMPONENT HOW PACKAGE WHAT DEBIAN), after find_package(PACKAGE ... QUIET). HOW: REQUIRED or QUIET.
macro(dtask_check component how package what debian)
  if("${how}" STREQUAL "REQUIRED" AND NOT ${package}_FOUND)
    set(dtask_other "")
    if(${package}_CONSIDERED_VERSIONS)
      set(dtask_other ", but ${${package}_CONSIDERED_VERSIONS}")
    elseif(${package}_VERSION_STRING)
      set(dtask_other ", but ${${package}_VERSION_STRING}")
    endif()
    dtask_lacks("dtask::${component} needs ${what}, and CMake finds none${dtask_other}: install ${debian} (Debian, Ubuntu) or name its folder in CMAKE_PREFIX_PATH.")
  endif()
endmacro()

macro(dtask_find_core)
  # Without components: Boost 1.89 dropped the stub of `system`, and only headers are used.
  find_package(Boost 1.81 CONFIG QUIET)
  dtask_check(dtask REQUIRED Boost "Boost 1.81 or newer" "libboost-dev (Debian 12: libboost1.81-dev)")
  find_package(cereal CONFIG QUIET)
  dtask_check(dtask REQUIRED cereal "cereal" libcereal-dev)
  find_package(xxHash MODULE QUIET)
  dtask_check(dtask REQUIRED xxHash "xxHash (xxhash.h)" libxxhash-dev)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
endmacro()

# REQUIRED or QUIET.
macro(dtask_find_main how)
  find_package(CLI11 CONFIG QUIET)
  dtask_check(main ${how} CLI11 "CLI11" libcli11-dev)
endmacro()

macro(dtask_find_data how)
  find_package(ZLIB QUIET)
  dtask_check(data ${how} ZLIB "zlib" zlib1g-dev)
  find_package(JPEG QUIET)
  dtask_check(data ${how} JPEG "libjpeg-turbo" libjpeg-dev)
  find_package(PNG QUIET)
  dtask_check(data ${how} PNG "libpng" libpng-dev)
  find_package(Exif MODULE QUIET)
  dtask_check(data ${how} Exif "libexif" libexif-dev)
endmacro()

macro(dtask_find_torch)
  find_package(LibTorch MODULE QUIET)
  if(NOT LibTorch_FOUND)
    set(dtask_remedy "DTASK_DEPS_DIR/libtorch or .deps/libtorch: run scripts/setup, or configure with -DDTASK_WITH_TORCH=OFF.")
    if(dtask_in_package)
      set(dtask_remedy "CMAKE_PREFIX_PATH; dtask never packages it: unpack LibTorch 2.11 or newer, or PyPI's wheel of torch, and name its folder.")
    endif()
    dtask_lacks("dtask::torch: LibTorch is neither at Torch_DIR or LibTorch_ROOT nor in ${dtask_remedy}")
  endif()
endmacro()

# After dtask_find_torch.
macro(dtask_need_cuda)
  if(NOT TARGET LibTorch::cuda)
    dtask_lacks("dtask::cuda needs a LibTorch that is built for CUDA, with the CUDA runtime (headers, libcudart) beside it or in CUDAToolkit_ROOT.")
  endif()
endmacro()

# After DtaskModule.cmake. Its names are those of main as well.
macro(dtask_need_module)
  dtask_module_lack(dtask_lack)
  if(dtask_lack)
    dtask_lacks("${dtask_lack}")
  endif()
  dtask_find_main(REQUIRED)
endmacro()
