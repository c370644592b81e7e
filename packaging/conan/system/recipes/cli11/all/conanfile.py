# SPDX-License-Identifier: BSL-1.0
import os

from conan import ConanFile
from conan.tools.system.package_manager import Apt


class SystemCli11(ConanFile):
    name = "cli11"
    description = "CLI11, as the distribution installs it"
    package_type = "header-library"
    settings = "os", "arch"

    def system_requirements(self):
        Apt(self).install(["libcli11-dev"])

    def package(self):
        os.mkdir(os.path.join(self.package_folder, "include"))  # empty: CMakeConfigDeps makes no target of nothing

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "CLI11")
        self.cpp_info.set_property("cmake_target_name", "CLI11::CLI11")
        self.cpp_info.libdirs = self.cpp_info.bindirs = []
