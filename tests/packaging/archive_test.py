# SPDX-License-Identifier: BSL-1.0
"""The source archive, its digests in recipe and port, and the SPDX document of each component.

usage: archive_test.py SOURCE_DIR WORK_DIR
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import unittest

import offline

SOURCE = WORK = None


def run(*command, status=0, **more):
    result = subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, **more)
    if result.returncode != status:
        raise AssertionError(f"{' '.join(str(part) for part in command)} ended with {result.returncode}\n{result.stdout}")
    return result.stdout


def package(source, *arguments, status=0):
    return run(source / "scripts/package", *arguments, status=status)


class Archive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        # One time for all: a repository has that of its commit, an unpacked archive that of the changelog.
        os.environ["SOURCE_DATE_EPOCH"] = "1764331200"
        package(SOURCE, "archive", "--out", WORK / "first")
        cls.archive = next((WORK / "first").glob("dtask-*.tar.gz"))
        cls.version = re.fullmatch(r"dtask-(\d+\.\d+\.\d+)\.tar\.gz", cls.archive.name).group(1)
        # What is unpacked, in a folder with a blank.
        (WORK / "un packed").mkdir()
        with tarfile.open(cls.archive) as tar:
            cls.entries = tar.getmembers()
            tar.extractall(WORK / "un packed")
        cls.unpacked = WORK / "un packed" / f"dtask-{cls.version}"

    def test_entries(self):
        names = [entry.name for entry in self.entries]
        self.assertEqual(names, sorted(names))
        for entry in self.entries:
            self.assertTrue(entry.isfile() and entry.name.startswith(f"dtask-{self.version}/"), entry.name)
            self.assertEqual((entry.uid, entry.gid, entry.uname, entry.mtime), (0, 0, "", 1764331200), entry.name)
            self.assertEqual(entry.mode, 0o755 if os.access(SOURCE / entry.name.split("/", 1)[1], os.X_OK) else 0o644, entry.name)
        for name in ("LICENSE", "README.md", "CMakeLists.txt", "conanfile.py", "packaging/debian/rules", "scripts/package",
                     "include/dtask/dtask.hpp", "tests/packaging/archive_test.py"):
            self.assertIn(f"dtask-{self.version}/{name}", names)
        self.assertFalse([name for name in names if re.search(r"/(build|\.deps|\.git|__pycache__)/", name)])

    def test_an_unpacked_archive_makes_the_same_archive(self):
        package(self.unpacked, "archive", "--out", WORK / "second")
        for path in (WORK / "first").iterdir():
            self.assertTrue(path.read_bytes() == (WORK / "second" / path.name).read_bytes(), f"{path.name} differs")

    def test_sum(self):
        run("sha512sum", "--check", "--strict", f"{self.archive.name}.sha512", cwd=self.archive.parent)

    def test_it_builds(self):
        """What is installed from the archive is what is installed from the repository."""
        listed = (SOURCE / "packaging/installed.txt").read_text().splitlines()
        run("cmake", "-S", self.unpacked, "-B", WORK / "build", "-DDTASK_BUILD_TOOLS=OFF", "-DDTASK_BUILD_EXAMPLES=OFF")
        run("cmake", "--install", WORK / "build", "--prefix", WORK / "prefix")
        self.assertEqual(sorted(p.relative_to(WORK / "prefix").as_posix() for p in (WORK / "prefix").rglob("*") if p.is_file()),
                         sorted(line for line in listed if line and not line.startswith("#")))

    def test_digests_in_recipe_and_port(self):
        copy = WORK / "recorded"
        shutil.copytree(self.unpacked, copy)
        url = f"https://packages.invalid/{self.archive.name}"
        port = copy / "packaging/vcpkg/ports/dtask/portfile.cmake"
        port.parent.mkdir(parents=True, exist_ok=True)
        # The port in this repository builds the checkout; the form of one that downloads:
        port.write_text("vcpkg_download_distfile(ARCHIVE\n  FILENAME x.tar.gz\n  SHA512 0\n)\n")
        run(sys.executable, copy / "packaging/record.py", self.archive, url, copy)
        content = self.archive.read_bytes()
        recipe = (copy / "packaging/conan/center/recipes/dtask/all/conandata.yml").read_text()
        self.assertIn(f'url: "{url}"', recipe)
        self.assertIn(f'sha256: "{hashlib.sha256(content).hexdigest()}"', recipe)
        self.assertIn(f"SHA512 {hashlib.sha512(content).hexdigest()}\n", port.read_text())
        port.write_text("vcpkg_cmake_configure()\n")
        self.assertIn("there is no digest to record", run(sys.executable, copy / "packaging/record.py", self.archive, url, copy))
        port.write_text("SHA512 1\nSHA512 2\n")
        self.assertIn("one line with SHA512 is expected, there are 2",
                      run(sys.executable, copy / "packaging/record.py", self.archive, url, copy, status=1))

    def test_wrong_use(self):
        for arguments, sentence in ((["rpm"], "rpm is no form to package: archive or deb"),
                                    (["archive", "--only", "libdtask-dev"], "package archive has no option '--only'"),
                                    (["deb", "--only", "dtask-tools"], "only libdtask-dev can be made alone"),
                                    (["archive", "--out"], "--out: it needs a value")):
            self.assertIn(sentence, package(SOURCE, *arguments, status=1))

    # SPDX 2.3, https://spdx.github.io/spdx-spec/v2.3.

    def documents(self):
        return {p.name.split("-")[2].split(".")[0]: json.loads(p.read_text()) for p in (WORK / "first").glob("*.spdx.json")}

    def test_a_document_for_each_component(self):
        described = json.loads((SOURCE / "packaging/dependencies.json").read_text())
        documents = self.documents()
        self.assertEqual(set(documents), set(described["components"]))
        digest = hashlib.sha512(self.archive.read_bytes()).hexdigest()
        self.assertEqual(len({d["documentNamespace"] for d in documents.values()}), len(documents))
        for name, document in documents.items():
            self.assertEqual((document["spdxVersion"], document["dataLicense"], document["SPDXID"]),
                             ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
            self.assertRegex(document["creationInfo"]["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            packages = {package["SPDXID"]: package for package in document["packages"]}
            self.assertEqual(len(packages), len(document["packages"]), "each identifier once")
            relations = [(r["spdxElementId"], r["relationshipType"], r["relatedSpdxElement"]) for r in document["relationships"]]
            self.assertEqual([r[2] for r in relations if r[:2] == ("SPDXRef-DOCUMENT", "DESCRIBES")], [f"SPDXRef-Component-{name}"])
            for a, _, b in relations:
                self.assertTrue({a, b} <= {*packages, "SPDXRef-DOCUMENT"}, (a, b))
            self.assertEqual({b for _, _, b in relations}, set(packages), "each package is needed by something")
            # All that it needs, directly and through others, and nothing else.
            needed = [name]
            for component in needed:
                needed += [n for n in described["components"][component]["needs"] if n not in needed]
            libraries = {key for n in needed for key in described["components"][n]["libraries"]} - {"threads"}
            self.assertEqual(set(packages), {f"SPDXRef-Component-{n}" for n in needed} | {f"SPDXRef-Library-{k}" for k in libraries})
            for identifier, package in packages.items():
                self.assertRegex(identifier, r"^SPDXRef-[A-Za-z0-9.-]+$")
                for field in ("name", "versionInfo", "supplier", "licenseConcluded", "licenseDeclared", "copyrightText"):
                    self.assertTrue(package[field], f"{identifier}: {field}")
                self.assertRegex(package["supplier"], r"^(Organization|Person): ")
                if identifier.startswith("SPDXRef-Component-"):
                    self.assertEqual((package["versionInfo"], package["licenseDeclared"]), (self.version, "BSL-1.0"))
                    self.assertEqual(package["checksums"], [{"algorithm": "SHA512", "checksumValue": digest}])
                else:
                    said = described["libraries"][identifier.removeprefix("SPDXRef-Library-")]
                    self.assertEqual((package["name"], package["versionInfo"]), (said["name"], f"{said['lowest']} or newer"))

    def test_a_library_of_which_nothing_is_known(self):
        copy = WORK / "unknown"
        shutil.copytree(self.unpacked, copy)
        path = copy / "packaging/dependencies.json"
        path.write_text(path.read_text().replace('"cli11"', '"cli12"'))
        self.assertIn("nothing is known of cli12", run(sys.executable, copy / "packaging/sbom.py", copy, self.archive, WORK, status=1))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    SOURCE, WORK = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    offline.enter()
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Archive))
    sys.exit(0 if result.wasSuccessful() else 1)
