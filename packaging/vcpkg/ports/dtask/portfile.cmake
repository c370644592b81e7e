# SPDX-License-Identifier: BSL-1.0
set(VCPKG_BUILD_TYPE release) # header-only

# An overlay port: the sources are the checkout it lies in.
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../../.." ABSOLUTE)
if(NOT EXISTS "${SOURCE_PATH}/include/dtask/base/version.hpp")
    message(FATAL_ERROR "The port dtask builds the checkout that holds packaging/vcpkg/ports: give that folder to --overlay-ports, not a copy.")
endif()

# They decide whose dependencies are looked for here; the files are the same. LibTorch is looked for by those who use it.
vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        main DTASK_WITH_MAIN
        data DTASK_WITH_DATA
)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        -DDTASK_WITH_TORCH=OFF
        -DDTASK_BUILD_TESTS=OFF
        -DDTASK_BUILD_EXAMPLES=OFF
        -DDTASK_BUILD_BENCHMARKS=OFF
        -DDTASK_BUILD_TOOLS=OFF
        -DDTASK_INSTALL=ON
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/dtask)

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/pkgconfig") # for those who use no package manager
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
