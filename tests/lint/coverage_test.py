# SPDX-License-Identifier: BSL-1.0
"""scripts/coverage's table counts lines once, and fails for a room below its bound."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tabled(reached, *more):
    """A table of rooms with 100 lines each, of which `reached` says how many were."""
    with tempfile.TemporaryDirectory() as folder:
        text = ""
        for room, count in reached.items():
            text += f"SF:/x/include/dtask/{room}/a.hpp\n" + "".join(f"DA:{n},{int(n <= count)}\n" for n in range(1, 101)) + "end_of_record\n"
        lcov = pathlib.Path(folder) / "lcov"
        lcov.write_text(text + "SF:/x/include/dtask/all.hpp\nDA:1,0\nend_of_record\nSF:/usr/include/dtask/job/b.hpp\nDA:1,0\nend_of_record\n")
        result = subprocess.run([sys.executable, "scripts/coverage_table.py", lcov, "/x/include/dtask", *more], cwd=ROOT,
                                capture_output=True, text=True, timeout=60)
        return result.returncode, result.stdout


class Table(unittest.TestCase):
    def test_bounds(self):
        self.assertEqual(tabled({"wire": 95, "job": 95, "control": 100, "base": 1})[0], 0)
        for room in ("wire", "job", "control"):
            status, text = tabled({"wire": 95, "job": 95, "control": 95, room: 94})
            self.assertEqual(status, 1)
            self.assertRegex(text, rf"{room} +100 +6 +94\.0 % +at least 95 % BELOW")

    def test_a_room_without_lines_is_below(self):
        self.assertEqual(tabled({"wire": 100, "job": 100})[0], 1)

    def test_a_line_counts_once(self):
        # The same file twice, from two programs.
        with tempfile.TemporaryDirectory() as folder:
            lcov = pathlib.Path(folder) / "lcov"
            one = "SF:/x/{}/a.hpp\nDA:1,{}\nDA:2,{}\nend_of_record\n"
            lcov.write_text(one.format("wire", 1, 0) + one.format("wire", 0, 3) + one.format("job", 1, 1) + one.format("control", 1, 1))
            result = subprocess.run([sys.executable, "scripts/coverage_table.py", lcov, "/x"], cwd=ROOT, capture_output=True, text=True,
                                    timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertRegex(result.stdout, r"wire +2 +0 +100\.0 %")

    def test_lines(self):
        self.assertIn("wire/a.hpp: 98-100\n", tabled({"wire": 97, "job": 100, "control": 100}, "--lines", "wire")[1])

    def test_refuses_what_it_does_not_know(self):
        result = subprocess.run(["scripts/coverage", "--fast"], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn("unknown argument '--fast'", result.stderr)


if __name__ == "__main__":
    unittest.main()
