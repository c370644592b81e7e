# SPDX-License-Identifier: BSL-1.0
"""Writes where a source archive is published and what its digest is into the recipe for ConanCenter (SHA-256, the form that
takes) and into the vcpkg port (SHA-512). Both refer to the archive, so that they change after it was made and cannot be right
in it.

usage: record.py ARCHIVE URL [SOURCE_DIR]
"""
import hashlib
import pathlib
import re
import subprocess
import sys

CONANDATA = "packaging/conan/center/recipes/dtask/all/conandata.yml"
PORT = "packaging/vcpkg/ports/dtask/portfile.cmake"


def record_in_port(path, archive):
    text = path.read_text()
    digest = hashlib.sha512(archive.read_bytes()).hexdigest()
    changed, found = re.subn(r"(?m)^(\s*SHA512)\s+\S+", rf"\1 {digest}", text)
    if found == 0:
        print(f"{path}: builds the checkout it lies in, so there is no digest to record")
        return
    if found != 1:
        sys.exit(f"{path}: one line with SHA512 is expected, there are {found}")
    path.write_text(changed)
    print(f"{path}: SHA-512 {digest}")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    archive, url = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    root = pathlib.Path(sys.argv[3] if len(sys.argv) == 4 else ".").resolve()
    done = subprocess.run([sys.executable, root / "packaging/conan/conandata.py", archive, url, root / CONANDATA])
    if done.returncode:
        sys.exit(done.returncode)
    if (root / PORT).is_file():
        record_in_port(root / PORT, archive)
    else:
        print(f"{PORT}: there is none, so nothing is recorded in it")


if __name__ == "__main__":
    main()
