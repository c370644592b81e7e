# SPDX-License-Identifier: BSL-1.0
"""scripts/bench refuses what it does not know, and its driver gives every figure, in a table and as JSON."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURE = {"name": "a figure", "value": 1234.5, "unit": "1/s", "reference": "another", "reference_value": 2469.0, "ratio": 0.5}


def run(*command):
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


class Driver(unittest.TestCase):
    def drive(self, *bodies):
        with tempfile.TemporaryDirectory() as folder:
            programs = []
            for i, body in enumerate(bodies):
                program = pathlib.Path(folder) / f"dtask_bench_number{i}"
                program.write_text("#!/bin/sh\n" + body + "\n")
                program.chmod(0o755)
                programs.append(str(program))
            written = pathlib.Path(folder) / "figures"
            result = run(sys.executable, "scripts/run_benchmarks.py", "--json", str(written), *programs)
            return result, [json.loads(line) for line in written.read_text().splitlines()]

    def test_figures(self):
        result, figures = self.drive(f"echo '{json.dumps(FIGURE)}'\necho said to people", "echo '{\"name\": \"alone\", \"value\": 2, \"unit\": \"s\"}'")
        self.assertEqual(result.returncode, 0)
        alone = {"name": "alone", "value": 2, "unit": "s", "reference": None, "reference_value": None, "ratio": None}
        self.assertEqual(figures, [FIGURE, alone])
        self.assertRegex(result.stdout, r"a figure +1,23[45] +1/s +another +2,469 +0\.5")
        self.assertIn("said to people", result.stderr)

    def test_a_benchmark_that_fails(self):
        result, figures = self.drive("exit 3", f"echo '{json.dumps(FIGURE)}'")
        self.assertEqual(result.returncode, 1)
        self.assertIn("failed: number0 (exit 3)", result.stderr)
        self.assertEqual(figures, [FIGURE])


class Command(unittest.TestCase):
    def test_help(self):
        result = run("scripts/bench", "--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--json FILE", result.stdout)

    def test_mistakes(self):
        for words, said in ((["no_such"], "no benchmark 'no_such'; there are: "), (["--frobnicate"], "unknown option --frobnicate"), (["--json"], "--json needs a file name")):
            result = run("scripts/bench", *words)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(said, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
