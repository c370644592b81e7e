# SPDX-License-Identifier: BSL-1.0
"""What including dtask costs: CPU seconds at -O0, printed; fails only on the ratio to a fixed set of standard headers compiled in the same run.

usage: budgets.py COMPILER FLAGS_FILE SOURCE_DIR WITH_TORCH
"""
import os
import pathlib
import subprocess
import sys
import tempfile

# These cost about 0.5 s where the budgets were set (g++ 12, -O0).
STANDARD = """algorithm array atomic bit charconv chrono compare condition_variable coroutine deque exception functional memory mutex optional
span stop_token string string_view system_error thread tuple type_traits unordered_map utility variant vector""".split()
STANDARD_SECONDS = 0.5
# Goals in the CPU seconds of that machine. The test fails at half as much again, since a busy machine measures badly.
GOALS = {"dtask/task.hpp": 0.7, "dtask/job.hpp": 1.3, "dtask/dtask.hpp": 2.5, "dtask/main.hpp": 4.0, "dtask/torch.hpp": 7.0, "smallest program": 5.0}
TOLERANCE = 1.5
# Not reached header-only: the nodes alone take more. These are the ratios measured on a quiet machine, which keep them from growing under
# the same tolerance; docs/design/separate-compilation.md.
KEPT = {"dtask/dtask.hpp": 17.5, "dtask/main.hpp": 22, "smallest program": 41}
# Reached where the library is compiled once, in a unit of its own.
SEPARATE = ("dtask/main.hpp", "smallest program")


def cpu_seconds(compiler, flags, source):
    """Of one compilation, its passes included."""
    process = subprocess.Popen([compiler, *flags, "-O0", "-c", source, "-o", os.devnull], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        print(output.decode())
        sys.exit(f"{source} does not compile")
    return usage.ru_utime + usage.ru_stime


def main():
    compiler, flags, root = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().split(), pathlib.Path(sys.argv[3])
    with_torch = sys.argv[4].upper() in ("ON", "TRUE", "1", "YES")
    with tempfile.TemporaryDirectory() as folder:
        def measure(text, runs, *more):
            path = pathlib.Path(folder) / "unit.cpp"
            path.write_text(text)
            return min(cpu_seconds(compiler, [*flags, *more], str(path)) for _ in range(runs))

        standard = measure("".join(f"#include <{h}>\n" for h in STANDARD), 3)
        print(f"{'':28}{'CPU s':>8}{'ratio':>8}{'goal':>8}{'limit':>8}\n{'standard headers':28}{standard:8.2f}{1:8.2f}")
        over = []
        texts = {header: f'#include "{header}"\n' for header in GOALS
                 if (root / "include" / header).exists() and (with_torch or "torch" not in header)}
        texts["smallest program"] = f'#include "{(root / "examples" / "hello" / "main.cpp").resolve()}"\n'
        todo = [(name, name, KEPT.get(name), ()) for name in texts]
        todo += [(name, f"{name}, separate", None, ("-DDTASK_SEPARATE_COMPILATION",)) for name in SEPARATE]
        for name, shown, kept, more in todo:
            goal = GOALS[name] / STANDARD_SECONDS
            limit = (kept or goal) * TOLERANCE
            seconds = measure(texts[name], 1, *more)
            if seconds / standard > limit:
                # A machine that is busy with other things can double one measurement.
                seconds = min(seconds, measure(texts[name], 1, *more))
            print(f"{shown:28}{seconds:8.2f}{seconds / standard:8.2f}{goal:8.2f}{limit:8.2f}")
            if seconds / standard > limit:
                over.append(shown)
    if over:
        print(f"over budget: {', '.join(over)}; `g++ -H` shows what is included, `-ftime-report` where the time goes")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
