# SPDX-License-Identifier: BSL-1.0
"""dtask through pkg-config: one line of g++, from a tree that was moved.

usage: pkg_config_test.py SOURCE_DIR WORK_DIR COMPILER
"""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import unittest

import offline

SOURCE = WORK = COMPILER = None
NOT_RUN = 77


def run(command, status=0, **more):
    """A line of sh."""
    result = subprocess.run(["sh", "-c", command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, **more)
    if result.returncode != status:
        raise AssertionError(f"{command}\nended with {result.returncode}\n{result.stdout}")
    return result.stdout


class PkgConfig(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        q = shlex.quote
        run(f"cmake -S {q(str(SOURCE))} -B {q(str(WORK / 'build'))} -DDTASK_BUILD_TOOLS=OFF -DDTASK_BUILD_EXAMPLES=OFF")
        run(f"cmake --install {q(str(WORK / 'build'))} --prefix {q(str(WORK / 'prefix'))}")
        (WORK / "prefix").rename(WORK / "moved")
        cls.prefix = WORK / "moved"
        for name in [name for name in os.environ if name.startswith("PKG_CONFIG")]:
            del os.environ[name]
        os.environ.update(PKG_CONFIG_PATH=str(cls.prefix / "share/pkgconfig"), CXX=COMPILER)

    def test_the_readme_program_in_one_line(self):
        shutil.copy2(SOURCE / "examples/hello/main.cpp", WORK / "main.cpp")
        run("$CXX -std=c++20 -H main.cpp $(pkg-config --cflags --libs dtask) -o hello 2>headers.txt", cwd=WORK)
        self.assertEqual(run("./hello --on spawn://2", cwd=WORK), "primes below one million: 78498\n")
        ours = [line for line in (WORK / "headers.txt").read_text().splitlines() if "/dtask/" in line]
        self.assertTrue(ours)
        for line in ours:
            self.assertIn(str(self.prefix), line, "a header of dtask that is not the installed one")

    def test_pictures(self):
        said = run("pkg-config --libs dtask-data").split()
        for word in ("-ljpeg", "-lexif", "-lz", "-pthread"):
            self.assertIn(word, said)
        source = SOURCE / "tests/consumer/project/pictures.cpp"
        run(f"$CXX -std=c++20 {shlex.quote(str(source))} $(pkg-config --cflags --libs dtask-data) -o pictures", cwd=WORK)
        self.assertIn("42", run("./pictures", cwd=WORK))

    def test_a_path_with_blanks_and_umlauts(self):
        other = WORK / "Büro Süd"
        shutil.copytree(self.prefix, other)
        environment = dict(os.environ, PKG_CONFIG_PATH=str(other / "share/pkgconfig"))
        (WORK / "one.cpp").write_text("#include <dtask/base.hpp>\nint main() {}\n")
        run('eval "$CXX -std=c++20 -H one.cpp $(pkg-config --cflags --libs dtask) -o one" 2>one.txt', cwd=WORK, env=environment)
        self.assertIn(f"{other}/share/pkgconfig/../../include/dtask/base.hpp", (WORK / "one.txt").read_text())

    def test_version(self):
        version = run("pkg-config --modversion dtask").strip()
        self.assertEqual(version, run("pkg-config --modversion dtask-data").strip())
        self.assertIn(f'DTASK_VERSION_STRING "{version}"', (self.prefix / "include/dtask/base/version.hpp").read_text())
        self.assertIn(f"has version '{version}'", run("pkg-config --print-errors 'dtask >= 7'", status=1))
        run("pkg-config --validate dtask dtask-data")

    def test_it_asks_for_nothing_that_has_no_pc(self):
        empty = dict(os.environ, PKG_CONFIG_LIBDIR=str(WORK / "nothing"))
        self.assertEqual(run("pkg-config --print-requires dtask", env=empty), "")
        run("pkg-config --exists dtask", env=empty)

    def test_torch_is_not_offered(self):
        self.assertIn("dtask-torch", run("pkg-config --print-errors --exists dtask-torch", status=1))

    def test_sources(self):
        folder = pathlib.Path(run("pkg-config --variable=sourcedir dtask").strip())
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ["cli.cpp", "control.cpp", "dtask.cppm", "net.cpp", "node.cpp", "runtime.cpp"])
        run("$CXX -std=c++20 -DDTASK_SEPARATE_COMPILATION $(pkg-config --cflags dtask) -c "
            "$(pkg-config --variable=sourcedir dtask)/control.cpp -o control.o", cwd=WORK)

    def test_folders_that_the_distribution_chooses(self):
        """An include folder of its own, absolute ones outside the prefix."""
        for arguments, include in (("-DCMAKE_INSTALL_INCLUDEDIR=include/x -DCMAKE_INSTALL_DATADIR=share/deep", "include/x"),
                                   ("-DCMAKE_INSTALL_INCLUDEDIR=/opt/other/include", "/opt/other/include")):
            prefix = WORK / "chosen prefix"
            run(f"rm -rf chosen; cmake -S {shlex.quote(str(SOURCE))} -B chosen {arguments} -DDTASK_BUILD_TOOLS=OFF "
                f"-DDTASK_BUILD_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX={shlex.quote(str(prefix))}", cwd=WORK)
            run("DESTDIR=$PWD/staged cmake --install chosen", cwd=WORK)
            found = next((WORK / "staged").rglob("dtask.pc"))
            said = run("pkg-config --variable=includedir dtask", env=dict(os.environ, PKG_CONFIG_PATH=str(found.parent))).strip()
            said = pathlib.Path(said.replace("\\", ""))
            staged = WORK / "staged" / (include[1:] if include[0] == "/" else str(prefix)[1:] + "/" + include)
            self.assertEqual(pathlib.Path(os.path.normpath(said)), pathlib.Path(include) if include[0] == "/" else staged)
            self.assertTrue((staged / "dtask/base.hpp").is_file())
            shutil.rmtree(WORK / "staged")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__.strip())
    SOURCE, WORK, COMPILER = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
    if not shutil.which("pkg-config"):
        print("left out: this test needs pkg-config: scripts/setup packaging")
        sys.exit(NOT_RUN)
    offline.enter()
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(PkgConfig))
    sys.exit(0 if result.wasSuccessful() else 1)
