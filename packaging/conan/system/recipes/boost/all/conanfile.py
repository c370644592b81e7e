# SPDX-License-Identifier: BSL-1.0
import os
import re

from conan import ConanFile
from conan.errors import ConanException
from conan.tools.files import load
from conan.tools.system.package_manager import Apt


class SystemBoost(ConanFile):
    name = "boost"
    description = "Boost's headers, as the distribution installs them"
    package_type = "header-library"
    settings = "os", "arch"

    def system_requirements(self):
        Apt(self).install_substitutes(["libboost1.81-dev"], ["libboost-dev"])
        found = re.search(r'BOOST_LIB_VERSION "(\d+)_(\d+)', load(self, "/usr/include/boost/version.hpp")).groups()
        if (int(found[0]), int(found[1])) < (1, 81):
            raise ConanException(f"this system has Boost {'.'.join(found)}, 1.81 is needed: apt-get install libboost1.81-dev")

    def package(self):
        os.mkdir(os.path.join(self.package_folder, "include"))  # empty: CMakeConfigDeps makes no target of nothing

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "Boost")
        headers = self.cpp_info.components["headers"]
        headers.set_property("cmake_target_name", "Boost::headers")
        headers.libdirs = headers.bindirs = []
