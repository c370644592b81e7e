# SPDX-License-Identifier: BSL-1.0
import os

from conan import ConanFile
from conan.tools.system.package_manager import Apt


class SystemCereal(ConanFile):
    name = "cereal"
    description = "cereal, as the distribution installs it"
    package_type = "header-library"
    settings = "os", "arch"

    def system_requirements(self):
        Apt(self).install(["libcereal-dev"])

    def package(self):
        os.mkdir(os.path.join(self.package_folder, "include"))  # empty: CMakeConfigDeps makes no target of nothing

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "cereal")
        self.cpp_info.set_property("cmake_target_name", "cereal::cereal")
        self.cpp_info.libdirs = self.cpp_info.bindirs = []
