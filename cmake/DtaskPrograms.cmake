# SPDX-License-Identifier: BSL-1.0
# How this project's own programs are compiled. Nothing here reaches users of the library.
include_guard(GLOBAL)

add_library(dtask_warnings INTERFACE)
target_compile_options(dtask_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
# Errors where CI proves that there are none: g++ 12 and clang 19, not optimised (g++ 12 warns about std::string itself at -O2). What a newer
# compiler warns about must not keep anybody from running the tests.
if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
   OR (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 20))
  set(DTASK_WERROR -Werror)
  target_compile_options(dtask_warnings INTERFACE $<$<NOT:$<CONFIG:Release>>:-Werror>)
endif()
target_compile_definitions(dtask_warnings INTERFACE BOOST_ASIO_NO_DEPRECATED)

# A unit with LibTorch takes over 1 GB: never more than two at once (Ninja).
set_property(GLOBAL APPEND PROPERTY JOB_POOLS dtask_torch=2)

# dtask_program(NAME [TORCH] [HEADER_ONLY] SOURCES file... [LIBRARIES target...]): a program with our warnings, on the
# compiled library unless HEADER_ONLY. TORCH links dtask::torch.
function(dtask_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH;HEADER_ONLY" "" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  set(library dtask_compiled)
  if(arg_HEADER_ONLY)
    set(library dtask_dtask)
  endif()
  target_link_libraries(${name} PRIVATE ${library} ${arg_LIBRARIES} dtask_warnings)
  if(arg_TORCH)
    target_link_libraries(${name} PRIVATE dtask_torch)
    set_target_properties(${name} PROPERTIES JOB_POOL_COMPILE dtask_torch)
  endif()
endfunction()

# dtask_group(NAME FOLDER): a target that builds every program of a folder and of the folders in it.
function(dtask_group name folder)
  add_custom_target(${name})
  set(folders "${folder}")
  while(folders)
    list(POP_FRONT folders here)
    get_property(programs DIRECTORY "${here}" PROPERTY BUILDSYSTEM_TARGETS)
    if(programs)
      add_dependencies(${name} ${programs})
    endif()
    get_property(below DIRECTORY "${here}" PROPERTY SUBDIRECTORIES)
    list(APPEND folders ${below})
  endwhile()
endfunction()
