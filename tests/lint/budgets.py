# SPDX-License-Identifier: BSL-1.0
"""What including dtask costs: CPU seconds, printed; fails only on the ratio to a reference compiled in the same run: a fixed
set of standard headers, or for the whole header-only program one of Asio and Beast (http_server.cpp). A unit that takes a
gigabyte against one that takes a second differs by a fifth from machine to machine; two of a kind differ by little.

usage: budgets.py COMPILER FLAGS_FILE SOURCE_DIR WITH_TORCH

The machine may be busy and its clock may drift, so the reference is measured before and after each compilation, and the
smallest ratio counts.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

STANDARD = """algorithm array atomic bit charconv chrono compare condition_variable coroutine deque exception functional memory mutex optional
span stop_token string string_view system_error thread tuple type_traits unordered_map utility variant vector""".split()
COMPILED = ("-DDTASK_SEPARATE_COMPILATION",)
# Over its goal by less than this is taken for noise.
TOLERANCE = 1.1
ROUNDS = 2


class Row:
    """Something to compile: what it is called, a source or several, flags, and the ratio to reach (None: only printed)."""

    def __init__(self, name, sources, flags, goal, reference, heavy=False):
        self.name, self.sources, self.flags, self.goal, self.reference, self.heavy = name, sources, flags, goal, reference, heavy
        self.seconds = self.ratio = float("inf")

    def once(self, compiler, flags):
        seconds = sum(cpu_seconds(compiler, [*flags, *self.flags], str(s)) for s in self.sources)
        self.seconds = min(self.seconds, seconds)
        return seconds

    def measure(self, compiler, flags):
        times = 1 if self.reference.heavy else 2
        before = min(self.reference.once(compiler, flags) for _ in range(times))
        seconds = self.once(compiler, flags)
        after = min(self.reference.once(compiler, flags) for _ in range(times))
        self.ratio = min(self.ratio, seconds / ((before + after) / 2))


def cpu_seconds(compiler, flags, source):
    """Of one compilation, its passes included."""
    process = subprocess.Popen([compiler, *flags, "-c", source, "-o", os.devnull], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
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
        def including(*headers):
            path = pathlib.Path(folder) / f"{headers[0].replace('/', '_')}.cpp"
            path.write_text("".join(f"#include <{h}>\n" for h in headers))
            return [path]

        hello = [root / "examples" / "hello" / "main.cpp"]
        standard = Row("standard headers", including(*STANDARD), ("-O0",), None, None)
        server = Row("an HTTP server of Asio and Beast", [pathlib.Path(__file__).with_name("http_server.cpp")], ("-O0",), None, None, heavy=True)
        rows = [
            Row("dtask/task.hpp", including("dtask/task.hpp"), ("-O0",), 1.4, standard),
            Row("dtask/job.hpp", including("dtask/job.hpp"), ("-O0",), 2.6, standard),
            Row("dtask/dtask.hpp, compiled library", including("dtask/dtask.hpp"), ("-O0", *COMPILED), 4.5, standard),
            Row("smallest program, compiled library", hello, ("-O0", *COMPILED), 3.5, standard),
            Row("the same, -O2", hello, ("-O2", *COMPILED), 4.5, standard),
            Row("smallest program, header-only", hello, ("-O0",), 1.6, server, heavy=True),
            Row("the compiled library, all units, -O2", sorted((root / "src").glob("*.cpp")), ("-O2", *COMPILED), None, standard, heavy=True),
        ]
        if with_torch:
            rows.append(Row("dtask/torch.hpp", including("dtask/torch.hpp"), ("-O0",), 14, standard, heavy=True))
        for turn in range(ROUNDS):
            for row in rows:
                if turn == 0 or not row.heavy:
                    row.measure(compiler, flags)

        def over():
            return [row for row in rows if row.goal and row.ratio > row.goal * TOLERANCE]

        for _ in range(3):
            for row in over():
                row.measure(compiler, flags)
        print(f"{'':38}{'CPU s':>8}{'ratio':>8}{'goal':>8}")
        for reference in (standard, server):
            print(f"{reference.name:38}{reference.seconds:8.2f}{1:8.2f}{'-':>8}")
        for row in rows:
            goal = f"{row.goal:8.1f}" if row.goal else f"{'-':>8}"
            print(f"{row.name:38}{row.seconds:8.2f}{row.ratio:8.2f}{goal}")
        failed = [row.name for row in over()]
    if failed:
        print(f"over budget: {'; '.join(failed)}. `g++ -H` shows what is included, `-ftime-report` where the time goes")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
