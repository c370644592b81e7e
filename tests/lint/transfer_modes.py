# SPDX-License-Identifier: BSL-1.0
"""Objects built with different values of DTASK_SYMMETRIC_TRANSFER or DTASK_DEBUG must not link. usage: transfer_modes.py COMPILER FLAGS_FILE"""
import itertools
import pathlib
import subprocess
import sys
import tempfile

CALLER = """
#include "dtask/task/task.hpp"
dtask::task<int> answer();
int main() { auto t = answer(); return 0; }
"""
CALLEE = """
#include "dtask/task/task.hpp"
dtask::task<int> answer();
dtask::task<int> answer() {
  const int value = 42;
  co_return value;
}
"""
MODES = list(itertools.product((0, 1), (0, 1)))


def main():
    compiler, flags = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().split()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        jobs = []
        for name, text in (("caller", CALLER), ("callee", CALLEE)):
            (folder / f"{name}.cpp").write_text(text)
            for symmetric, debug in MODES:
                command = [compiler, *flags, f"-DDTASK_SYMMETRIC_TRANSFER={symmetric}", f"-DDTASK_DEBUG={debug}", "-c",
                           str(folder / f"{name}.cpp"), "-o", str(folder / f"{name}_{symmetric}{debug}.o")]
                jobs.append((command, subprocess.run(command, capture_output=True, text=True)))
        for command, result in jobs:
            if result.returncode != 0:
                print(" ".join(command), result.stderr, sep="\n")
                return 1
        failures = 0
        for a, b in itertools.product(MODES, MODES):
            objects = [str(folder / f"caller_{a[0]}{a[1]}.o"), str(folder / f"callee_{b[0]}{b[1]}.o")]
            result = subprocess.run([compiler, *objects, "-pthread", "-o", str(folder / "program")], capture_output=True, text=True)
            links = result.returncode == 0
            refused = "undefined reference to `answer" in result.stderr
            if links != (a == b) or (not links and not refused):
                failures += 1
                print(f"symmetric, debug = {a} calls {b}: {'links' if links else 'does not link'}\n{result.stderr}")
        print(f"{len(MODES) ** 2} pairs of modes, {failures} wrong")
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
