# SPDX-License-Identifier: BSL-1.0
"""Objects built with different values of what the ABI tag carries (DTASK_SYMMETRIC_TRANSFER, DTASK_DEBUG,
DTASK_FRAME_POOL) must not link; those that differ in DTASK_SEPARATE_COMPILATION do. usage: abi_modes.py COMPILER FLAGS_FILE
"""
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
MODES = list(itertools.product((0, 1), (0, 1), (0, 1)))
NAMES = ("DTASK_SYMMETRIC_TRANSFER", "DTASK_DEBUG", "DTASK_FRAME_POOL")


def answer_in(object_file):
    """The mangled name of the function that it defines."""
    listed = subprocess.run(["nm", "--defined-only", object_file], check=True, capture_output=True, text=True).stdout
    return next(line.split()[-1] for line in listed.splitlines() if "6answer" in line and "Frame" not in line and " T " in line)


def word(mode):
    return "".join(map(str, mode))


def main():
    compiler, flags = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().split()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def compiled(name, mode, *more):
            out = folder / f"{name}_{word(mode)}{'_compiled' if more else ''}.o"
            values = [f"-D{macro}={value}" for macro, value in zip(NAMES, mode)]
            command = [compiler, *flags, *values, *more, "-c", str(folder / f"{name}.cpp"), "-o", str(out)]
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode != 0:
                sys.exit(" ".join(command) + "\n" + result.stderr)
            return str(out)

        def links(*objects):
            return subprocess.run([compiler, *objects, "-pthread", "-o", str(folder / "program")], capture_output=True, text=True)

        for name, text in (("caller", CALLER), ("callee", CALLEE)):
            (folder / f"{name}.cpp").write_text(text)
        # Names decide what links: each mode has its own.
        callees = {mode: compiled("callee", mode) for mode in MODES}
        names = {mode: answer_in(callees[mode]) for mode in MODES}
        failures = 0
        for a, b in itertools.combinations(MODES, 2):
            if names[a] == names[b]:
                failures += 1
                print(f"{', '.join(NAMES)} = {a} and {b}: both define {names[a]}")
        callers = {mode: compiled("caller", mode) for mode in MODES[1:3]}
        for a, b in itertools.product(callers, callers):
            result = links(callers[a], callees[b])
            good = result.returncode == 0
            refused = "undefined reference to `answer" in result.stderr
            if good != (a == b) or (not good and not refused):
                failures += 1
                print(f"{', '.join(NAMES)} = {a} calls {b}: {'links' if good else 'does not link'}\n{result.stderr}")
        usual = MODES[1]
        for caller, callee in ((callers[usual], compiled("callee", usual, "-DDTASK_SEPARATE_COMPILATION")),
                               (compiled("caller", usual, "-DDTASK_SEPARATE_COMPILATION"), callees[usual])):
            result = links(caller, callee)
            if result.returncode != 0:
                failures += 1
                print(f"header-only and compiled units do not link\n{result.stderr}")
        print(f"{len(MODES)} modes, {failures} wrong")
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
