# SPDX-License-Identifier: BSL-1.0
"""Compares the names that `import dtask;` offers (src/dtask.cppm) with what the headers declare in namespace dtask.

usage: module.py SOURCE_DIR [--fix]      --fix writes the list of names anew

clang 19 is asked for the names: those of namespace dtask itself, not of detail or of the rooms that have a namespace of their
own. Ends with 77 where clang++-19 is missing.
"""
import pathlib
import re
import shutil
import subprocess
import sys

COMPILER = "clang++-19"
HEADERS = ("dtask/dtask.hpp", "dtask/main.hpp")
# Namespaces in dtask that are the library's own affair: the rooms' and what is private.
PRIVATE = {"detail", "control", "net", "sim", "wire"}
LINE = re.compile(r"^using dtask::(.*);$", re.M)


def declared(root):
    """Every name of namespace dtask and of its public namespaces, as the compiler sees it behind the module's headers."""
    text = "".join(f"#include <{header}>\n" for header in HEADERS)
    result = subprocess.run([COMPILER, "-std=c++20", "-Wno-everything", f"-I{root}/include", "-x", "c++", "-fsyntax-only", "-Xclang", "-ast-list",
                             "-Xclang", "-ast-dump-filter=dtask::", "-"], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode:
        sys.exit(result.stderr)
    opened = set(re.findall(r"^namespace (\w+)", "".join(path.read_text() for path in (root / "include").rglob("*.hpp")), re.M))
    public = opened - PRIVATE
    # Template parameters, which clang lists too, begin with a capital; v0_... is the inline namespace; operators are friends, found
    # by their arguments.
    names = re.findall(r"^dtask::((?:(?:" + "|".join(public) + r")::)?[a-z]\w*)$", result.stdout, re.M)
    return {name for name in names if name not in opened and not re.match(r"v\d", name)}


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    unit = root / "src/dtask.cppm"
    if not shutil.which(COMPILER):
        print(f"skipped: no {COMPILER}")
        sys.exit(77)
    names = declared(root)
    text = unit.read_text()
    if "--fix" in sys.argv:
        lines = "".join(f"using dtask::{name};\n" for name in sorted(names) if "::" not in name)
        for inner in sorted({name.split("::")[0] for name in names if "::" in name}):
            lines += f"namespace {inner} {{\n" + "".join(f"using dtask::{name};\n" for name in sorted(names) if name.startswith(f"{inner}::"))
            lines += f"}}  // namespace {inner}\n"
        unit.write_text(re.sub(r"(?s)(export namespace dtask \{\n).*?(\}  // namespace dtask)", lambda m: m[1] + lines + m[2], text))
        return
    exported = set(LINE.findall(text))
    for name in sorted(names - exported):
        print(f"src/dtask.cppm: does not export dtask::{name}")
    for name in sorted(exported - names):
        print(f"src/dtask.cppm: exports dtask::{name}, which the headers do not declare")
    if names != exported:
        sys.exit("python3 tests/lint/module.py . --fix writes the list anew")
    print(f"import dtask; offers the {len(names)} names that the headers declare")


if __name__ == "__main__":
    main()
