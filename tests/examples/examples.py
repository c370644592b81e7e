# SPDX-License-Identifier: BSL-1.0
"""Runs an example and compares what it prints with what its source says.

usage: examples.py SOURCE PROGRAM PAGE

A source has at most 60 lines and ends in a comment:

  // Run: ARGUMENT...   one line for each way to run it; none: once, without arguments
  // Output:
  // LINE...            what it prints on stdout, the same each time

PAGE has a link to it.
"""
import difflib
import pathlib
import subprocess
import sys

LINES = 60
SECONDS = 50


def expected(text):
    """The arguments of each run, and the output."""
    lines = text.splitlines()
    if "// Output:" not in lines:
        raise ValueError("no line '// Output:'")
    at = lines.index("// Output:")
    runs = [line.removeprefix("// Run:").split() for line in lines[:at] if line.startswith("// Run:")]
    output = lines[at + 1:]
    strange = [line for line in output if line != "//" and not line.startswith("// ")]
    if strange or not output:
        raise ValueError(f"after '// Output:' stands the output as comment and nothing else: {strange}")
    return runs or [[]], "".join(line[3:] + "\n" for line in output)


def problems_of(source, program, page, seconds=SECONDS):
    text = source.read_text()
    if text.count("\n") > LINES:
        yield f"{text.count(chr(10))} lines: at most {LINES}"
    if f"(../examples/features/{source.name})" not in page.read_text():
        yield f"{page.name} has no link to it"
    try:
        runs, output = expected(text)
    except ValueError as e:
        yield str(e)
        return
    for arguments in runs:
        what = " ".join([source.stem, *arguments])
        try:
            end = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            yield f"{what}: not finished after {seconds} s"
            continue
        if end.returncode != 0:
            yield f"{what}: exit {end.returncode}\n{end.stderr}"
        if end.stdout != output:
            differences = difflib.unified_diff(output.splitlines(), end.stdout.splitlines(), "the source says", "printed", lineterm="")
            yield f"{what}:\n" + "\n".join(differences)


def main():
    source, program, page = sys.argv[1:]
    problems = list(problems_of(pathlib.Path(source), program, pathlib.Path(page)))
    for problem in problems:
        print(f"{source}: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
