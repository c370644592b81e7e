# SPDX-License-Identifier: BSL-1.0
# xxhash.h, used header-only (XXH_INLINE_ALL). Defines xxHash::headers.
find_path(xxHash_INCLUDE_DIR xxhash.h)
mark_as_advanced(xxHash_INCLUDE_DIR)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xxHash REQUIRED_VARS xxHash_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "xxhash.h is missing: Debian and Ubuntu have it in libxxhash-dev.")
if(xxHash_FOUND AND NOT TARGET xxHash::headers)
  add_library(xxHash::headers INTERFACE IMPORTED)
  target_include_directories(xxHash::headers SYSTEM INTERFACE "${xxHash_INCLUDE_DIR}")
endif()
