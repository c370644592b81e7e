# SPDX-License-Identifier: BSL-1.0
"""The real portfile of packaging/vcpkg under our own harness (vcpkg.cmake), not under vcpkg: every set of features, and what
a project builds on the result. The libraries are the distribution's.

usage: vcpkg_test.py SOURCE_DIR WORK_DIR COMPILER CLASS...      CLASS: Port or Compiled
"""
import hashlib
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import offline

SOURCE = WORK = COMPILER = None


def run(*command, **variables):
    environment = {k: v for k, v in os.environ.items() if k not in ("LibTorch_ROOT", "Torch_DIR", "DTASK_DEPS_DIR")}
    result = subprocess.run([str(part) for part in command], env={**environment, **variables}, stdin=subprocess.DEVNULL,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.returncode, result.stdout


class Case(unittest.TestCase):
    def build(self, features, name="package", port=None):
        """What the harness said, its status, and the package."""
        package = WORK / type(self).__name__ / name
        port = port or SOURCE / "packaging/vcpkg/ports/dtask"
        status, said = run("cmake", f"-DPORT_DIR={port}", f"-DFEATURES={';'.join(features)}", f"-DPACKAGES_DIR={package}",
                           f"-DBUILD_DIR={package}.build", f"-DCXX={COMPILER}", "-P", SOURCE / "tests/packaging/vcpkg.cmake")
        return status, " ".join(said.split()), package

    def good(self, *arguments, **named):
        status, said, package = self.build(*arguments, **named)
        self.assertEqual(status, 0, said)
        return package

    def consume(self, package, components, project=None):
        """Configures a project on the package and builds it; CMake's status and words where it refuses, and the build folder."""
        folder = pathlib.Path(f"{package}.consumer")
        shutil.rmtree(folder, ignore_errors=True)
        status, said = run("cmake", "-S", project or SOURCE / "tests/packaging/project", "-B", folder, "-DCMAKE_BUILD_TYPE=Debug",
                           f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_PREFIX_PATH={package}", f"-DCOMPONENTS={';'.join(components)}")
        if status:
            return status, " ".join(said.split()), folder
        status, said = run("cmake", "--build", folder)
        self.assertEqual(status, 0, said)
        return 0, "", folder


class Port(Case):
    def test_every_set_of_features_gives_the_same_package(self):
        seen = set()
        for count in range(4):
            for features in itertools.combinations(("main", "data", "torch"), count):
                package = self.good(features)
                digest = hashlib.sha256()
                for path in sorted(p for p in package.rglob("*") if p.is_file()):
                    digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
                seen.add(digest.hexdigest())
        self.assertEqual(len(seen), 1, "the features change which files are packaged")
        self.assertIn("dtask::main_compiled", (package / "share/dtask/usage").read_text())

    def test_a_project_builds_on_it(self):
        package = self.good(["main", "data"], "used")
        moved = package.with_name("installed tree")
        shutil.rmtree(moved, ignore_errors=True)
        shutil.move(package, moved)
        status, said, folder = self.consume(moved, ["main", "data"])
        self.assertEqual(status, 0, said)
        for program in ("tasks", "pictures"):
            self.assertEqual(run(folder / program), (0, "42\n"), program)
        self.assertEqual((folder / "includes.txt").read_text().splitlines()[0], str(moved / "include"))
        status, said, _ = self.consume(moved, ["telepathy"])
        self.assertNotEqual(status, 0)
        self.assertIn("dtask has no component 'telepathy'", said)
        status, said, _ = self.consume(moved, ["torch"])
        self.assertNotEqual(status, 0)
        self.assertIn("LibTorch is neither at Torch_DIR or LibTorch_ROOT", said)

    def changed(self, old, new):
        """A copy of the port, where its checkout can be found, with another line."""
        root = WORK / "Port" / "changed"
        shutil.rmtree(root, ignore_errors=True)
        port = root / "packaging/vcpkg/ports/dtask"
        shutil.copytree(SOURCE / "packaging/vcpkg/ports/dtask", port)
        for name in ("CMakeLists.txt", "LICENSE", "cmake", "include", "src"):
            (root / name).symlink_to(SOURCE / name)
        text = (port / "portfile.cmake").read_text()
        self.assertIn(old, text)
        (port / "portfile.cmake").write_text(text.replace(old, new, 1))
        return port

    def test_the_harness_refuses(self):
        for old, new, sentence in (
                ("vcpkg_cmake_install()", "vcpkg_cmake_install(FAST)", "vcpkg_cmake_install was passed extra arguments: FAST"),
                ("    OPTIONS\n", "    FLAGS\n", "vcpkg_cmake_configure was passed extra arguments: FLAGS"),
                ("main DTASK_WITH_MAIN", "http DTASK_WITH_HTTP", "http"),
                ("-DDTASK_INSTALL=ON", "-DDTASK_INSTALLED=ON", "DTASK_INSTALLED"),
                ("CONFIG_PATH share/cmake/dtask", "CONFIG_PATH lib/cmake/dtask", "lib/cmake/dtask' does not exist"),
                ('file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")', "", "the package holds include;share;share/doc;share/dtask"),
                ('vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")', "", "share/dtask/copyright is missing"),
                ('file(INSTALL "${CURRENT_PORT_DIR}/usage"', 'file(INSTALL "${CURRENT_PORT_DIR}/vcpkg.json"', "share/dtask/usage is missing"),
                ("set(VCPKG_BUILD_TYPE release)", "", "a header-only port builds its release alone"),
                ("vcpkg_cmake_install()", 'vcpkg_cmake_install()\nfile(WRITE "${CURRENT_PACKAGES_DIR}/lib/libdtask.a" "")', "the package holds include;lib"),
                ("vcpkg_cmake_install()", 'vcpkg_cmake_install()\nfile(WRITE "${CURRENT_PACKAGES_DIR}/include/a.hpp" "// ${SOURCE_PATH}")', "an absolute path"),
                ("vcpkg_cmake_install()", "vcpkg_from_nowhere()", "vcpkg_from_nowhere")):
            with self.subTest(new=new or f"without {old}"):
                status, said, _ = self.build(["main"], "changed.package", self.changed(old, new))
                self.assertNotEqual(status, 0, said)
                self.assertIn(sentence, said)
        self.good(["main"], name="changed.package", port=self.changed("header-only", "header-only "))

    def test_what_is_asked_wrongly(self):
        status, said, _ = self.build(["telepathy"])
        self.assertNotEqual(status, 0)
        self.assertIn("the port dtask has no feature 'telepathy'", said)
        copy = WORK / "Port" / "copy" / "dtask"
        shutil.rmtree(copy.parent, ignore_errors=True)
        shutil.copytree(SOURCE / "packaging/vcpkg/ports/dtask", copy)
        status, said, _ = self.build(["main"], port=copy)
        self.assertNotEqual(status, 0)
        self.assertIn("give that folder to --overlay-ports, not a copy", said)


class Compiled(Case):
    def test_a_program_on_the_library_compiled_once(self):
        """The project of docs/vcpkg.md."""
        project = WORK / "Compiled" / "hello"
        shutil.rmtree(project, ignore_errors=True)
        shutil.copytree(SOURCE / "tests/packaging/hello", project)
        shutil.copy(SOURCE / "examples/hello/main.cpp", project)
        status, said, folder = self.consume(self.good(["main"]), ["main"], project)
        self.assertEqual(status, 0, said)
        self.assertEqual(run(folder / "hello"), (0, "primes below one million: 78498\n"))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__.strip())
    SOURCE, WORK, COMPILER = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
    offline.enter()
    WORK.mkdir(parents=True, exist_ok=True)
    suite = unittest.TestSuite()
    for name in sys.argv[4:]:
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(globals()[name]))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
