# SPDX-License-Identifier: BSL-1.0
"""dtask through Conan 2, without a network: the recipe of this repository, the one for ConanCenter, and their consumers.

usage: conan_test.py SOURCE_DIR WORK_DIR CLASS...      CLASS: one of the test classes below

Conan is $DTASK_TEST_CONAN, else `conan` in PATH, else what scripts/setup packaging has put into $DTASK_DEPS_DIR. Boost and the
others are the distribution's, through packaging/conan/system.
"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import unittest

import offline

SOURCE = WORK = CONAN = None
LIBTORCH_VARIABLES = ("LibTorch_ROOT", "Torch_DIR", "DTASK_DEPS_DIR")


def find_conan(root):
    given = os.environ.get("DTASK_TEST_CONAN")
    if given:
        return given
    deps = pathlib.Path(os.environ.get("DTASK_DEPS_DIR") or root / ".deps")
    return shutil.which("conan") or shutil.which("conan", path=str(deps / "conan" / "bin"))


def run(*command, cwd=None, **variables):
    """The command's exit status and all that it said."""
    environment = {k: v for k, v in os.environ.items() if k not in LIBTORCH_VARIABLES}
    environment.update(CMAKE_BUILD_PARALLEL_LEVEL=environment.get("CMAKE_BUILD_PARALLEL_LEVEL", "2"), **variables)
    result = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.returncode, result.stdout


def contents(folder):
    """Every file of a package and what is in it, in one word; Conan's own two hold the time."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ("conaninfo.txt", "conanmanifest.txt")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Case(unittest.TestCase):
    """A cache of its own for each class, with the profile of this machine and the distribution's libraries as only remote."""

    @classmethod
    def setUpClass(cls):
        cls.work = WORK / cls.__name__
        shutil.rmtree(cls.work, ignore_errors=True)
        cls.work.mkdir(parents=True)
        for command in (["profile", "detect"], ["remote", "remove", "conancenter"],
                        ["remote", "add", "system", SOURCE / "packaging/conan/system"]):
            status, said = cls.conan(*command)
            if status:
                raise AssertionError(said)
        (cls.work / "home" / "global.conf").write_text(
            "tools.build:jobs=2\ntools.cmake.cmake_layout:test_folder=" + str(cls.work / "test_package") + "\n")

    @classmethod
    def conan(cls, *arguments, **variables):
        return run(CONAN, *arguments, cwd=cls.work, CONAN_HOME=str(cls.work / "home"), **variables)

    def good(self, *arguments, **variables):
        status, said = self.conan(*arguments, **variables)
        self.assertEqual(status, 0, said)
        return said

    def refused(self, sentence, *arguments, **variables):
        status, said = self.conan(*arguments, **variables)
        self.assertNotEqual(status, 0, said)
        self.assertIn(sentence, said)

    def said_json(self, *arguments):
        self.good(*arguments, "-f", "json", "--out-file", self.work / "said.json")
        return json.loads((self.work / "said.json").read_text())

    def create(self, *arguments, **variables):
        return self.good("create", SOURCE, "-s", "compiler.cppstd=20", "--build=missing", *arguments, **variables)

    def packages(self):
        """The package ids of dtask in the cache."""
        cache = self.said_json("list", "dtask/*:*")["Local Cache"]
        revisions = [r for reference in cache.values() for r in reference["revisions"].values()]
        return {package for r in revisions for package in r.get("packages", {})}

    def folder(self, package):
        return pathlib.Path(self.good("cache", "path", f"dtask/{version()}:{package}").strip().splitlines()[-1])

    def consume(self, name, components, generator="CMakeDeps", options=(), install=(), **variables):
        """Installs with a conanfile.txt, configures, builds and runs the project; what CMake said, and the build folder."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "conanfile.txt").write_text("\n".join(
            ["[requires]", f"dtask/[>={version()} <1]", "[generators]", generator, "CMakeToolchain", "PkgConfigDeps",
             "[options]", *(f"dtask/*:{option}" for option in options)]) + "\n")
        self.good("install", folder, "-of", folder / "conan", "-s", "compiler.cppstd=20", "-s", "build_type=Debug",
                  "--build=missing", *install, **variables)
        status, said = self.configure(folder, components, **variables)
        self.assertEqual(status, 0, said)
        status, built = run("cmake", "--build", folder / "build")
        self.assertEqual(status, 0, built)
        for program in ["tasks"] + ["pictures"] * ("data" in components):
            self.assertEqual(run(folder / "build" / program), (0, "42\n"), program)
        return said, folder

    def configure(self, folder, components, **variables):
        return run("cmake", "-S", SOURCE / "tests/packaging/project", "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Debug",
                   f"-DCMAKE_TOOLCHAIN_FILE={folder}/conan/conan_toolchain.cmake", f"-DCOMPONENTS={';'.join(components)}",
                   **variables)

    def hello(self, *install):
        """The project of docs/conan.md, as that page builds it but for -O0: a program on the library compiled once."""
        folder = self.work / "hello"
        shutil.copytree(SOURCE / "tests/packaging/hello", folder)
        shutil.copy(SOURCE / "examples/hello/main.cpp", folder)
        for command in ([CONAN, "install", ".", "-s", "compiler.cppstd=20", "-s", "build_type=Debug", "--build=missing", *install],
                        ["cmake", "--preset", "conan-debug"], ["cmake", "--build", "--preset", "conan-debug"]):
            status, said = run(*command, cwd=folder, CONAN_HOME=str(self.work / "home"))
            self.assertEqual(status, 0, said)
        self.assertEqual(run(folder / "build/Debug/hello"), (0, "primes below one million: 78498\n"))
        self.assertTrue(list(folder.rglob("libdtask_compiled*.a")), "it was compiled in the project's own tree")

    def archive(self):
        """dtask-VERSION.tar.gz of what a release holds, as far as a recipe needs it."""
        path = self.work / f"dtask-{version()}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in ("CMakeLists.txt", "LICENSE", "cmake", "include", "src"):
                archive.add(SOURCE / name, f"dtask-{version()}/{name}")
        return path

    def newer(self, name, new_version):
        """Exports a recipe of the distribution's libraries under a higher version."""
        self.good("export", SOURCE / f"packaging/conan/system/recipes/{name}/all", "--version", new_version)


