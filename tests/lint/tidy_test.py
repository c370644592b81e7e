# SPDX-License-Identifier: BSL-1.0
"""lint.tidy finds what it is for, counts a finding once, and takes no failure of the tool for a unit without findings."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import tidy

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Output(unittest.TestCase):
    def test_findings(self):
        line = "/x/include/dtask/net/a.hpp:3:5: error: it is copied [performance-a,-warnings-as-errors]\n"
        self.assertEqual(tidy.findings(line + "  3 | a\n" + line), {("/x/include/dtask/net/a.hpp", 3, "it is copied", "performance-a")})

    def test_without_the_tool(self):
        self.assertEqual(tidy.main("no-such-clang-tidy", "/dev/null", ROOT), 77)


@unittest.skipUnless(shutil.which("clang-tidy-19"), "no clang-tidy-19")
class Tool(unittest.TestCase):
    def status(self, text):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            shutil.copy(ROOT / ".clang-tidy", folder)
            (folder / "src").mkdir()
            (folder / "src/a.cpp").write_text(text)
            (folder / "flags").write_text("-std=c++20\n")
            result = subprocess.run([sys.executable, ROOT / "tests/lint/tidy.py", "clang-tidy-19", folder / "flags", folder],
                                    capture_output=True, text=True, timeout=60)
            return result.returncode, result.stdout

    def test_finds(self):
        self.assertEqual(self.status("int f(int a) { return a; }\n")[0], 0)
        status, text = self.status("#include <string>\n#include <utility>\nauto f(std::string a) { auto b = std::move(a); return a + b; }\n")
        self.assertEqual(status, 1)
        self.assertIn("src/a.cpp:3:", text)
        self.assertIn("[bugprone-use-after-move]", text)

    def test_a_unit_that_cannot_be_read(self):
        self.assertEqual(self.status('#include "no_such.hpp"\n')[0], 1)


if __name__ == "__main__":
    unittest.main()
