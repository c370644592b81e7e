# SPDX-License-Identifier: BSL-1.0
"""clang-format 19 over all C++, 120 columns in it and in documents, a licence line in every file.

usage: format.py SOURCE_DIR [--fix]      --fix formats the C++ files in place
"""
import pathlib
import shutil
import subprocess
import sys

COLUMNS = 120
NOT_RUN = 77
# Files that can hold no comment; REUSE.toml speaks for them.
SILENT = ("CMakePresets.json", "LICENSE", "examples/recognise/fashion_classes.txt", "packaging/debian/changelog",
          "packaging/debian/source/format")
SILENT_FOLDER = "tests/fuzz/corpus/"


def sources(root):
    """The files of the repository: what git tracks or would track; without git everything but what builds make."""
    if (root / ".git").exists():
        listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                check=True, capture_output=True, text=True).stdout.split("\0")
        return [root / name for name in listed if name and (root / name).is_file()]
    made = {"build", ".deps", ".cache", "__pycache__"}
    return [p for p in sorted(root.rglob("*")) if p.is_file() and not made & set(p.relative_to(root).parts)]


def clang_format():
    """clang-format 19, whatever it is called here; None where there is no other than another version's."""
    for name in ("clang-format-19", "clang-format"):
        path = shutil.which(name)
        if path and " 19." in subprocess.run([path, "--version"], capture_output=True, text=True).stdout:
            return path
    return None


def too_long(name, text):
    """Tables cannot be broken, nor a line that is one word (an address)."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS and not line.startswith("|") and " " in line.strip():
            found.append(f"{name}:{number}: {len(line)} columns, {COLUMNS} are allowed")
    return found


def check(root, tool):
    problems, cpp = [], []
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        if name.startswith(SILENT_FOLDER):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if name not in SILENT and "SPDX-License-Identifier: BSL-1.0" not in text:
            problems.append(f"{name}: has no line with SPDX-License-Identifier: BSL-1.0")
        if path.suffix in (".hpp", ".cpp", ".ipp"):
            cpp.append(str(path))
        if path.suffix in (".hpp", ".cpp", ".ipp", ".md"):
            problems += too_long(name, text)
    if tool and cpp:
        result = subprocess.run([tool, "--dry-run", "-Werror", *cpp], capture_output=True, text=True)
        problems += [line for line in result.stderr.splitlines() if "error:" in line]
    return problems


def main():
    root, tool = pathlib.Path(sys.argv[1]).resolve(), clang_format()
    if "--fix" in sys.argv:
        if not tool:
            sys.exit("clang-format 19 is not installed: scripts/setup lint, or pip install clang-format==19.1.7")
        subprocess.run([tool, "-i", *(str(p) for p in sources(root) if p.suffix in (".hpp", ".cpp", ".ipp"))], check=True)
    found = check(root, tool)
    print("\n".join(found) or "everything is in format")
    if found:
        print("python3 tests/lint/format.py . --fix formats the C++ files")
        return 1
    if not tool:
        print("clang-format 19 is not installed, so the C++ was only measured: scripts/setup lint")
        return NOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main())
