# SPDX-License-Identifier: BSL-1.0
# The installed package's answer about versions, with the version of this checkout.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../../../include/dtask/base/version.hpp" dtask_version_line REGEX "DTASK_VERSION_STRING")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" dtask_version "${dtask_version_line}")
include(CMakePackageConfigHelpers)
set(dtask_version_file "${CMAKE_BINARY_DIR}/CMakeFiles/dtask-config-version.cmake")
write_basic_package_version_file("${dtask_version_file}" VERSION "${dtask_version}" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
include("${dtask_version_file}")
