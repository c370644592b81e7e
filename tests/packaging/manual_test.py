# SPDX-License-Identifier: BSL-1.0
"""The manual page and bash's completion of the dtask tool say what its --help says, and work.

usage: manual_test.py SOURCE_DIR DTASK
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = DTASK = None


def run(*command, **more):
    return subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=100, **more)


class Manual(unittest.TestCase):
    def test_in_step_with_help(self):
        result = run(sys.executable, SOURCE / "tools/dtask/manual.py", DTASK)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_what_the_help_changes_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            other = pathlib.Path(folder) / "dtask"
            other.write_text(f"#!/bin/sh\n'{DTASK}' \"$@\" | sed 's/--port-file FILE /--harbour-file FILE /'\n")
            other.chmod(0o755)
            result = run(sys.executable, SOURCE / "tools/dtask/manual.py", other)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("tools/dtask/dtask.1 does not say what --help says", result.stdout)
        self.assertIn("tools/dtask/completions/dtask does not say what --help says", result.stdout)

    @unittest.skipUnless(shutil.which("man"), "man is missing: scripts/setup packaging")
    def test_the_page_is_shown(self):
        result = run("man", "--warnings", "-l", SOURCE / "tools/dtask/dtask.1",
                     env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80", MANPAGER="cat"))
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("warning:", result.stdout)
        for word in ("--port-file FILE", "dtask-worker@NAME.service", "echo DTASK_COOKIE=$(od -An -N8 -tu8 /dev/urandom)"):
            self.assertIn(word, result.stdout)

    def complete(self, *words):
        """What bash offers for the last of the words of a command line."""
        script = (f". '{SOURCE}/tools/dtask/completions/dtask'\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n"
                  "complete -p dtask >/dev/null || exit 3\n_dtask 2>/dev/null\n"
                  "[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"\n")
        result = run("bash", "--norc", "-c", script, "bash", *words, cwd=SOURCE)
        self.assertEqual(result.returncode, 0, result.stdout)
        return result.stdout.splitlines()

    @unittest.skipUnless(shutil.which("bash"), "bash is missing")
    def test_completion(self):
        self.assertEqual(self.complete("dtask", "st"), ["status"])
        self.assertEqual(self.complete("dtask", ""), ["coordinator", "status", "version", "--help", "--version"])
        self.assertEqual(self.complete("dtask", "status", "--j"), ["--json"])
        self.assertEqual(self.complete("dtask", "coordinator", "--log", "w"), ["warning"])
        self.assertEqual(self.complete("dtask", "coordinator", "--port-file", "LIC"), ["LICENSE"])
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a port").touch()
            self.assertEqual(self.complete("dtask", "coordinator", "--port-file", f"{folder}/"), [f"{folder}/a port"])
        self.assertEqual(self.complete("dtask", "coordinator", "--listen", ""), [])
        self.assertEqual(self.complete("dtask", "version", ""), [])
        # Every option that --help names is offered.
        for command in ("coordinator", "status"):
            said = run(DTASK, command, "--help").stdout
            named = {word for line in said.splitlines() if line.startswith("  -") for word in line.split()[0].split(",")}
            self.assertEqual(set(self.complete("dtask", command, "-")), named)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    SOURCE, DTASK = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Manual))
    sys.exit(0 if result.wasSuccessful() else 1)
