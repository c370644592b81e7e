# SPDX-License-Identifier: BSL-1.0
"""description.py finds each place that says something else, and says what."""
import pathlib
import shutil
import tempfile
import unittest

from description import Description

ROOT = pathlib.Path(__file__).resolve().parents[2]
CENTER = "packaging/conan/center/recipes/dtask"
PORT = "packaging/vcpkg/ports/dtask/vcpkg.json"
# File, what it says, what it says wrongly, what is complained about.
WRONG = [
    ("CMakeLists.txt", "PNG::PNG Exif::Exif", "PNG::PNG", "what dtask::data links: lacks Exif::Exif"),
    ("cmake/DtaskDependencies.cmake", "Boost 1.81", "Boost 1.74", "find_package: has Boost 1.74 CONFIG; lacks Boost 1.81 CONFIG"),
    ("cmake/dtask-config.cmake.in", "dtask|main|data", "dtask|main|http|data", "components: has http"),
    ("conanfile.py", "boost/[>=1.81 <2]", "boost/[>=1.82 <2]", "requirements of dtask: has boost/[>=1.82 <2]; lacks boost/[>=1.81 <2]"),
    ("conanfile.py", '            self.requires("zlib/[>=1.2.13 <2]", transitive_headers=True)\n', "",
     "requirements of data: lacks zlib/[>=1.2.13 <2]"),
    ("conanfile.py", '["dtask", "cli11::cli11"]', '["dtask"]', "what component main requires: lacks cli11::cli11"),
    ("conanfile.py", "if self.options.with_main:", "if self.options.with_http:", "requirements of http, which is no component"),
    (f"{CENTER}/all/conanfile.py", "xxhash/0.8.3", "xxhash/0.8.2", "requirements of dtask: has xxhash/0.8.2; lacks xxhash/0.8.3"),
    (f"{CENTER}/config.yml", '"0.1.0"', '"0.2.0"', "version: has 0.2.0; lacks 0.1.0"),
    ("packaging/conan/system/profile", "cereal/*: cereal/1.3.2", "cereal/*: cereal/1.3.0", "replacements: has cereal/*: cereal/1.3.0"),
    ("packaging/conan/system/recipes/zlib/config.yml", "1.2.13", "1.3.0", "version: has 1.3.0"),
    ("packaging/conan/system/recipes/libpng/all/conanfile.py", "libpng-dev", "libpng16-dev", "has libpng16-dev; lacks libpng-dev"),
    ("README.md", "`libxxhash-dev`", "xxHash", "does not name libxxhash-dev, which dtask needs"),
    ("README.md", "libpng, libexif, zlib |", "libpng, zlib |", "what the room data needs: lacks libexif"),
    ("README.md", "Boost 1.81 or newer", "Boost 1.80 or newer", "does not say Boost 1.81 or newer"),
    ("scripts/steps.sh", "libexif-dev ", "", "setup build: lacks libexif-dev"),
    ("scripts/steps.sh", "version=2.11.0", "version=2.12.0", "LibTorch: has 2.12.0; lacks 2.11.0"),
    ("CHANGELOG.md", "## 0.1.0", "## 0.2.0", "version: has 0.2.0; lacks 0.1.0"),
    ("include/dtask/base/version.hpp", "DTASK_VERSION_MINOR 1", "DTASK_VERSION_MINOR 2", "version: has 0.2.0; lacks 0.1.0"),
    ("include/dtask/base/version.hpp", "#pragma once", "#pragma once\n#include <boost/json/value.hpp>", "lacks boost-json"),
    ("packaging/dependencies.json", '"lowest": "1.3.2"', '"lowest": "1.3.1"', "cereal: Conan's range begins elsewhere than at 1.3.1"),
    ("packaging/dependencies.json", '"libraries": ["cli11"]', '"libraries": []', "has cli11"),
    (PORT, '"version-semver": "0.1.0"', '"version-semver": "0.1.1"', "version: has 0.1.1; lacks 0.1.0"),
    (PORT, '"boost-pfr",', "", "dependencies: lacks boost-pfr"),
    (PORT, '"libexif",', "", "dependencies of data: lacks libexif"),
]


class Everything(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in ("CMakeLists.txt", "conanfile.py", "README.md", "CHANGELOG.md", "scripts", "cmake", "packaging", "include", "src"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.root / name)

    def problems(self):
        return "\n".join(Description(self.root).check())

    def test_nothing_is_wrong(self):
        self.assertEqual(self.problems(), "")

    def test_each_place(self):
        for name, right, wrong, complaint in WRONG:
            path = self.root / name
            if not path.exists():
                continue
            text = path.read_text()
            with self.subTest(name=name, wrong=wrong):
                self.assertIn(right, text)
                path.write_text(text.replace(right, wrong, 1))
                self.assertIn(complaint, self.problems())
            path.write_text(text)

    def test_other_ways_of_packaging(self):
        debian = self.root / "packaging/debian"
        debian.mkdir(parents=True, exist_ok=True)
        control = ("Source: dtask\n\nPackage: libdtask-dev\nArchitecture: all\nDepends: libboost-dev (>= 1.81) | libboost1.81-dev,\n"
                   " libcereal-dev, libxxhash-dev, libcli11-dev\nSuggests: libjpeg-dev, libpng-dev, libexif-dev, zlib1g-dev\n")
        (debian / "control").write_text(control)
        (debian / "changelog").write_text("dtask (0.1.0-1) unstable; urgency=low\n")
        self.assertEqual(self.problems(), "")
        (debian / "control").write_text(control.replace("libxxhash-dev", "libfoo-dev"))
        self.assertIn("names none of libxxhash-dev (dtask)", self.problems())
        self.assertIn("depends on libfoo-dev, which no component needs", self.problems())
        (debian / "changelog").write_text("dtask (0.0.9-1) unstable; urgency=low\n")
        self.assertIn("packaging/debian/changelog: version: has 0.0.9; lacks 0.1.0", self.problems())
        (self.root / "packaging/dtask.pc.in").write_text("Name: dtask\nRequires: boost\nLibs: -lfoo\n")
        self.assertIn("Requires Boost, which has no .pc", self.problems())
        self.assertIn("lacks -pthread", self.problems())

    def test_a_file_that_must_be_there(self):
        (self.root / "conanfile.py").unlink()
        self.assertIn("conanfile.py: is missing", self.problems())


if __name__ == "__main__":
    unittest.main()
