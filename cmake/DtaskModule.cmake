# SPDX-License-Identifier: BSL-1.0
# The library as a C++20 module, `import dtask;`: a source that is compiled in the tree of whoever uses it, as the
# compiled library is (DtaskCompiled.cmake), since what a compiler makes of a module serves that compiler and its flags
# alone.
#
# With DTASK_BUILD_MODULE (set before find_package(dtask) or add_subdirectory) there is dtask::module, made once, with the
# flags of the directory that finds or adds dtask first. It holds the names of <dtask/dtask.hpp> and <dtask/main.hpp>, and
# links dtask::main_compiled. For other flags make another, on a pair of dtask_add_compiled:
#
#   dtask_add_compiled(dtask_asan OPTIONS -fsanitize=address)
#   dtask_add_module(dtask_asan_module dtask_asan_main)
include_guard(GLOBAL)

# What this compiler, generator or CMake lacks, in one sentence; nothing where it can compile modules.
function(dtask_module_lack result)
  set(${result} "" PARENT_SCOPE)
  if(CMAKE_VERSION VERSION_LESS 3.28)
    set(${result} "dtask::module needs CMake 3.28 or newer, and this is ${CMAKE_VERSION}: take a newer one, or leave DTASK_BUILD_MODULE off." PARENT_SCOPE)
  elseif(NOT CMAKE_GENERATOR MATCHES "^Ninja")
    set(${result} "dtask::module needs the generator Ninja, and this is ${CMAKE_GENERATOR}: configure with -G Ninja, or leave DTASK_BUILD_MODULE off." PARENT_SCOPE)
  elseif(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
    set(${result} "dtask::module needs clang 19 or newer, and this is ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}: configure with -DCMAKE_CXX_COMPILER=clang++-19, or leave DTASK_BUILD_MODULE off." PARENT_SCOPE)
  elseif(NOT CMAKE_CXX_COMPILER_CLANG_SCAN_DEPS)
    set(${result} "dtask::module needs clang-scan-deps, and CMake finds none that belongs to ${CMAKE_CXX_COMPILER}: install clang-tools-19 (Debian, Ubuntu), or name it in CMAKE_CXX_COMPILER_CLANG_SCAN_DEPS." PARENT_SCOPE)
  endif()
endfunction()

# dtask::module, where it is not there yet. SOURCES: the folder of src/dtask.cppm.
function(dtask_make_module sources)
  set_property(GLOBAL PROPERTY DTASK_MODULE_SOURCES "${sources}")
  dtask_add_module(dtask_module dtask_compiled_main)
  if(NOT TARGET dtask::module)
    add_library(dtask::module ALIAS dtask_module)
  endif()
endfunction()

# dtask_add_module(NAME LIBRARY): the module NAME on LIBRARY, which is NAME_main of dtask_add_compiled.
function(dtask_add_module name library)
  get_property(sources GLOBAL PROPERTY DTASK_MODULE_SOURCES)
  if(NOT sources)
    message(FATAL_ERROR "dtask_add_module(${name}): set DTASK_BUILD_MODULE before dtask is found or added.")
  endif()
  if(TARGET ${name})
    return()
  endif()
  add_library(${name} STATIC EXCLUDE_FROM_ALL)
  target_sources(${name} PUBLIC FILE_SET CXX_MODULES BASE_DIRS "${sources}" FILES "${sources}/dtask.cppm")
  target_link_libraries(${name} PUBLIC ${library})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON COMPILE_WARNING_AS_ERROR OFF CXX_SCAN_FOR_MODULES ON
    CXX_CLANG_TIDY "" CXX_CPPCHECK "" CXX_INCLUDE_WHAT_YOU_USE "")
  if(TARGET dtask_warnings)
    target_link_libraries(${name} PRIVATE dtask_warnings)
  else()
    # Warnings about the library are the business of its own tests.
    target_compile_options(${name} PRIVATE -w -Wno-error)
  endif()
endfunction()
