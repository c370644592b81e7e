# SPDX-License-Identifier: BSL-1.0
"""The form of headers: guard, namespace markers, folders, umbrellas that leave nothing out. usage: form.py SOURCE_DIR [--fix]

--fix writes the include lines of the umbrellas anew.
"""
import pathlib
import re
import sys

from rooms import BY_NAME, INTERNAL, ROOMS, is_public, room_of
from source import headers, includes, strip

# Rooms in dtask.hpp, and those that are included by name only.
IN_ROOT = ["base", "task", "job", "runtime", "process", "node"]

MOST_LINES = 400

# First lines of umbrellas that have to be made.
WHAT = {
    "base": "the words that all rooms share",
    "task": "task<T> and what tasks are joined and stopped with",
    "wire": "what is on the socket",
    "control": "what is decided",
    "job": "what can travel",
    "sim": "the three state machines on virtual time and a virtual network",
    "runtime": "where tasks run: threads and Asio",
    "net": "how bytes move",
    "process": "what starts, watches and identifies processes",
    "node": "what a user starts: coordinator, worker, client",
    "cli": "the roles run, worker and coordinator of a program",
    "data": "pictures, IDX and safetensors without LibTorch",
    "torch": "tensors as job arguments",
    "cuda": "work on a device, awaited",
}


def fix(root):
    include_dir = pathlib.Path(root) / "include"
    rooms = {}
    for path in headers(root):
        name = path.relative_to(include_dir).as_posix()
        if is_public(name) and name not in BY_NAME:
            rooms.setdefault(room_of(name), []).append(name)
    for room, names in rooms.items():
        rewrite(include_dir / "dtask" / f"{room}.hpp", f"The room {room}/: {WHAT.get(room, room)}.", names)
    rewrite(include_dir / "dtask" / "dtask.hpp", "The whole library for a program with its own main.",
            [f"dtask/{r}.hpp" for r in IN_ROOT if r in rooms])


def rewrite(path, what, names):
    """Keeps the remarks at the head of a file that exists."""
    old = path.read_text() if path.exists() else f"// SPDX-License-Identifier: BSL-1.0\n#pragma once\n/// {what}\n"
    head = re.split(r"^\s*#\s*include", old, maxsplit=1, flags=re.M)[0].rstrip("\n") + "\n"
    new = head + "".join(f'#include "{name}"\n' for name in names)
    if new != old:
        path.write_text(new)
        print(f"written: {path}")


def names_for_programs(code):
    """Whether a header declares something outside of namespace detail; forward declarations do not count."""
    inside = re.search(r"\bDTASK_BEGIN\b(.*)\bDTASK_END\b", code, re.S)
    rest = inside[1] if inside else ""
    while start := re.search(r"\bnamespace\s+detail\s*\{", rest):
        end, depth = start.end(), 1
        while depth and end < len(rest):
            depth += {"{": 1, "}": -1}.get(rest[end], 0)
            end += 1
        rest = rest[:start.start()] + rest[end:]
    rest = re.sub(r"^\s*#[^\n]*|(\btemplate\s*<[^>]*>\s*)?\b(class|struct)\s+\w+\s*;", "", rest, flags=re.M)
    return bool(rest.strip())


def check_length(root):
    problems = []
    for path in headers(root):
        name = path.relative_to(pathlib.Path(root) / "include").as_posix()
        lines = path.read_text().count("\n")
        if lines > MOST_LINES:
            problems.append(f"{name}: {lines} lines; cut what has more than {MOST_LINES} along its nouns")
    return problems


def check(root):
    include_dir = pathlib.Path(root) / "include"
    problems, rooms = [], {}
    for path in headers(root):
        name = path.relative_to(include_dir).as_posix()
        text = path.read_text()
        code = strip(text)
        if is_public(name) and name not in BY_NAME:
            rooms.setdefault(room_of(name), []).append(name)
        if path.suffix == ".hpp" and not re.match(r"(// SPDX-[^\n]*\n)?#pragma once\n", text):
            problems.append(f"{name}: the first line after the licence is not '#pragma once'")
        if re.search(r"^\s*using\s+namespace\b", code, re.M) and re.search(r"^using\s+namespace\b", code, re.M):
            problems.append(f"{name}: 'using namespace' at namespace scope reaches every user")
        if code.count("diagnostic push") != code.count("diagnostic pop"):
            problems.append(f"{name}: a '#pragma GCC diagnostic push' without its pop")
        if re.search(r"\b(TODO|FIXME|XXX)\b", text):
            problems.append(f"{name}: an unfinished remark")
        if name == "dtask/base/config.hpp":
            continue
        if re.search(r"^\s*(inline\s+)?namespace\s+dtask\b", code, re.M):
            problems.append(f"{name}: opens namespace dtask itself; use DTASK_BEGIN and DTASK_END, which carry the ABI")
        begins, ends = len(re.findall(r"\bDTASK_BEGIN\b", code)), len(re.findall(r"\bDTASK_END\b", code))
        if begins != ends:
            problems.append(f"{name}: {begins} DTASK_BEGIN and {ends} DTASK_END")
        if begins and is_public(name) and room_of(name) not in INTERNAL and not names_for_programs(code):
            problems.append(f"{name}: has nothing for programs; it belongs in parts/, or in detail/ where no other room includes it")
        if begins and "/parts/" in name and names_for_programs(code):
            problems.append(f"{name}: is no header for programs, so what it declares stands in namespace detail")
        if path.stem != path.stem.lower() or not re.fullmatch(r"[a-z][a-z0-9_]*", path.stem):
            problems.append(f"{name}: names are snake_case")
        if re.search(r"(^|_)(utils?|common|helpers?|manager|misc)(_|$)", path.stem):
            problems.append(f"{name}: a header is named after its noun")
    for room, names in rooms.items():
        umbrella = include_dir / "dtask" / f"{room}.hpp"
        if not umbrella.exists():
            problems.append(f"dtask/{room}.hpp is missing: room {room} has no umbrella")
            continue
        for name in sorted(set(names) - set(includes(umbrella))):
            problems.append(f"dtask/{room}.hpp: does not include {name} (python3 tests/lint/form.py . --fix)")
        for name in sorted(BY_NAME & set(includes(umbrella))):
            problems.append(f"dtask/{room}.hpp: {name} is included by name only")
    root_umbrella = include_dir / "dtask" / "dtask.hpp"
    if root_umbrella.exists():
        have = set(includes(root_umbrella))
        problems += [f"dtask/dtask.hpp: does not include dtask/{r}.hpp" for r in IN_ROOT if r in rooms and f"dtask/{r}.hpp" not in have]
        problems += [f"dtask/dtask.hpp: room {r} is included by name only" for r in ROOMS
                     if r not in IN_ROOT and f"dtask/{r}.hpp" in have]
    return problems


if __name__ == "__main__":
    if "--fix" in sys.argv:
        fix(sys.argv[1])
    found = check(sys.argv[1]) + check_length(sys.argv[1])
    print("\n".join(found) or "the headers are in form")
    sys.exit(1 if found else 0)
