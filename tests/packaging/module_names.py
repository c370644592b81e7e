# SPDX-License-Identifier: BSL-1.0
"""The public names that `import dtask;` brings: those of namespace dtask with <dtask/dtask.hpp> and <dtask/main.hpp>, nested
namespaces included, `detail` and those of the rooms that are included by name aside. src/dtask.cppm lists them; clang says
which there are.

usage: module_names.py SOURCE_DIR CLANG [--fix]      --fix writes the list of src/dtask.cppm anew
"""
import pathlib
import re
import subprocess
import sys
import tempfile

HEADERS = ("dtask/dtask.hpp", "dtask/main.hpp")
# The inline namespace has every name once more; the rooms are those that dtask.hpp leaves to who includes them by name.
NOT_PUBLIC = re.compile(r"detail|v\d+_\d+_\w+|control|net|wire")


def ask(lines, clang, *flags):
    """What clang says of these lines."""
    with tempfile.TemporaryDirectory() as folder:
        unit = pathlib.Path(folder) / "names.cpp"
        unit.write_text("\n".join(lines) + "\n")
        return subprocess.run([clang, "-std=c++20", "-DDTASK_SEPARATE_COMPILATION", "-fsyntax-only", *(flag.format(unit=unit) for flag in flags), str(unit)], text=True,
                              capture_output=True)


def completed(before, namespace, clang, include):
    """The names that may follow `namespace::`, by clang's own completion."""
    last = f"  {namespace}::"
    result = ask([*before, "void names() {", last, "}"], clang, include, "-Xclang",
                 f"-code-completion-at={{unit}}:{len(before) + 2}:{len(last) + 1}")
    found = set(re.findall(r"^COMPLETION: ([A-Za-z_]\w*)", result.stdout, re.M))
    if not found or "error:" in result.stderr:
        raise RuntimeError(f"{clang} completes nothing after {namespace}::\n{result.stdout}{result.stderr}")
    return found


def namespaces(names, before, namespace, clang, include):
    """Those of the names that are namespaces: an alias can be made of them."""
    names = sorted(names)
    result = ask([*before, *(f"namespace alias{i} = {namespace}::{name};" for i, name in enumerate(names))], clang, include, "-ferror-limit=0",
                 "-fno-spell-checking")
    wrong = {int(line) - len(before) - 1 for line in re.findall(r"names\.cpp:(\d+):\d+: error:", result.stderr)}
    return {name for i, name in enumerate(names) if i not in wrong}


def public(source, clang, namespace="dtask"):
    """{namespace: its names}, for this one and what is nested in it."""
    before, include = [f"#include <{header}>" for header in HEADERS], f"-I{source / 'include'}"
    names = completed(before, namespace, clang, include)
    nested = namespaces(names, before, namespace, clang, include)
    found = {namespace: names - nested}
    for name in nested:
        if not NOT_PUBLIC.fullmatch(name):
            found.update(public(source, clang, f"{namespace}::{name}"))
    return found


def exported(source):
    """The list as it stands: {namespace: [name]}."""
    found = {}
    for namespace, block in re.findall(r"^export namespace ([\w:]+) \{\n(.*?)^\}", (source / "src/dtask.cppm").read_text(), re.M | re.S):
        found[namespace] = re.findall(rf"^using {namespace}::(\w+);$", block, re.M)
    return found


def problems(source, clang):
    wanted, listed, said = public(source, clang), exported(source), []
    for namespace in sorted(wanted | listed):
        here, there = wanted.get(namespace, set()), listed.get(namespace, [])
        said += [f"src/dtask.cppm: does not export {namespace}::{name}" for name in sorted(here - set(there))]
        said += [f"src/dtask.cppm: exports {namespace}::{name}, which neither {' nor '.join(HEADERS)} declares" for name in sorted(set(there) - here)]
        if there != sorted(set(there)):
            said.append(f"src/dtask.cppm: the names of {namespace} are not sorted, each once")
    return said


def fix(source, clang):
    path, text = source / "src/dtask.cppm", ""
    for namespace, names in sorted(public(source, clang).items()):
        text += f"\nexport namespace {namespace} {{\n" + "".join(f"using {namespace}::{name};\n" for name in sorted(names))
        text += f"}}  // namespace {namespace}\n"
    path.write_text(re.split(r"(?<=export module dtask;\n)", path.read_text())[0] + text)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--fix"]
    if len(words) != 2:
        sys.exit(__doc__.strip())
    root = pathlib.Path(words[0]).resolve()
    if "--fix" in sys.argv:
        fix(root, words[1])
    found = problems(root, words[1])
    print("\n".join(found) or "every public name is exported")
    sys.exit(1 if found else 0)
