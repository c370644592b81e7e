# SPDX-License-Identifier: BSL-1.0
# The library compiled once, in the tree of whoever uses it: the package itself holds sources and no code, so that it
# does not depend on an architecture, a compiler or flags.
#
#   dtask_add_compiled(NAME [OPTIONS flag...] [DEFINITIONS definition...])
#
# makes the static libraries NAME (control, net, runtime, node) and, where CLI11 is found, NAME_main (the roles of
# dtask::main; it links NAME). Whoever links them compiles with DTASK_SEPARATE_COMPILATION, for which the headers declare
# what these hold. OPTIONS (a sanitizer, say) and DEFINITIONS (DTASK_DEBUG=1, ...) hold for the libraries and whoever
# links them. They are built only if something links them, are position-independent, and compile without warnings, so
# that a -Werror of the surrounding project does no harm.
#
# dtask::compiled and dtask::main_compiled are made by this function once, where dtask is first found or added, and have
# the flags of that directory; finding dtask again elsewhere changes nothing. For other flags make another pair:
#
#   dtask_add_compiled(dtask_asan OPTIONS -fsanitize=address)
#   target_link_libraries(my_test PRIVATE dtask_asan_main)
#
# A library that links one of these cannot be exported (install(EXPORT)): libraries link dtask::dtask, programs choose.
include_guard(GLOBAL)

# dtask::compiled and dtask::main_compiled, where they are not there yet. SOURCES: the folder of src/*.cpp.
function(dtask_make_compiled sources)
  set_property(GLOBAL PROPERTY DTASK_COMPILED_SOURCES "${sources}")
  dtask_add_compiled(dtask_compiled)
  foreach(pair IN ITEMS "dtask_compiled;dtask::compiled" "dtask_compiled_main;dtask::main_compiled")
    list(GET pair 0 target)
    list(GET pair 1 name)
    if(TARGET ${target} AND NOT TARGET ${name})
      add_library(${name} ALIAS ${target})
    endif()
  endforeach()
endfunction()

function(dtask_add_compiled name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "OPTIONS;DEFINITIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "dtask_add_compiled(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  get_property(sources GLOBAL PROPERTY DTASK_COMPILED_SOURCES)
  if(NOT TARGET ${name})
    dtask_compiled_library(${name} dtask::dtask control net runtime node)
    target_compile_definitions(${name} PUBLIC DTASK_SEPARATE_COMPILATION ${arg_DEFINITIONS})
    target_compile_options(${name} PUBLIC ${arg_OPTIONS})
    target_link_options(${name} PUBLIC ${arg_OPTIONS})
  endif()
  if(TARGET CLI11::CLI11 AND NOT TARGET ${name}_main)
    dtask_compiled_library(${name}_main dtask::main cli)
    target_link_libraries(${name}_main PUBLIC ${name})
  endif()
endfunction()

# dtask_compiled_library(NAME INTERFACE_TARGET room...), with `sources` from the caller.
function(dtask_compiled_library name interface)
  list(TRANSFORM ARGN PREPEND "${sources}/" OUTPUT_VARIABLE files)
  list(TRANSFORM files APPEND ".cpp")
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${files})
  target_link_libraries(${name} PUBLIC ${interface})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON COMPILE_WARNING_AS_ERROR OFF
    CXX_SCAN_FOR_MODULES OFF CXX_CLANG_TIDY "" CXX_CPPCHECK "" CXX_INCLUDE_WHAT_YOU_USE "")
  if(TARGET dtask_warnings)
    target_link_libraries(${name} PRIVATE dtask_warnings)
  else()
    # Warnings about the library are the business of its own tests.
    target_compile_options(${name} PRIVATE "$<$<CXX_COMPILER_ID:GNU,Clang,AppleClang>:-w;-Wno-error>")
  endif()
endfunction()
