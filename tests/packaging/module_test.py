# SPDX-License-Identifier: BSL-1.0
"""`import dtask;`: every public name, from the build tree and installed; who cannot have it is told so in one sentence.

usage: module_test.py SOURCE_DIR WORK_DIR CLASS      CLASS: Names, Builds or Sentences
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import module_names
import offline

SOURCE = WORK = None
CLANG, GNU = shutil.which("clang++-19"), shutil.which("g++")
HERE = pathlib.Path(__file__).resolve().parent
ANSWER = "primes below one million: 78498\n"


def run(*command, status=0):
    """What it printed."""
    result = subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    if (result.returncode != 0) != (status != 0):
        raise AssertionError(f"{' '.join(str(part) for part in command)}: exit code {result.returncode}\n{result.stdout}")
    return result.stdout


def cmakes():
    """{version: program}: the system's, and those of DTASK_DEPS_DIR/cmake-* (scripts/setup packaging)."""
    folder = pathlib.Path(os.environ.get("DTASK_DEPS_DIR") or SOURCE / ".deps")
    found = {}
    for program in ["cmake", *sorted(folder.glob("cmake-*/bin/cmake"))]:
        number = run(program, "--version").split()[2]
        found.setdefault(tuple(int(part) for part in number.split(".")[:3]), program)
    return dict(sorted(found.items()))


def lacking():
    """What this machine lacks to build a module, or nothing."""
    for name, there in (("clang++-19", CLANG), ("clang-scan-deps of clang 19", shutil.which("clang-scan-deps-19")), ("Ninja", shutil.which("ninja")),
                        ("CMake 3.28 or newer", any(version >= (3, 28) for version in cmakes()))):
        if not there:
            return f"{name} is missing: scripts/setup build clang packaging"
    return None


class Names(unittest.TestCase):
    def test_every_public_name_is_exported(self):
        self.assertEqual(module_names.problems(SOURCE, CLANG), [])


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = WORK / cls.__name__.lower()
        shutil.rmtree(cls.work, ignore_errors=True)
        cls.prefix = cls.work / "prefix"
        cls.cmakes = cmakes()
        cls.newest = cls.cmakes[max(cls.cmakes)]
        # The oldest that compiles modules.
        cls.oldest = next((program for version, program in cls.cmakes.items() if version >= (3, 28)), None)
        # Installed by the system's CMake and compiler: the package is the same.
        run("cmake", "-S", SOURCE, "-B", cls.work / "install", "-DDTASK_BUILD_TOOLS=OFF", "-DDTASK_BUILD_EXAMPLES=OFF")
        run("cmake", "--install", cls.work / "install", "--prefix", cls.prefix)

    def configure(self, name, text=None, *arguments, cmake=None, compiler=CLANG, generator="Ninja", language="CXX", status=0):
        """Configures a project of these lines (or module/), and says what CMake printed, in one line."""
        folder = self.work / name
        folder.mkdir(parents=True, exist_ok=True)
        if text is None:
            shutil.copytree(HERE / "module", folder, dirs_exist_ok=True)
        else:
            (folder / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25...3.28)\nproject({name} LANGUAGES {language})\n{text}\n")
        said = run(cmake or self.oldest, "-S", folder, "-B", folder / "build", "-G", generator, f"-DCMAKE_CXX_COMPILER={compiler}",
                   f"-DCMAKE_PREFIX_PATH={self.prefix}", *arguments, status=status)
        return " ".join(said.split())


class Builds(Case):
    def build(self, name, *targets, cmake=None):
        run(cmake or self.oldest, "--build", self.work / name / "build", "--target", *targets)

    def test_the_program_is_the_readme_s(self):
        """Its lines but for the includes and the remark above them."""
        def rest(path):
            return [line for line in path.read_text().splitlines() if line and not re.match(r"#include|import|// ", line)]
        self.assertEqual(rest(HERE / "module/main.cpp"), rest(SOURCE / "examples/hello/main.cpp"))
        self.assertNotIn("#include <dtask", (HERE / "module/main.cpp").read_text())

    def test_1_installed_and_moved(self):
        moved = self.work / "Büro Süd"
        shutil.copytree(self.prefix, moved)
        names = "".join(f"using {namespace}::{name};\n" for namespace, names in module_names.exported(SOURCE).items() if namespace == "dtask"
                        for name in names)
        self.configure("installed", None, f"-DCMAKE_PREFIX_PATH={moved}")
        # Every name of the list, from an importing unit.
        folder = self.work / "installed"
        (folder / "names.cpp").write_text(f"#include <coroutine>\nimport dtask;\nnamespace every {{\n{names}}}\n")
        with (folder / "CMakeLists.txt").open("a") as project:
            project.write("add_library(names OBJECT names.cpp)\ntarget_link_libraries(names PRIVATE dtask::module)\n")
        self.build("installed", "hello", "uses", "names")
        self.assertEqual(run(folder / "build/hello"), ANSWER)
        self.assertEqual(run(folder / "build/hello", "--on", "spawn://2"), ANSWER)
        self.assertEqual(run(folder / "build/uses"), "42\n")

    def test_2_a_subdirectory(self):
        """With another CMake where there is one, and with the flags that the surrounding project sets."""
        self.configure("below", f'set(DTASK_BUILD_MODULE ON)\nadd_compile_options(-Wall -Wextra -Werror)\nadd_subdirectory("{SOURCE}" dtask)\n'
                                f'add_executable(hello "{HERE}/module/main.cpp")\ntarget_link_libraries(hello PRIVATE dtask::module)',
                       cmake=self.newest)
        self.build("below", "hello", cmake=self.newest)
        self.assertEqual(run(self.work / "below/build/hello"), ANSWER)

    def test_3_other_flags(self):
        """A module of one's own on a pair of dtask_add_compiled: it is another target with other flags."""
        (self.work / "flags").mkdir()
        (self.work / "flags/live.cpp").write_text("#include <coroutine>\nimport dtask;\nauto live() { return dtask::live_tasks(); }\n")
        self.configure("flags", "set(DTASK_BUILD_MODULE ON)\nfind_package(dtask REQUIRED)\n"
                                "dtask_add_compiled(loud DEFINITIONS DTASK_DEBUG=1)\ndtask_add_module(loud_module loud_main)\n"
                                'add_library(live OBJECT live.cpp)\ntarget_link_libraries(live PRIVATE loud_module)')
        self.build("flags", "live")
        symbols = run("nm", next((self.work / "flags/build").rglob("live.cpp.o")))
        self.assertRegex(symbols, r"v\d+_\d+_sd")


