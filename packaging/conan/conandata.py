# SPDX-License-Identifier: BSL-1.0
"""Writes into ConanCenter's recipe where a released archive is and what its SHA-256 is.

usage: conandata.py ARCHIVE URL [CONANDATA]      ARCHIVE: the file, named dtask-VERSION.tar.gz; URL: where it is published
"""
import hashlib
import pathlib
import re
import sys

TARGET = pathlib.Path(__file__).parent / "center/recipes/dtask/all/conandata.yml"


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    archive, url = pathlib.Path(sys.argv[1]), sys.argv[2]
    target = pathlib.Path(sys.argv[3]) if len(sys.argv) == 4 else TARGET
    named = re.fullmatch(r"dtask-(\d+\.\d+\.\d+)\.tar\.gz", archive.name)
    if not named:
        sys.exit(f"{archive.name}: an archive is named dtask-VERSION.tar.gz")
    if not archive.is_file():
        sys.exit(f"{archive}: there is no such file")
    if not re.match(r"(https|file)://", url):
        sys.exit(f"{url}: an address begins with https://")
    version, digest = named.group(1), hashlib.sha256(archive.read_bytes()).hexdigest()
    target.write_text(f'# SPDX-License-Identifier: BSL-1.0\nsources:\n  "{version}":\n    url: "{url}"\n    sha256: "{digest}"\n')
    print(f"{target}: {version}, SHA-256 {digest}")


if __name__ == "__main__":
    main()
