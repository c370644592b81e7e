# SPDX-License-Identifier: BSL-1.0
"""A file that must not compile, with the reasons that the compiler must give. usage: compile_fail.py COMPILER FLAGS_FILE SOURCE

The file must compile when DTASK_CONTROL is defined and it tests that macro: this shows that nothing else is wrong with it.
"""
import pathlib
import re
import subprocess
import sys


def compile_unit(*arguments):
    return subprocess.run([*arguments, "-Wall", "-Wextra", "-Werror=unused-result", "-fsyntax-only"], capture_output=True, text=True)


def main():
    compiler, flags, source = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().split(), sys.argv[3]
    text = pathlib.Path(source).read_text()
    expected = re.findall(r"^// expect: (.+)$", text, re.M)
    if not expected:
        print(f"{source}: has no line '// expect: REGEX'")
        return 1
    result = compile_unit(compiler, *flags, source)
    if result.returncode == 0:
        print(f"{source}: compiles, but must not")
        return 1
    missing = [e for e in expected if not re.search(e, result.stderr)]
    if missing:
        print(f"{source}: fails as it must, but the compiler does not say: {missing}\n{result.stderr}")
        return 1
    if "DTASK_CONTROL" in text:
        control = compile_unit(compiler, *flags, "-DDTASK_CONTROL", source)
        if control.returncode != 0:
            print(f"{source}: does not compile without its mistake either\n{control.stderr}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