class Sentences(Case):
    WAYS = ("find_package(dtask REQUIRED)", 'add_subdirectory("{source}" dtask)')

    def refused(self, sentence, *arguments, **more):
        for i, way in enumerate(self.WAYS):
            with self.subTest(way=way):
                name = f"{self._testMethodName}_{i}"
                said = self.configure(name, f"set(DTASK_BUILD_MODULE ON)\n{way.format(source=SOURCE)}", *arguments, status=1, **more)
                self.assertRegex(said, sentence)
                self.assertEqual(said.count("CMake Error"), 1, said)
                self.configure(f"{name}_off", way.format(source=SOURCE) + "\nif(TARGET dtask::module)\n  message(FATAL_ERROR there)\nendif()",
                               *arguments, **more)

    def test_an_old_cmake(self):
        old = [(version, program) for version, program in self.cmakes.items() if version < (3, 28)]
        if not old:
            self.skipTest("no CMake older than 3.28 here")
        version, program = old[0]
        number = r"\.".join(str(part) for part in version)
        self.refused(rf"dtask::module needs CMake 3\.28 or newer, and this is {number}: take a newer one, or leave DTASK_BUILD_MODULE off\.", cmake=program)

    def test_makefiles(self):
        self.refused(r"dtask::module needs the generator Ninja, and this is Unix Makefiles: configure with -G Ninja, or leave DTASK_BUILD_MODULE off\.",
                     generator="Unix Makefiles")

    def test_gcc(self):
        self.refused(r"dtask::module needs clang 19 or newer, and this is GNU [\d.]+: configure with -DCMAKE_CXX_COMPILER=clang\+\+-19, or leave "
                     r"DTASK_BUILD_MODULE off\.", compiler=GNU)

    def test_no_scanner(self):
        self.refused(r"dtask::module needs clang-scan-deps, and CMake finds none that belongs to \S+: install clang-tools-19 \(Debian, Ubuntu\), or name "
                     r"it in CMAKE_CXX_COMPILER_CLANG_SCAN_DEPS\.", "-DCMAKE_CXX_COMPILER_CLANG_SCAN_DEPS=")

    def test_without_cli11(self):
        said = self.configure("no_cli11", "set(DTASK_BUILD_MODULE ON)\nfind_package(dtask REQUIRED)", "-DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON", status=1)
        self.assertIn("dtask::main needs CLI11, and CMake finds none: install libcli11-dev", said)
        self.assertEqual(said.count("CMake Error"), 1, said)

    def test_not_required(self):
        said = self.configure("optional", "set(DTASK_BUILD_MODULE ON)\nfind_package(dtask)\nif(dtask_FOUND)\n  message(FATAL_ERROR found)\nendif()",
                              compiler=GNU)
        self.assertIn("dtask::module needs clang 19 or newer", said)

    def test_a_module_of_one_s_own_without_the_option(self):
        said = self.configure("own", "find_package(dtask REQUIRED)\ninclude(${dtask_DIR}/DtaskModule.cmake)\ndtask_add_module(mine dtask_compiled_main)",
                              status=1)
        self.assertIn("dtask_add_module(mine): set DTASK_BUILD_MODULE before dtask is found or added.", said)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__.strip())
    SOURCE, WORK = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    missing = lacking()
    if missing:
        print(f"left out: {missing}")
        sys.exit(offline.NOT_RUN)
    offline.enter()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase({"Names": Names, "Builds": Builds, "Sentences": Sentences}[sys.argv[3]])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(1 if not result.wasSuccessful() else offline.NOT_RUN if len(result.skipped) == result.testsRun else 0)
