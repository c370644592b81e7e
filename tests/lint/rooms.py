# SPDX-License-Identifier: BSL-1.0
"""The room graph: who may include whom, and what from outside. usage: rooms.py SOURCE_DIR"""
import pathlib
import re
import sys

from source import headers, includes, strip

# A room includes only rooms before it in this list.
ROOMS = ["base", "task", "wire", "control", "job", "sim", "runtime", "net", "process", "node", "store", "http", "cli", "data", "collective", "torch", "cuda"]
# Where less than everything above is allowed.
SEES = {
    "base": [],
    "task": ["base"],
    "wire": ["base", "task"],
    "control": ["base", "task", "wire"],
    "sim": ["base", "task", "wire", "control", "job"],
    "process": ["base", "task", "wire", "control"],
    "http": ["base", "task", "job", "runtime", "process", "node", "store"],
}
POSIX = ("arpa/", "cxxabi.h", "dlfcn.h", "fcntl.h", "malloc.h", "netinet/", "poll.h", "pthread.h", "sched.h", "signal.h", "spawn.h", "sys/",
         "termios.h", "unistd.h", "linux/", "x86intrin.h", "immintrin.h")
# Prefixes of headers from outside, beyond the standard library.
OUTSIDE = {
    # read_file (<filesystem> is dear); blocks that are mapped, advised about and given back
    "base": ("sys/stat.h", "sys/mman.h", "malloc.h", "sched.h", "unistd.h", "sanitizer/asan_interface.h", "cxxabi.h"),
    "task": ("immintrin.h", "x86intrin.h"),
    "wire": (),
    "control": (),
    "job": ("cereal/", "boost/pfr", "cxxabi.h"),
    "sim": (),
    "runtime": ("boost/",) + POSIX,
    "net": ("boost/",) + POSIX,
    "process": POSIX,
    "node": ("boost/", "xxhash.h") + POSIX,
    "store": ("sqlite3.h", "boost/") + POSIX,
    "http": ("boost/",),
    "cli": ("CLI/", "boost/") + POSIX,
    "data": ("boost/", "jpeglib.h", "jerror.h", "png.h", "libexif/", "zlib.h", "xxhash.h") + POSIX,
    "collective": ("boost/", "mpi.h") + POSIX,
    # The trainer's headers, which are included by name, need modules and optimizers (10 % above torch/types.h).
    "torch": ("torch/types.h", "torch/version.h", "torch/nn/module.h", "torch/optim/", "ATen/", "c10/", "boost/", "xxhash.h") + POSIX,
    # Host code only: what needs nvcc (kernels, <cuda_runtime.h>) stays outside.
    "cuda": ("torch/types.h", "ATen/", "c10/", "cuda_runtime_api.h", "boost/") + POSIX,
}
NEVER = {
    "iostream": "its static initialisation reaches every user; <ostream> and <istream> declare the classes",
    "boost/asio.hpp": "include the Asio headers that are needed",
    "boost/beast.hpp": "include the Beast headers that are needed",
    "torch/torch.h": "1.1 GB and 20 s a unit; torch/types.h has the tensor",
    "torch/all.h": "torch/types.h has the tensor",
    "torch/script.h": "torch/types.h has the tensor",
    "torch/extension.h": "it includes Python",
    "bits/stdc++.h": "not a standard header",
}


# What users of the compiled library see must not lead to what carries it. Bodies (.ipp) are not followed: that build
# does not include them.
NOT_FROM = {
    "dtask/dtask.hpp": ("dtask/control/", "dtask/net/"),
    "dtask/main.hpp": ("dtask/control/", "dtask/net/", "dtask/runtime/", "boost/asio", "CLI/"),
    "dtask/node.hpp": ("dtask/control/", "dtask/net/", "boost/asio", "xxhash.h"),
    "dtask/torch.hpp": ("torch/nn/", "torch/optim/"),
}


# The trainer's headers: included by name, never from the umbrella of their room.
BY_NAME = {f"dtask/torch/{noun}.hpp" for noun in (
    "aggregate", "checkpoint", "epoch_report", "flat_model", "flat_tensors", "gradient_norm", "learning_rate", "model_file", "optimizer_state", "recipe", "strategy",
    "tally", "trainer", "training", "training_options", "training_state", "weight_average")}


# Rooms whose namespaces are internal: the reference leaves them out, so no header that it shows may name them.
INTERNAL = ("wire", "control", "net", "sim")
INTERNAL_NAME = re.compile(rf"\b(?:namespace\s+({'|'.join(INTERNAL)})\b|({'|'.join(INTERNAL)})\s*::)")


def is_public(name):
    """Whether a header of a room is for programs: neither a body, nor private to the room, nor a part for other rooms."""
    return room_of(name) is not None and name.endswith(".hpp") and "/detail/" not in name and "/parts/" not in name