def version():
    header = (SOURCE / "include/dtask/base/version.hpp").read_text()
    return header.split('DTASK_VERSION_STRING "')[1].split('"')[0]


def cmake_version():
    words = run("cmake", "--version")[1].split()
    return tuple(int(number) for number in words[2].split("-")[0].split("."))


def pretend_libtorch(folder):
    """What tells FindLibTorch that there is one."""
    for name in ("include/torch/csrc/api/include/torch/types.h", "lib/libtorch_cpu.so", "lib/libc10.so"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


class Create(Case):
    def test_every_value_of_every_option_gives_the_same_package(self):
        libtorch = pretend_libtorch(self.work / "libtorch")
        seen = set()
        for option, variables in (("with_main=True", {}), ("with_main=False", {}), ("with_data=True", {}),
                                  ("with_data=False", {}), ("with_torch=False", {}),
                                  ("with_torch=True", {"LibTorch_ROOT": str(libtorch)})):
            self.create("-tf", "", "--build=dtask/*", "-o", f"dtask/*:{option}", **variables)
            packages = self.packages()
            self.assertEqual(len(packages), 1, f"{option}: one package id for all, not {packages}")
            seen.add(contents(self.folder(packages.pop())))
        self.assertEqual(len(seen), 1, "the options change which files are packaged")

    def test_what_is_packaged(self):
        self.assertIn("\n42\n", self.create(), "the test package prints 42")
        folder = self.folder(self.packages().pop())
        top = {p.name for p in folder.iterdir()} - {"conaninfo.txt", "conanmanifest.txt"}
        self.assertEqual(top, {"include", "share", "licenses"})
        self.assertEqual({p.name for p in (folder / "share").iterdir()}, {"cmake", "dtask"})
        for path in (p for p in folder.rglob("*") if p.is_file()):
            for where in (str(SOURCE), str(self.work)):
                self.assertNotIn(where.encode(), path.read_bytes(), f"{path} names a folder of the machine that built it")

    def test_a_graph_that_changes_with_the_options(self):
        expected = {"": {"boost", "cereal", "xxhash", "cli11"}, "with_main=False": {"boost", "cereal", "xxhash"},
                    "with_data=True": {"boost", "cereal", "xxhash", "cli11", "libjpeg-turbo", "libpng", "libexif", "zlib"}}
        for option, names in expected.items():
            options = ["-o", f"dtask/*:{option}"] if option else []
            graph = self.said_json("graph", "info", SOURCE, "-s", "compiler.cppstd=20", *options)
            nodes = graph["graph"]["nodes"].values()
            self.assertEqual({n["name"] for n in nodes} - {"dtask"}, names, option)


class Consumers(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        status, said = cls.conan("create", SOURCE, "-s", "compiler.cppstd=20", "--build=missing", "-tf", "")
        if status:
            raise AssertionError(said)

    def test_cmake_deps(self):
        said, folder = self.consume("deps", ["main", "data"], options=["with_data=True"])
        self.assertIn(str(self.work / "home"), (folder / "build/includes.txt").read_text())

    def test_cmake_config_deps(self):
        _, folder = self.consume("config_deps", ["main", "data"], "CMakeConfigDeps", options=["with_data=True"])
        self.assertIn(str(self.work / "home"), (folder / "build/includes.txt").read_text())

    def test_pkg_config_deps(self):
        _, folder = self.consume("pkg_config", ["main"], options=["with_data=True"])
        where = {"PKG_CONFIG_PATH": str(folder / "conan")}
        for name, source in (("dtask", "tasks"), ("dtask-data", "pictures")):
            status, flags = run("pkg-config", "--cflags", "--libs", name, **where)
            self.assertEqual(status, 0, flags)
            program = folder / source
            status, said = run("g++", "-std=c++20", "-O0", SOURCE / f"tests/consumer/project/{source}.cpp", "-o", program, *flags.split())
            self.assertEqual(status, 0, said)
            self.assertEqual(run(program), (0, "42\n"))
        status, said = run("pkg-config", "--print-requires", "dtask-main", **where)
        self.assertEqual(set(said.split()), {"dtask", "cli11"})

    def test_without_main(self):
        self.consume("core", ["dtask"], options=["with_main=False"])

    def test_torch_is_found_and_never_packaged(self):
        libtorch = pretend_libtorch(self.work / "libtorch")
        _, folder = self.consume("torch", ["torch"], options=["with_torch=True"], LibTorch_ROOT=str(libtorch))
        status, said = self.configure(folder, ["cuda"], LibTorch_ROOT=str(libtorch))
        self.assertNotEqual(status, 0)
        self.assertIn("dtask::cuda needs a LibTorch that is built for CUDA", " ".join(said.split()))

    def test_a_package_goes_before_what_the_system_has(self):
        recipe = self.work / "own_xxhash"
        recipe.mkdir()
        (recipe / "conanfile.py").write_text(
            "import os\nfrom conan import ConanFile\nfrom conan.tools.files import copy\n\n\nclass Own(ConanFile):\n"
            '    name = "xxhash"\n    version = "0.8.99"\n    package_type = "header-library"\n\n    def package(self):\n'
            '        copy(self, "xxh*.h", "/usr/include", os.path.join(self.package_folder, "include"))\n')
        self.good("create", recipe)
        for generator in ("CMakeDeps", "CMakeConfigDeps"):
            said, folder = self.consume(f"own_{generator}", ["dtask"], generator)
            found = [line for line in (folder / "build/CMakeCache.txt").read_text().splitlines() if "xxHash_INCLUDE_DIR:" in line]
            self.assertIn(str(self.work / "home"), found[0])
        self.good("remove", "xxhash/0.8.99", "-c")

    def test_what_is_asked_wrongly(self):
        _, folder = self.consume("wrong", ["main"])
        status, said = self.configure(folder, ["telepathy"])
        self.assertNotEqual(status, 0)
        self.assertIn("dtask has no component 'telepathy'", said)

    def test_another_profile_does_not_take_the_package(self):
        """One package for all settings must not let a refused setting through."""
        (self.work / "conanfile.txt").write_text(f"[requires]\ndtask/{version()}\n")
        self.refused("dtask needs C++20, and the profile says compiler.cppstd=gnu17", "install", self.work, "-s", "compiler.cppstd=gnu17")
        self.refused("dtask needs gcc 12 or newer", "install", self.work, "-s", "compiler.cppstd=20", "-s", "compiler.version=11")


class Compiled(Case):
    def test_a_program_on_the_library_compiled_once(self):
        self.create("-tf", "")
        self.hello()


class Editable(Case):
    def test_editable(self):
        before = run("git", "-C", SOURCE, "status", "--short")[1]
        self.good("editable", "add", SOURCE)
        for generator in ("CMakeDeps", "CMakeConfigDeps"):
            _, folder = self.consume(generator, ["main", "data"], generator, options=["with_data=True"])
            self.assertEqual((folder / "build/includes.txt").read_text().splitlines()[0], str(SOURCE / "include"))
            status, said = self.configure(folder, ["telepathy"])
            self.assertNotEqual(status, 0)
            self.assertIn("dtask has no component 'telepathy'", said)
        status, flags = run("pkg-config", "--cflags", "dtask", PKG_CONFIG_PATH=str(folder / "conan"))
        self.assertIn(f"-I{SOURCE}/include", flags)
        self.assertEqual(run("git", "-C", SOURCE, "status", "--short")[1], before, "the checkout is left as it was")


class Lockfile(Case):
    def test_a_lockfile_holds_the_versions(self):
        self.create("-tf", "")
        (self.work / "conanfile.txt").write_text(f"[requires]\ndtask/{version()}\n")
        self.good("lock", "create", self.work, "-s", "compiler.cppstd=20")
        locked = json.loads((self.work / "conan.lock").read_text())["requires"]
        self.assertEqual({name.split("/")[0] for name in locked}, {"dtask", "boost", "cereal", "xxhash", "cli11"})
        self.newer("xxhash", "0.8.99")
        said = self.good("install", self.work, "-s", "compiler.cppstd=20", "--build=missing")
        self.assertIn("xxhash/0.8.1#", said, "conan.lock beside the conanfile is used")
        said = self.good("install", self.work, "-s", "compiler.cppstd=20", "--build=missing", "--lockfile=")
        self.assertIn("xxhash/0.8.99#", said)


class Refused(Case):
    def create_refused(self, sentence, *arguments, **variables):
        self.refused(sentence, "create", SOURCE, "--build=missing", *arguments, **variables)

    def test_standards(self):
        self.create_refused("compiler.cppstd=gnu17: write compiler.cppstd=20 under [settings], or add -s compiler.cppstd=20 to "
                            "the command", "-s", "compiler=gcc", "-s", "compiler.version=12", "-s", "compiler.cppstd=gnu17")
        self.create_refused("the profile says compiler.cppstd=17", "-s", "compiler.cppstd=17")
        self.create_refused("the profile says compiler.cppstd=gnu98", "-s", "compiler.cppstd=gnu98")

    def test_compilers_and_systems(self):
        standard = ("-s", "compiler.cppstd=20")
        self.create_refused("dtask needs gcc 12 or newer, and the profile says compiler.version=11", *standard, "-s", "compiler.version=11")
        self.create_refused("dtask needs clang 19 or newer, and the profile says compiler.version=18", *standard, "-s", "compiler=clang",
                            "-s", "compiler.version=18")
        self.create_refused("not by intel-cc", *standard, "-s", "compiler=intel-cc", "-s", "compiler.version=2023.2",
                            "-s", "compiler.mode=icx")
        self.create_refused("dtask runs on Linux alone, for now, not on FreeBSD", *standard, "-s", "os=FreeBSD")

    def test_options(self):
        # Behind a pattern (dtask/*:) Conan itself passes over what no recipe has.
        for option in ("&:with_telepathy=True", f"dtask/{version()}:with_telepathy=True"):
            self.create_refused("option 'with_telepathy' doesn't exist", "-s", "compiler.cppstd=20", "-o", option)
        self.create_refused("with_torch=True takes a LibTorch that is installed, and none is found", "-s", "compiler.cppstd=20",
                            "-o", "dtask/*:with_torch=True")

    def test_what_the_distribution_lacks(self):
        tools = self.work / "tools"
        tools.mkdir()
        for package in ("libboost1.81-dev", "libcereal-dev", "libxxhash-dev", "libcli11-dev"):
            (tools / "dpkg-query").write_text(f'#!/bin/sh\ncase "$*" in *{package}*|*libboost-dev*) exit 1 ;; esac\n'
                                              'echo "all"\n' if "boost" in package else
                                              f'#!/bin/sh\ncase "$*" in *{package}*) exit 1 ;; esac\necho all\n')
            (tools / "dpkg-query").chmod(0o755)
            self.create_refused(f"'{package}' are missing", "-s", "compiler.cppstd=20", PATH=f"{tools}:{os.environ['PATH']}")


class Center(Case):
    """The form that ConanCenter takes, with the distribution's libraries in place of the versions it pins."""

    def test_center(self):
        recipe = self.work / "all"
        shutil.copytree(SOURCE / "packaging/conan/center/recipes/dtask/all", recipe)
        archive = self.archive()
        tool = SOURCE / "packaging/conan/conandata.py"
        status, said = run(sys.executable, tool, archive, "ftp://example.org/a", recipe / "conandata.yml")
        self.assertIn("an address begins with https://", said)
        status, said = run(sys.executable, tool, archive, archive.as_uri(), recipe / "conandata.yml")
        self.assertEqual(status, 0, said)
        profiles = ("-pr", "default", "-pr", SOURCE / "packaging/conan/system/profile", "-pr:b", "default")
        for option in ("with_main=True", "with_main=False", "with_data=True"):
            said = self.good("create", recipe, "--version", version(), *profiles, "--build=missing", "--build=dtask/*", "-o", f"dtask/*:{option}")
            self.assertIn("\n42\n", said)
            self.assertEqual(len(self.packages()), 1, "one package id for all options")
        folder = self.folder(self.packages().pop())
        self.assertEqual({p.name for p in folder.iterdir()} - {"conaninfo.txt", "conanmanifest.txt"}, {"include", "lib", "licenses", "res"})
        found = [p.name for p in folder.rglob("*.cmake") if p.name.startswith("Find") or p.name.lower().endswith("config.cmake")]
        self.assertEqual(found, [], "ConanCenter takes no package files")
        self.consume("deps", ["main", "data"], options=["with_data=True"], install=profiles)
        self.hello(*profiles)
        if cmake_version() >= (3, 27):  # what CMakeConfigDeps writes asks for it
            self.consume("config_deps", ["main", "data"], "CMakeConfigDeps", options=["with_data=True"], install=profiles)
        else:
            print("left out: CMakeConfigDeps needs CMake 3.27")
        self.refused("gcc 12", "install", f"--requires=dtask/{version()}", *profiles, "-s", "compiler.version=11")
        self.refused("Current cppstd (gnu17)", "install", f"--requires=dtask/{version()}", *profiles, "-s", "compiler.cppstd=gnu17")

    def test_what_is_not_released_has_no_archive(self):
        """Empty until there is one: an address that leads nowhere would be worse."""
        text = (SOURCE / "packaging/conan/center/recipes/dtask/all/conandata.yml").read_text()
        self.assertIn(f'"{version()}":', text)
        if 'url: ""' in text:
            self.assertIn("(not released)", (SOURCE / "CHANGELOG.md").read_text().split("## ")[1])


def main():
    global SOURCE, WORK, CONAN
    if len(sys.argv) < 4:
        sys.exit(__doc__.strip())
    SOURCE, WORK, CONAN = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), find_conan(pathlib.Path(sys.argv[1]))
    if not CONAN:
        print("skipped: no conan in PATH, DTASK_TEST_CONAN or DTASK_DEPS_DIR/conan (scripts/setup packaging)")
        sys.exit(offline.NOT_RUN)
    offline.enter()
    suite = unittest.TestSuite()
    for name in sys.argv[3:]:
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(globals()[name]))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


if __name__ == "__main__":
    main()
