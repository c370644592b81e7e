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
# Not reached yet: g++ generates code for every inline coroutine of node/, used or not. These ratios keep it from growing.
KEPT = {"dtask/dtask.hpp": 40, "dtask/main.hpp": 46, "smallest program": 60}


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
        def measure(text, runs):
            path = pathlib.Path(folder) / "unit.cpp"
            path.write_text(text)
            return min(cpu_seconds(compiler, flags, str(path)) for _ in range(runs))

        standard = measure("".join(f"#include <{h}>\n" for h in STANDARD), 3)
        print(f"{'':24}{'CPU s':>8}{'ratio':>8}{'goal':>8}{'limit':>8}\n{'standard headers':24}{standard:8.2f}{1:8.2f}")
        over = []
        todo = [(header, f'#include "{header}"\n') for header in GOALS
                if (root / "include" / header).exists() and (with_torch or "torch" not in header)]
        hello = root / "examples" / "hello" / "main.cpp"
        if hello.exists():
            todo.append(("smallest program", f'#include "{hello.resolve()}"\n'))
        for name, text in todo:
            goal = GOALS[name] / STANDARD_SECONDS
            limit = KEPT.get(name, goal * TOLERANCE)
            seconds = measure(text, 1)
            if seconds / standard > limit:
                # A machine that is busy with other things can double one measurement.
                seconds = min(seconds, measure(text, 1))
            print(f"{name:24}{seconds:8.2f}{seconds / standard:8.2f}{goal:8.2f}{limit:8.2f}")
            if seconds / standard > limit:
                over.append(name)
    if over:
        print(f"over budget: {', '.join(over)}; `g++ -H` shows what is included, `-ftime-report` where the time goes")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
