# SPDX-License-Identifier: BSL-1.0
# libexif (orientation of JPEG pictures). Defines Exif::Exif.
find_path(Exif_INCLUDE_DIR libexif/exif-data.h)
find_library(Exif_LIBRARY exif)
mark_as_advanced(Exif_INCLUDE_DIR Exif_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Exif REQUIRED_VARS Exif_LIBRARY Exif_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "libexif is missing: Debian and Ubuntu have it in libexif-dev.")
if(Exif_FOUND AND NOT TARGET Exif::Exif)
  add_library(Exif::Exif UNKNOWN IMPORTED)
  set_target_properties(Exif::Exif PROPERTIES IMPORTED_LOCATION "${Exif_LIBRARY}")
  target_include_directories(Exif::Exif SYSTEM INTERFACE "${Exif_INCLUDE_DIR}")
endif()
