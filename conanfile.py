# SPDX-License-Identifier: BSL-1.0
"""dtask for Conan 2: headers and sources, one package for every setting and option.

The options decide what is required and which components there are, never which files are packaged. CMake finds dtask
through its own package file, which also makes dtask::compiled and dtask::main_compiled in the consumer's tree.
"""
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain
from conan.tools.files import copy, load, rmdir
from conan.tools.scm import Version

required_conan_version = ">=2.1"


class Dtask(ConanFile):
    name = "dtask"
    description = "C++20 coroutines for distributed tasks"
    license = "BSL-1.0"
    topics = ("coroutines", "distributed-computing", "asio", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"with_main": [True, False], "with_data": [True, False], "with_torch": [True, False]}
    default_options = {"with_main": True, "with_data": False, "with_torch": False}
    exports_sources = "CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"
    no_copy_source = True
    test_package_folder = "packaging/conan/test_package"

    def set_version(self):
        header = load(self, os.path.join(self.recipe_folder, "include", "dtask", "base", "version.hpp"))
        self.version = re.search(r'DTASK_VERSION_STRING "([^"]+)"', header).group(1)

    def requirements(self):
        self.requires("boost/[>=1.81 <2]", transitive_headers=True)
        self.requires("cereal/[>=1.3.2 <2]", transitive_headers=True)
        self.requires("xxhash/[>=0.8.1 <1]", transitive_headers=True)
        if self.options.with_main:
            self.requires("cli11/[>=2.1.2 <3]", transitive_headers=True)
        if self.options.with_data:
            self.requires("libjpeg-turbo/[>=2.1.5 <4]", transitive_headers=True)
            self.requires("libpng/[>=1.6.39 <2]", transitive_headers=True)
            self.requires("libexif/[>=0.6.24 <1]", transitive_headers=True)
            self.requires("zlib/[>=1.2.13 <2]", transitive_headers=True)

    def package_id(self):
        self.info.clear()

    def validate(self):
        compiler, version = str(self.settings.compiler), Version(self.settings.compiler.version)
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration(f"dtask runs on Linux alone, for now, not on {self.settings.os}")
        lowest = {"gcc": "12", "clang": "19"}.get(compiler)
        if not lowest:
            raise ConanInvalidConfiguration(f"dtask is compiled by gcc 12 or clang 19 and newer, not by {compiler}")
        if version < lowest:
            raise ConanInvalidConfiguration(f"dtask needs {compiler} {lowest} or newer, and the profile says "
                                            f"compiler.version={version}")
        standard = str(self.settings.get_safe("compiler.cppstd") or "")
        if not standard or Version(standard.replace("gnu", "").replace("98", "03")) < "20":
            raise ConanInvalidConfiguration(f"dtask needs C++20, and the profile says compiler.cppstd="
                                            f"{standard or 'nothing'}: write compiler.cppstd=20 under [settings], "
                                            "or add -s compiler.cppstd=20 to the command")
        if self.options.with_torch and not self._libtorch():
            raise ConanInvalidConfiguration("with_torch=True takes a LibTorch that is installed, and none is found: set "
                                            "LibTorch_ROOT in the environment to the folder that holds its include/ and lib/")

    def _libtorch(self):
        """The folder of LibTorch, looked for as cmake/FindLibTorch.cmake does; it is never packaged."""
        folders = [os.environ.get("LibTorch_ROOT")]
        if os.environ.get("Torch_DIR"):
            folders.append(os.path.join(os.environ["Torch_DIR"], "..", "..", ".."))
        if os.environ.get("DTASK_DEPS_DIR"):
            folders.append(os.path.join(os.environ["DTASK_DEPS_DIR"], "libtorch", "torch"))
        folders += [os.path.join(folder, "torch") for folder in folders if folder]
        for folder in filter(None, folders):
            if os.path.isfile(os.path.join(folder, "include/torch/csrc/api/include/torch/types.h")):
                return os.path.abspath(folder)
        return None

    def layout(self):
        self.folders.build = "build/conan"
        self.folders.generators = "build/conan/generators"
        # `conan editable add`: the headers of the checkout, and a package file that adds it as a subdirectory.
        self.cpp.source.components["dtask"].includedirs = ["include"]
        self.cpp.source.builddirs = ["packaging/conan/editable"]
        self.cpp.source.components["dtask"].builddirs = ["packaging/conan/editable"]

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.user_presets_path = False
        # Always the same files: what the consumer's options ask for is looked for in the consumer's tree.
        toolchain.cache_variables.update({f"DTASK_{name}": False for name in (
            "BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_BENCHMARKS", "BUILD_TOOLS", "WITH_MAIN", "WITH_DATA", "WITH_TORCH")})
        toolchain.cache_variables["DTASK_INSTALL"] = True
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        rmdir(self, os.path.join(self.package_folder, "share", "doc"))
        rmdir(self, os.path.join(self.package_folder, "share", "pkgconfig"))  # PkgConfigDeps writes the consumer's

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "none")
        self._component("dtask", ["boost::headers", "cereal::cereal", "xxhash::xxhash"])
        # The folder of the package file: CMakeDeps looks for it in the component, CMakeConfigDeps in the package.
        self.cpp_info.builddirs = self.cpp_info.components["dtask"].builddirs = ["share/cmake/dtask"]
        self.cpp_info.components["dtask"].includedirs = ["include"]
        self.cpp_info.components["dtask"].system_libs = ["pthread"]
        if self.options.with_main:
            self._component("main", ["dtask", "cli11::cli11"])
        if self.options.with_data:
            self._component("data", ["dtask", "libjpeg-turbo::jpeg", "libpng::libpng", "libexif::libexif", "zlib::zlib"])
        if self.options.with_torch:
            self._component("torch", ["dtask"])
            self._component("cuda", ["torch"])

    def _component(self, name, requires):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"dtask::{name}")
        component.set_property("pkg_config_name", "dtask" if name == "dtask" else f"dtask-{name}")
        component.includedirs = component.libdirs = component.bindirs = []
        component.requires = requires
