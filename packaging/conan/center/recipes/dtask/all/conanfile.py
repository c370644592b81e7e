# SPDX-License-Identifier: BSL-1.0
import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get, save
from conan.tools.layout import basic_layout
from conan.tools.scm import Version

required_conan_version = ">=2.1"


class DtaskConan(ConanFile):
    name = "dtask"
    description = "C++20 coroutines for distributed tasks"
    license = "BSL-1.0"
    url = "https://github.com/conan-io/conan-center-index"
    topics = ("coroutines", "distributed-computing", "asio", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"with_main": [True, False], "with_data": [True, False]}
    default_options = {"with_main": True, "with_data": False}
    no_copy_source = True

    def layout(self):
        basic_layout(self, src_folder="src")

    def requirements(self):
        self.requires("boost/1.91.0", transitive_headers=True)
        self.requires("cereal/1.3.2", transitive_headers=True)
        self.requires("xxhash/0.8.3", transitive_headers=True)
        if self.options.with_main:
            self.requires("cli11/2.6.2", transitive_headers=True)
        if self.options.with_data:
            self.requires("libjpeg-turbo/3.1.4.1", transitive_headers=True)
            self.requires("libpng/[>=1.6.39 <2]", transitive_headers=True)
            self.requires("libexif/0.6.26", transitive_headers=True)
            self.requires("zlib/[>=1.2.13 <2]", transitive_headers=True)

    def package_id(self):
        self.info.clear()

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration(f"{self.ref} runs on Linux alone, for now, not on {self.settings.os}")
        check_min_cppstd(self, 20)
        compiler = str(self.settings.compiler)
        lowest = {"gcc": "12", "clang": "19"}.get(compiler)
        if not lowest or Version(self.settings.compiler.version) < lowest:
            raise ConanInvalidConfiguration(f"{self.ref} needs gcc 12 or clang 19, or newer, not {compiler} "
                                            f"{self.settings.compiler.version}")

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        for pattern in ("*.hpp", "*.ipp"):
            copy(self, pattern, os.path.join(self.source_folder, "include"), os.path.join(self.package_folder, "include"))
        # The library compiled once, in the consumer's tree.
        copy(self, "*.cpp", os.path.join(self.source_folder, "src"), os.path.join(self.package_folder, "res", "src"))
        cmake = os.path.join(self.package_folder, "lib", "cmake", "dtask")
        copy(self, "DtaskCompiled.cmake", os.path.join(self.source_folder, "cmake"), cmake)
        save(self, os.path.join(cmake, "conan-official-dtask-compiled.cmake"),
             'include("${CMAKE_CURRENT_LIST_DIR}/DtaskCompiled.cmake")\n'
             'dtask_make_compiled("${CMAKE_CURRENT_LIST_DIR}/../../../res/src")\n')

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "dtask")
        self.cpp_info.set_property("cmake_build_modules", ["lib/cmake/dtask/conan-official-dtask-compiled.cmake"])
        self._component("dtask", ["boost::headers", "cereal::cereal", "xxhash::xxhash"])
        self.cpp_info.components["dtask"].includedirs = ["include"]
        self.cpp_info.components["dtask"].system_libs = ["pthread"]
        if self.options.with_main:
            self._component("main", ["dtask", "cli11::cli11"])
        if self.options.with_data:
            self._component("data", ["dtask", "libjpeg-turbo::jpeg", "libpng::libpng", "libexif::libexif", "zlib::zlib"])

    def _component(self, name, requires):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"dtask::{name}")
        component.set_property("pkg_config_name", "dtask" if name == "dtask" else f"dtask-{name}")
        component.includedirs = component.libdirs = component.bindirs = []
        component.requires = requires
