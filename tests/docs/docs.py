# SPDX-License-Identifier: BSL-1.0
"""Runs the programs and commands of documents.

usage: docs.py PAGE... --source DIR --build DIR --compiler CXX --flags FILE [--libraries FILE...]

A comment on the line before a fenced block says what the block is:

  <!-- run: program [ARGUMENT...] -->  a whole program: compiled against dtask::main_compiled and run
  <!-- run: compile -->                a whole program or header: compiled only
  <!-- run: part of FILE -->           lines of FILE, which is compiled elsewhere; compared, indentation aside
  <!-- run: sh [data] -->              commands, run by bash from the top of the repository; `data`: left out without DTASK_TEST_DATA
  <!-- run: sh elsewhere -->           the same in an empty folder with the repository's files linked in, so that what the commands make is not left behind
  <!-- run: not here, REASON -->       not run by this test; the reason is printed
  <!-- output -->                      the block after it is what the block before printed on stdout (... stands for anything)

What a block leaves in the background is ended with it. Every ```cpp and ```sh block needs one. build/release/ in a command stands for the build folder under test.
"""
import argparse
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap

BLOCK = re.compile(r"(?:^[ \t]*<!--[ \t]*(?P<mark>[^\n]*?)[ \t]*-->[ \t]*\n)?^(?P<indent>[ \t]*)```(?P<language>[\w+]*)[^\n]*\n(?P<text>.*?)^[ \t]*```[ \t]*$",
                   re.M | re.S)
SECONDS = 280


class Failure(Exception):
    pass


def blocks(text):
    for m in BLOCK.finditer(text):
        yield text.count("\n", 0, m.start("text")), m["mark"] or "", m["language"], textwrap.dedent(m["text"])


def same_output(expected, actual):
    def pattern(text):
        lines = [line.rstrip() for line in text.strip().splitlines()]
        return "\n".join(re.escape(line).replace(re.escape("..."), ".*") for line in lines)
    return re.fullmatch(pattern(expected), "\n".join(line.rstrip() for line in actual.strip().splitlines()), re.S) is not None


def is_part(text, whole):
    """Whether the lines of text follow each other in whole, indentation and blank lines aside."""
    part = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    return any(lines[i:i + len(part)] == part for i in range(len(lines) - len(part) + 1))


def end_of(process):
    """How a process ended, which stays a zombie; None: it has not within SECONDS."""
    held = os.pidfd_open(process.pid)
    try:
        # By a descriptor, since waiting with a limit would take its number from it.
        if not select.select([held], [], [], SECONDS)[0]:
            return None
    finally:
        os.close(held)
    end = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status


class Page:
    def __init__(self, args):
        self.source, self.build = pathlib.Path(args.source), pathlib.Path(args.build)
        self.compiler, self.flags = args.compiler, pathlib.Path(args.flags).read_text().split()
        self.libraries = args.libraries
        self.left_out = []

    def command(self, what, arguments, folder=None, **options):
        # Into files and not pipes: what it has left in the background would hold a pipe, and the end of that be waited for.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            started = subprocess.Popen(arguments, cwd=folder or self.source, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, **options)
            try:
                code = end_of(started)
            finally:
                # Before it is waited for: until then the number of the group is nobody else's.
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()
            printed, complained = (file.seek(0) or file.read().decode(errors="replace") for file in (out, err))
        if code is None:
            raise Failure(f"{what}: not finished after {SECONDS} s\n{printed}{complained}")
        if code != 0:
            raise Failure(f"{what}: exit {code}\n{printed}{complained}")
        return printed

    def program(self, text, folder, arguments):
        source, program = folder / "program.cpp", folder / "program"
        source.write_text(text)
        self.command("compiler", [self.compiler, *self.flags, "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
                                  str(source), *(["-c", "-o", os.devnull] if arguments is None else [*self.libraries, "-o", str(program)])])
        return None if arguments is None else self.command("program", [str(program), *arguments])

    def run(self, mark, language, text, folder):
        """What the block printed, or None."""
        if mark.startswith("run: "):
            mark = mark[5:]
        elif language in ("cpp", "c++", "sh", "bash", "console"):
            raise Failure(f"a ```{language} block without a comment that says how it is tested")
        else:
            return None
        kind, _, rest = mark.partition(" ")
        if kind == "program":
            return self.program(text, folder, rest.split())
        if kind == "compile":
            return self.program(text, folder, None)
        if mark.startswith("part of "):
            name = mark[len("part of "):]
            if not is_part(text, (self.source / name).read_text()):
                raise Failure(f"these lines are not in {name} any more:\n{text}")
            return None
        if kind == "sh":
            if rest == "data" and not os.environ.get("DTASK_TEST_DATA"):
                self.left_out.append("set DTASK_TEST_DATA to run: " + text.strip().splitlines()[0])
                return None
            text = text.replace("build/release/", f"{self.build}/")
            if rest == "elsewhere":
                for name in self.source.iterdir():
                    (folder / name.name).symlink_to(name)
            return self.command("commands", ["bash", "-euo", "pipefail", "-c", text], folder if rest == "elsewhere" else None)
        if mark.startswith("not here, "):
            print(f"not run here ({mark[len('not here, '):]}): {text.strip().splitlines()[0]}")
            return None
        raise Failure(f"unknown mark '{mark}'")

    def check(self, text):
        problems, printed = [], None
        for line, mark, language, block in blocks(text):
            try:
                if mark == "output":
                    if printed is not None and not same_output(block, printed):
                        raise Failure(f"printed\n{printed}instead of\n{block}")
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    printed = self.run(mark, language, block, pathlib.Path(folder))
            except Failure as e:
                problems.append((line + 1, str(e)))
        return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pages", nargs="+")
    for name in ("source", "build", "compiler", "flags"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--libraries", nargs="*", default=[])
    args = parser.parse_args()
    page = Page(args)
    problems = [(name, line, what) for name in args.pages for line, what in page.check((page.source / name).read_text())]
    for name, line, what in problems:
        print(f"{name}:{line}: {what}")
    for what in page.left_out:
        print(f"left out: {what}")
    if problems:
        return 1
    return 77 if page.left_out else 0


if __name__ == "__main__":
    sys.exit(main())
