# SPDX-License-Identifier: BSL-1.0
"""Makes the source archive dtask-VERSION.tar.gz: the same bytes from the same files, wherever and whenever.

usage: archive.py SOURCE_DIR FOLDER      prints the path of the archive; beside it lies one with its SHA-512

In a repository it holds what git tracks or would track, as it lies in the working tree, else (in an archive that was
unpacked) everything but what builds make. Times are that of the last commit, or of SOURCE_DATE_EPOCH, or of the newest entry
of packaging/debian/changelog.
"""
import email.utils
import gzip
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tarfile

MADE = {"build", ".deps", ".cache", "__pycache__"}


def version(root):
    return re.search(r'DTASK_VERSION_STRING "([^"]+)"', (root / "include/dtask/base/version.hpp").read_text()).group(1)


def git(root, *arguments):
    return subprocess.run(["git", "-C", str(root), "-c", f"safe.directory={root}", *arguments], check=True, capture_output=True,
                          text=True).stdout


def names(root):
    """The files of the archive, sorted, relative to its top."""
    if (root / ".git").exists():
        listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    else:
        listed = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    return sorted({name for name in listed if name and (root / name).is_file() and not MADE & set(name.split("/"))})


def time_of(root):
    """Seconds since 1970 that all of the archive's files carry."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    if (root / ".git").exists():
        return int(git(root, "log", "-1", "--format=%ct"))
    stamp = re.search(r"^ -- .*>  (.*)$", (root / "packaging/debian/changelog").read_text(), re.M).group(1)
    return int(email.utils.parsedate_to_datetime(stamp).timestamp())


def make(root, folder):
    top, when = f"dtask-{version(root)}", time_of(root)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{top}.tar.gz"
    draft = folder / f".{top}.tar.gz"
    with open(draft, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names(root):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mtime = (root / name).stat().st_size, when
            entry.mode = 0o755 if os.access(root / name, os.X_OK) else 0o644
            with open(root / name, "rb") as content:
                tar.addfile(entry, content)
    draft.replace(path)
    digest = hashlib.sha512(path.read_bytes()).hexdigest()
    (folder / f"{top}.tar.gz.sha512").write_text(f"{digest}  {top}.tar.gz\n")
    return path


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    print(make(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()))
