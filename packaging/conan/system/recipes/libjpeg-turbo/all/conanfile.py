# SPDX-License-Identifier: BSL-1.0
import os

from conan import ConanFile
from conan.tools.system.package_manager import Apt


class SystemLibjpegTurbo(ConanFile):
    name = "libjpeg-turbo"
    description = "libjpeg-turbo, as the distribution installs it"
    package_type = "shared-library"
    settings = "os", "arch"

    def system_requirements(self):
        Apt(self).install(["libjpeg-dev"])

    def package(self):
        os.mkdir(os.path.join(self.package_folder, "include"))  # empty: CMakeConfigDeps makes no target of nothing

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "both")
        self.cpp_info.set_property("cmake_module_file_name", "JPEG")
        self.cpp_info.set_property("cmake_file_name", "libjpeg-turbo")
        part = self.cpp_info.components["jpeg"]
        part.set_property("cmake_module_target_name", "JPEG::JPEG")
        part.libdirs = part.bindirs = []
        part.system_libs = ["jpeg"]
