# SPDX-License-Identifier: BSL-1.0
"""What `cmake --install` makes: the files of packaging/installed.txt and no others, the same bytes wherever and whenever, and
usable wherever it is moved to.

usage: tree_test.py SOURCE_DIR WORK_DIR COMPILER [--fix]      --fix writes packaging/installed.txt anew
"""
import pathlib
import shutil
import subprocess
import sys
import unittest

import offline

SOURCE = WORK = COMPILER = None
FIX = False
SOURCES = ("CMakeLists.txt", "LICENSE", "cmake", "include", "src")
REMARK = "# SPDX-License-Identifier: BSL-1.0\n# Every installed file. After adding one: tests/packaging/tree_test.py . build/tree c++ --fix\n"


def run(*command):
    result = subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    if result.returncode:
        raise AssertionError(f"{' '.join(str(part) for part in command)}\n{result.stdout}")
    return result.stdout


def installed(source, name):
    """Configures a source folder in a tree of its own, without tools and examples, and installs it."""
    run("cmake", "-G", "Ninja", "-S", source, "-B", WORK / name / "build", f"-DCMAKE_CXX_COMPILER={COMPILER}", "-DDTASK_BUILD_TOOLS=OFF",
        "-DDTASK_BUILD_EXAMPLES=OFF")
    run("cmake", "--install", WORK / name / "build", "--prefix", WORK / name / "prefix")
    return WORK / name / "prefix"


def tree(prefix):
    return {path.relative_to(prefix).as_posix(): path for path in sorted(prefix.rglob("*")) if not path.is_dir()}


class Tree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        cls.prefix = installed(SOURCE, "here")

    def test_the_list(self):
        listed = SOURCE / "packaging/installed.txt"
        names = list(tree(self.prefix))
        if FIX:
            listed.write_text(REMARK + "".join(f"{name}\n" for name in names))
        wanted = [line for line in listed.read_text().splitlines() if line and not line.startswith("#")]
        more, fewer = sorted(set(names) - set(wanted)), sorted(set(wanted) - set(names))
        self.assertFalse(more or fewer, f"installed, not listed: {more}; listed, not installed: {fewer}; "
                                        "write it anew with --fix if that is meant")

    def test_no_absolute_path(self):
        for name, path in tree(self.prefix).items():
            self.assertFalse(path.is_symlink(), name)
            content = path.read_bytes()
            for folder in (SOURCE, WORK, pathlib.Path("/usr")):
                if not name.startswith(("include/", "share/dtask/src/")):
                    self.assertNotIn(f'"{folder}/'.encode(), content, f"{name} names a folder of the machine that built it")
            for folder in (SOURCE, WORK):
                self.assertNotIn(str(folder).encode(), content, f"{name} names a folder of the machine that built it")

    def test_two_builds_give_the_same_bytes(self):
        elsewhere = WORK / "an other place"
        elsewhere.mkdir()
        for name in SOURCES:
            (shutil.copytree if (SOURCE / name).is_dir() else shutil.copy2)(SOURCE / name, elsewhere / name)
        first, second = tree(self.prefix), tree(installed(elsewhere, "there"))
        self.assertEqual(list(first), list(second))
        for name in first:
            self.assertEqual(first[name].read_bytes(), second[name].read_bytes(), name)
            self.assertEqual(first[name].stat().st_mode & 0o777, 0o644, name)

    def test_it_can_be_moved(self):
        moved = WORK / "moved" / "Büro Süd"
        moved.parent.mkdir()
        shutil.copytree(self.prefix, moved)
        for path in [*moved.rglob("*"), moved]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        self.addCleanup(lambda: [path.chmod(0o755) for path in [moved, *moved.rglob("*")] if path.is_dir()])
        build = WORK / "moved" / "build"
        run("cmake", "-G", "Ninja", "-S", SOURCE / "tests/packaging/project", "-B", build, f"-DCMAKE_CXX_COMPILER={COMPILER}",
            f"-DCMAKE_PREFIX_PATH={moved}", "-DCOMPONENTS=main", "-DCMAKE_BUILD_TYPE=Debug")
        run("cmake", "--build", build)
        self.assertEqual(run(build / "tasks"), "42\n")
        self.assertEqual((build / "includes.txt").read_text().splitlines()[0], str(moved / "include"))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__.strip())
    SOURCE, WORK, COMPILER, FIX = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3], "--fix" in sys.argv
    offline.enter()
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Tree))
    sys.exit(0 if result.wasSuccessful() else 1)
