# SPDX-License-Identifier: BSL-1.0
import os

from conan import ConanFile
from conan.tools.system.package_manager import Apt


class SystemLibexif(ConanFile):
    name = "libexif"
    description = "libexif, as the distribution installs it"
    package_type = "shared-library"
    settings = "os", "arch"

    def system_requirements(self):
        Apt(self).install(["libexif-dev"])

    def package(self):
        os.mkdir(os.path.join(self.package_folder, "include"))  # empty: CMakeConfigDeps makes no target of nothing

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "libexif")
        self.cpp_info.set_property("cmake_target_name", "libexif::libexif")
        self.cpp_info.libdirs = self.cpp_info.bindirs = []
        self.cpp_info.system_libs = ["exif"]
