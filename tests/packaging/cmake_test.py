# SPDX-License-Identifier: BSL-1.0
"""dtask through CMake: what is asked wrongly is one sentence, projects of every kind build, with every CMake that is there.

usage: cmake_test.py SOURCE_DIR WORK_DIR COMPILER CLASS      CLASS: Sentences, Projects or Versions
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import offline

SOURCE = WORK = COMPILER = None
# What a component needs, by its name in find_package, with a word of what the sentence must say.
TASKS = "tests/consumer/project/tasks.cpp"
PARTS = ("CMakeLists.txt", "LICENSE", "cmake", "include", "src")
NEEDS = (("Boost", "dtask", "libboost-dev"), ("cereal", "dtask", "libcereal-dev"), ("xxHash", "dtask", "libxxhash-dev"),
         ("CLI11", "main", "libcli11-dev"), ("JPEG", "data", "libjpeg-dev"), ("PNG", "data", "libpng-dev"),
         ("Exif", "data", "libexif-dev"), ("ZLIB", "data", "zlib1g-dev"))


def run(*command, status=0):
    """What it printed."""
    result = subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    if (result.returncode != 0) != (status != 0):
        raise AssertionError(f"{' '.join(str(part) for part in command)}: exit code {result.returncode}\n{result.stdout}")
    return result.stdout


def copy(folder):
    """A copy of what an installation is made of."""
    folder.mkdir(parents=True)
    for name in PARTS:
        (shutil.copytree if (SOURCE / name).is_dir() else shutil.copy2)(SOURCE / name, folder / name)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = WORK / cls.__name__.lower()
        shutil.rmtree(cls.work, ignore_errors=True)
        cls.prefix = cls.install(SOURCE, "dtask")

    @classmethod
    def install(cls, source, name):
        run("cmake", "-S", source, "-B", cls.work / name / "build", f"-DCMAKE_CXX_COMPILER={COMPILER}", "-DDTASK_BUILD_TOOLS=OFF",
            "-DDTASK_BUILD_EXAMPLES=OFF")
        run("cmake", "--install", cls.work / name / "build", "--prefix", cls.work / name / "prefix")
        return cls.work / name / "prefix"

    def project(self, name, text, *arguments, status=0, cmake="cmake", language="CXX"):
        """Configures a project of these lines, and says what CMake printed, in one line."""
        folder = self.work / name
        write(folder / "CMakeLists.txt", f"cmake_minimum_required(VERSION 3.25)\nproject({name} LANGUAGES {language})\n{text}\n")
        said = run(cmake, "-S", folder, "-B", folder / "build", f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                   *arguments, status=status)
        return " ".join(said.split())

    def newer(self):
        """The same sources as another version, whose headers say so."""
        folder = self.work / "newer"
        if not folder.exists():
            copy(folder)
            header = folder / "include/dtask/base/version.hpp"
            text = re.sub(r'(VERSION_MINOR) \d+', r"\1 77", header.read_text())
            header.write_text(re.sub(r'"\d+\.\d+\.\d+"', '"0.77.0"', text))
        return folder


class Sentences(Case):
    def test_each_library_that_is_missing(self):
        for package, component, remedy in NEEDS:
            with self.subTest(package=package):
                said = self.project(f"no_{package}", f"find_package(dtask REQUIRED COMPONENTS {component})",
                                    f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON", status=1)
                self.assertRegex(said, rf"dtask::{component} needs [\w .()-]*, and CMake finds none: install {remedy}[\w .:()-]* "
                                       r"\(Debian, Ubuntu\) or name its folder in CMAKE_PREFIX_PATH\.")
                self.assertEqual(said.count("CMake Error"), 1, said)

    def test_a_library_that_is_missing_from_a_subdirectory(self):
        said = self.project("below", f'add_subdirectory("{SOURCE}" dtask)', "-DCMAKE_DISABLE_FIND_PACKAGE_cereal=ON", status=1)
        self.assertIn("dtask::dtask needs cereal, and CMake finds none: install libcereal-dev", said)

    def test_a_library_that_is_too_old(self):
        old = self.work / "old/lib/cmake/Boost-1.74.0"
        write(old / "BoostConfig.cmake", "")
        write(old / "BoostConfigVersion.cmake", "set(PACKAGE_VERSION 1.74.0)\n")
        said = self.project("old_boost", f'set(Boost_DIR "{old}")\nset(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH OFF)\n'
                            "set(CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH OFF)\nfind_package(dtask REQUIRED)", status=1)
        self.assertIn("dtask::dtask needs Boost 1.81 or newer, and CMake finds none, but 1.74.0: install libboost-dev", said)

    def test_libtorch(self):
        os.environ.pop("DTASK_DEPS_DIR", None)
        os.environ.pop("LibTorch_ROOT", None)
        for component in ("torch", "cuda"):
            said = self.project(f"no_{component}", f"find_package(dtask REQUIRED COMPONENTS {component})", status=1)
            self.assertIn("LibTorch is neither at Torch_DIR or LibTorch_ROOT nor in CMAKE_PREFIX_PATH; dtask never packages it", said)

    def test_not_required(self):
        said = self.project("optional", "find_package(dtask)\nif(dtask_FOUND)\n  message(FATAL_ERROR found)\nendif()",
                            "-DCMAKE_DISABLE_FIND_PACKAGE_cereal=ON")
        self.assertIn("dtask::dtask needs cereal", said)

    def test_components_and_versions(self):
        said = self.project("telepathy", "find_package(dtask REQUIRED COMPONENTS telepathy)", status=1)
        self.assertIn("dtask has no component 'telepathy'; there are main, data, torch and cuda.", said)
        said = self.project("too_new", "find_package(dtask 7.0 REQUIRED)", status=1)
        self.assertIn('compatible with requested version "7.0"', said)

    def test_two_versions_in_one_project(self):
        newer, other = self.newer(), self.install(self.newer(), "other")
        sentence = r"a project uses one version of dtask: this is [\d.]+, and it has [\d.]+ in \S+ already\."
        write(self.work / "twice/deep/CMakeLists.txt", f'set(dtask_DIR "{other}/share/cmake/dtask")\nfind_package(dtask REQUIRED)\n')
        for name, text in (("twice", "find_package(dtask REQUIRED)\nadd_subdirectory(deep)"),
                           ("mixed", f'find_package(dtask REQUIRED)\nadd_subdirectory("{newer}" dtask)'),
                           ("xedim", f'add_subdirectory("{newer}" dtask)\nfind_package(dtask REQUIRED)')):
            with self.subTest(name=name):
                self.assertRegex(self.project(name, text, status=1), sentence)
        # The same one may be found wherever it is used.
        write(self.work / "same/deep/CMakeLists.txt", "find_package(dtask REQUIRED)\n")
        self.project("same", "find_package(dtask REQUIRED)\nfind_package(dtask REQUIRED COMPONENTS main)\nadd_subdirectory(deep)")

    def test_two_versions_in_one_program(self):
        newer, here = self.newer() / "include", self.work / "program"
        value = "#include <dtask/task.hpp>\ndtask::task<int> NAME(int n) { co_return n; }\nint run_NAME() { return dtask::sync_wait(NAME(21)); }\n"
        write(here / "a.cpp", value.replace("NAME", "first"))
        write(here / "b.cpp", value.replace("NAME", "second"))
        write(here / "main.cpp", "int run_first();\nint run_second();\nint main() { return run_first() + run_second() == 42 ? 0 : 1; }\n")
        write(here / "shared.cpp", "#include <dtask/task.hpp>\ndtask::task<int> first(int n);\n"
                                   "int main() { return dtask::sync_wait(first(0)); }\n")
        write(here / "both.cpp", f'#include "{SOURCE}/include/dtask/base/version.hpp"\n#include "{newer}/dtask/base/version.hpp"\n')
        compile = (COMPILER, "-std=c++20", "-pthread", "-c")
        run(*compile, f"-I{SOURCE}/include", here / "a.cpp", "-o", here / "a.o")
        run(*compile, f"-I{newer}", here / "b.cpp", "-o", here / "b.o")
        run(COMPILER, "-std=c++20", here / "main.cpp", here / "a.o", here / "b.o", "-pthread", "-o", here / "both")
        run(here / "both")
        run(*compile, f"-I{newer}", here / "shared.cpp", "-o", here / "shared.o")
        self.assertIn("undefined reference to `first", run(COMPILER, here / "shared.o", here / "a.o", "-pthread", "-o", here / "no", status=1))
        self.assertIn("two copies of dtask in one translation unit", run(*compile, here / "both.cpp", "-o", here / "no.o", status=1))

    def test_jobs_without_rtti(self):
        source = write(self.work / "no_rtti.cpp", "#include <dtask/job.hpp>\n")
        said = run(COMPILER, "-std=c++20", "-fno-rtti", "-fsyntax-only", f"-I{SOURCE}/include", source, status=1)
        self.assertIn("dtask: jobs need RTTI, since cereal does", said)


class Projects(Case):
    def build(self, name, program):
        run("cmake", "--build", self.work / name / "build")
        self.assertEqual(run(self.work / name / "build" / program), "42\n")

    def test_without_rtti(self):
        write(self.work / "no_rtti/pool.cpp", "#include <dtask/runtime.hpp>\n")
        self.project("no_rtti", f'find_package(dtask REQUIRED)\nadd_compile_options(-fno-rtti -Wall -Wextra -Wconversion -Werror)\n'
                                f'add_executable(tasks "{SOURCE / TASKS}")\ntarget_link_libraries(tasks PRIVATE dtask::dtask)\n'
                                'add_library(pool OBJECT pool.cpp)\ntarget_link_libraries(pool PRIVATE dtask::dtask)\n')
        self.build("no_rtti", "tasks")

    def test_below_a_c_project(self):
        write(self.work / "in_c/main.c", '#include <stdio.h>\nint answer(void);\nint main(void) { return printf("%d\\n", answer()) != 3; }\n')
        write(self.work / "in_c/answer.cpp", "#include <dtask/task.hpp>\ndtask::task<int> whole() { co_return 42; }\n"
                                             'extern "C" int answer() { return dtask::sync_wait(whole()); }\n')
        write(self.work / "in_c/part/CMakeLists.txt",
              "find_package(dtask REQUIRED)\nadd_library(part STATIC ../answer.cpp)\n"
              "target_link_libraries(part PRIVATE dtask::dtask)\n")
        said = self.project("in_c", "add_subdirectory(part)", language="C", status=1)
        self.assertIn("dtask is C++: name CXX in LANGUAGES of project(), or call enable_language(CXX) before find_package(dtask).", said)
        self.project("in_c", "enable_language(CXX)\nadd_subdirectory(part)\nadd_executable(main main.c)\ntarget_link_libraries(main PRIVATE part)", language="C")
        self.build("in_c", "main")

    def test_a_read_only_tree_with_a_name_of_blanks_and_umlauts(self):
        moved = self.work / "moved" / "Büro Süd"
        copy(moved)
        for path in [*moved.rglob("*"), moved]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        self.addCleanup(lambda: [path.chmod(0o755) for path in [moved, *moved.rglob("*")] if path.is_dir()])
        self.project("büro", f'add_subdirectory("{moved}" dtask)\nadd_executable(tasks "{SOURCE / TASKS}")\n'
                             "target_link_libraries(tasks PRIVATE dtask::dtask)")
        self.build("büro", "tasks")


class Versions(Case):
    """With each CMake that is there: the system's, and those of DTASK_DEPS_DIR/cmake-* (scripts/setup packaging)."""

    def test_each(self):
        folder = pathlib.Path(os.environ.get("DTASK_DEPS_DIR", SOURCE / ".deps"))
        found = ["cmake", *sorted(folder.glob("cmake-*/bin/cmake"))]
        if len(found) == 1:
            self.skipTest(f"no other CMake in {folder}: scripts/setup packaging installs some")
        for cmake in found:
            version = run(cmake, "--version").split()[2]
            with self.subTest(cmake=version):
                name = f"with_{version.replace('.', '_')}"
                self.project(name, f'find_package(dtask 0.1 REQUIRED COMPONENTS main data)\nadd_executable(tasks "{SOURCE / TASKS}")\n'
                                   f'target_link_libraries(tasks PRIVATE dtask::dtask)\nadd_executable(other EXCLUDE_FROM_ALL "{SOURCE / TASKS}")\n'
                                   "target_link_libraries(other PRIVATE dtask::main_compiled)", cmake=cmake)
                run(cmake, "--build", self.work / name / "build")
                self.assertEqual(run(self.work / name / "build/tasks"), "42\n")
                self.project(f"below_{name}", f'set(DTASK_WITH_DATA ON)\nadd_subdirectory("{SOURCE}" dtask)', cmake=cmake)
                print(f"CMake {version}: a project built", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__.strip())
    SOURCE, WORK, COMPILER = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
    offline.enter()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase({"Sentences": Sentences, "Projects": Projects, "Versions": Versions}[sys.argv[4]])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(1 if not result.wasSuccessful() else offline.NOT_RUN if len(result.skipped) == result.testsRun else 0)
