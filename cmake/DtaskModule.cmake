# SPDX-License-Identifier: BSL-1.0
# `import dtask;`: the target dtask::module, made where DTASK_BUILD_MODULE is set, in the tree of whoever uses it like the
# compiled library, which it links.
include_guard(GLOBAL)

# After dtask_find_core. Says in one sentence what is missing for a module.
macro(dtask_need_module)
  dtask_find_main(REQUIRED)
  if(CMAKE_VERSION VERSION_LESS 3.28)
    dtask_lacks("dtask::module needs CMake 3.28 or newer, and this is ${CMAKE_VERSION}: leave DTASK_BUILD_MODULE off, and include <dtask/dtask.hpp>.")
  elseif(NOT CMAKE_GENERATOR MATCHES "Ninja")
    dtask_lacks("dtask::module needs the generator Ninja, and this is ${CMAKE_GENERATOR}: configure with -G Ninja.")
  elseif(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
    dtask_lacks("dtask::module is built by clang 19 or newer, and this is ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}: leave DTASK_BUILD_MODULE off, and include <dtask/dtask.hpp>.")
  elseif(NOT CMAKE_CXX_COMPILER_CLANG_SCAN_DEPS)
    dtask_lacks("dtask::module needs clang-scan-deps beside the compiler, and there is none: install clang-tools-19 (Debian, Ubuntu).")
  endif()
endmacro()

# After dtask_make_compiled. SOURCES: the folder of src/dtask.cppm.
function(dtask_make_module sources)
  if(TARGET dtask::module)
    return()
  endif()
  add_library(dtask_module STATIC EXCLUDE_FROM_ALL)
  target_sources(dtask_module PUBLIC FILE_SET CXX_MODULES BASE_DIRS "${sources}" FILES "${sources}/dtask.cppm")
  target_link_libraries(dtask_module PUBLIC dtask::main_compiled)
  set_target_properties(dtask_module PROPERTIES POSITION_INDEPENDENT_CODE ON COMPILE_WARNING_AS_ERROR OFF CXX_CLANG_TIDY "")
  target_compile_options(dtask_module PRIVATE -w -Wno-error)
  add_library(dtask::module ALIAS dtask_module)
endfunction()