def room_of(name):
    """The room of a path below include/ ("dtask/task/scope.hpp" -> "task"); None for an umbrella."""
    parts = name.split("/")
    return parts[1] if len(parts) > 2 else None


def check(include_dir):
    include_dir = pathlib.Path(include_dir)
    problems, graph, outside = [], {}, {}
    for path in headers(include_dir.parent):
        name = path.relative_to(include_dir).as_posix()
        room = room_of(name)
        graph[name], outside[name] = [], [t for t in includes(path) if not t.startswith("dtask/")]
        if room is not None and room not in ROOMS:
            problems.append(f"{name}: '{room}' is no room; rooms are {', '.join(ROOMS)}")
            continue
        for target in includes(path):
            if target in NEVER:
                problems.append(f"{name}: includes <{target}>: {NEVER[target]}")
            elif target.startswith("dtask/"):
                graph[name].append(target)
                problems += check_inside(include_dir, name, room, target)
            elif room is not None and ("/" in target or target.endswith(".h")) and not target.startswith(OUTSIDE[room]):
                problems.append(f"{name}: room {room} may not include <{target}>; from outside it sees the standard library"
                                + (f" and {', '.join(OUTSIDE[room])}" if OUTSIDE[room] else " alone"))
            elif room is None and ("/" in target or target.endswith(".h")):
                problems.append(f"{name}: an umbrella includes headers of dtask only, not <{target}>")
        if is_public(name) and room not in INTERNAL:
            for found in INTERNAL_NAME.finditer(strip(path.read_text())):
                problems.append(f"{name}: names {found.group(0)}, which is internal to the library; use it in {room}/detail/, {room}/parts/ or an .ipp")
    problems += rings(graph)
    for start, never in NOT_FROM.items():
        problems += leads_to(graph, outside, start, never)
    return problems


def leads_to(graph, outside, start, never):
    """The ways from `start` to what begins with one of `never`, each with its first place."""
    problems, came_from, todo = [], {start: None}, [start]
    while todo:
        name = todo.pop(0)
        for target in graph.get(name, []) + outside.get(name, []):
            if target.endswith(".ipp") or target in came_from:
                continue
            came_from[target] = name
            if target.startswith(never):
                way = [target]
                while came_from[way[-1]]:
                    way.append(came_from[way[-1]])
                problems.append(f"{start}: it needs no {target} (with the compiled library), but: " + " -> ".join(reversed(way)))
            else:
                todo.append(target)
    return problems


def check_inside(include_dir, name, room, target):
    problems = []
    if not (include_dir / target).exists():
        problems.append(f"{name}: includes {target}, which does not exist")
    of = room_of(target)
    if room is None:
        if of is not None and "/detail/" in target:
            problems.append(f"{name}: {target} is private to room {of}")
        if of is not None and "/parts/" in target:
            problems.append(f"{name}: {target} is for the rooms of the library, not for programs")
        return problems
    if of is None:
        problems.append(f"{name}: includes the umbrella {target}; include the headers that are needed")
        return problems
    allowed = SEES.get(room, ROOMS[:ROOMS.index(room)])
    if of != room and of not in allowed:
        problems.append(f"{name}: room {room} may not include {target}; it sees {', '.join(allowed) or 'no other room'}")
    if of != room and "/detail/" in target:
        problems.append(f"{name}: {target} is private to room {of}")
    if name.endswith(".ipp") and target == name.replace("/impl/", "/").replace(".ipp", ".hpp"):
        problems.append(f"{name}: an .ipp never includes its own header back")
    return problems


def rings(graph):
    """Depth first; each ring is reported once, where it closes."""
    problems, state = [], {}

    def visit(name, path):
        state[name] = "open"
        for target in graph.get(name, ()):
            if state.get(target) == "open":
                problems.append("ring: " + " -> ".join(path[path.index(target):] + [target]))
            elif target not in state:
                visit(target, path + [target])
        state[name] = "done"

    for name in graph:
        if name not in state:
            visit(name, [name])
    return problems


def check_users(root):
    """Private headers and parts are not for programs; a room's own tests may see the former, all tests the latter."""
    problems = []
    root = pathlib.Path(root)
    for folder in ("examples", "benchmarks", "tools", "tests"):
        for path in sorted((root / folder).rglob("*.?pp")):
            parts = path.relative_to(root).parts
            for target in includes(path):
                if target.startswith("dtask/") and "/detail/" in target and not (folder == "tests" and parts[1] == room_of(target)):
                    problems.append(f"{path.relative_to(root)}: {target} is private to room {room_of(target)}")
                if target.startswith("dtask/") and "/parts/" in target and folder != "tests":
                    problems.append(f"{path.relative_to(root)}: {target} is for the rooms of the library, not for programs")
    return problems


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1]) / "include") + check_users(sys.argv[1])
    print("\n".join(found) or "the room graph holds")
    sys.exit(1 if found else 0)
