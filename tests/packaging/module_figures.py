# SPDX-License-Identifier: BSL-1.0
"""How long the second build of one unit takes with `import dtask;` against includes: clang 19, CMake and Ninja, no build type,
CPU time of all that Ninja starts (the scan for modules is part of it), interleaved, medians. scripts/bench packaging starts this.

usage: module_figures.py SOURCE_DIR WORK_DIR [ROUNDS]
"""
import os
import pathlib
import re
import resource
import shutil
import statistics
import sys
import time

import module_test
import offline
from module_test import run

# Unit, the library that it links when it includes, its sources: with includes, with the import; the highest ratio. The last
# is shown and has none: half of what the compiled library leaves is the unit's own instantiations and the standard's headers.
UNITS = (("tasks", "dtask::main_compiled", "tests/consumer/project/tasks.cpp", None, 0.3),
         ("hello", "dtask::main", "examples/hello/main.cpp", "tests/packaging/module/main.cpp", 0.3),
         ("hello", "dtask::main_compiled", "examples/hello/main.cpp", "tests/packaging/module/main.cpp", None))


def imported(text):
    """The unit with an import in place of dtask's headers, after those of others."""
    text = re.sub(r"^#include <dtask/.*\n", "", text, flags=re.M)
    at = [m.end() for m in re.finditer(r"^#include .*\n", text, re.M)][-1]
    return f"#include <coroutine>\n{text[:at]}import dtask;\n{text[at:]}"


def cpu(build, target, source):
    """Seconds of CPU that Ninja and what it starts take to make the target after its source changed, and seconds by the clock."""
    source.touch()
    before, then = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run("ninja", "-C", build, target)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - then


def main():
    source, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    rounds = int((sys.argv + ["7"])[3])
    module_test.SOURCE = source
    missing = module_test.lacking()
    if missing:
        print(f"left out: {missing}")
        return offline.NOT_RUN
    offline.enter()
    os.environ.pop("CMAKE_CXX_COMPILER_LAUNCHER", None)
    shutil.rmtree(work, ignore_errors=True)
    project, targets = work / "project", []
    project.mkdir(parents=True)
    text = ("cmake_minimum_required(VERSION 3.28)\nproject(figures LANGUAGES CXX)\nset(DTASK_BUILD_MODULE ON)\n"
            f'add_subdirectory("{source}" dtask EXCLUDE_FROM_ALL)\n')
    for i, (name, library, includes, imports, _) in enumerate(UNITS):
        code = (source / includes).read_text()
        for way, linked, content in (("includes", library, code), ("imports", "dtask::module", (source / imports).read_text() if imports else imported(code))):
            target = f"{name}{i}_{way}"
            (project / f"{target}.cpp").write_text(content)
            text += f"add_library({target} OBJECT {target}.cpp)\ntarget_link_libraries({target} PRIVATE {linked})\n"
            # As in a project without modules: not scanned.
            text += f"set_target_properties({target} PROPERTIES CXX_SCAN_FOR_MODULES {'OFF' if way == 'includes' else 'ON'})\n"
            targets.append(target)
    (project / "CMakeLists.txt").write_text(text)
    cmake = next(program for version, program in module_test.cmakes().items() if version >= (3, 28))
    run(cmake, "-S", project, "-B", work / "build", "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={module_test.CLANG}")
    objects = {target: f"CMakeFiles/{target}.dir/{target}.cpp.o" for target in targets}
    run("ninja", "-C", work / "build", *objects.values())
    measured = {target: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            measured[target].append(cpu(work / "build", objects[target], project / f"{target}.cpp"))
    failed = False
    print(f"second build of one unit, clang 19, medians of {rounds}:")
    for i, (name, library, _, _, highest) in enumerate(UNITS):
        (ours, our_wall), (theirs, their_wall) = ([statistics.median(column) for column in zip(*measured[f"{name}{i}_{way}"])] for way in ("imports", "includes"))
        goal = f"to reach: {highest}" if highest else "the instantiations and <ranges> are the unit's own: no module spares them"
        print(f"  {name:6} import {ours:.2f} s of CPU ({our_wall:.2f} s), includes with {library} {theirs:.2f} s ({their_wall:.2f} s): "
              f"{ours / theirs:.2f} ({goal})")
        failed |= bool(highest) and ours / theirs > highest
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    sys.exit(main())
