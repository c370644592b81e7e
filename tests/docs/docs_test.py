# SPDX-License-Identifier: BSL-1.0
"""The driver of the documents finds what it is for."""
import pathlib
import tempfile
import types
import unittest

import docs


class Driver(unittest.TestCase):
    def problems(self, text):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "flags").write_text("-std=c++20\n")
            (pathlib.Path(folder) / "part.cpp").write_text("int f() {\n  return 1;\n}\n")
            page = docs.Page(types.SimpleNamespace(source=folder, build=folder + "/build/x", compiler="c++", flags=folder + "/flags", libraries=[]))
            return page.check(text)

    def test_commands(self):
        self.assertEqual(self.problems("<!-- run: sh -->\n```sh\necho a\n```\n<!-- output -->\n```text\na\n```\n"), [])
        self.assertEqual(self.problems("<!-- run: sh -->\n```sh\necho 12 b\n```\n\n<!-- output -->\n```text\n... b\n```\n"), [])
        self.assertIn("instead of", self.problems("<!-- run: sh -->\n```sh\necho a\n```\n<!-- output -->\n```text\nb\n```\n")[0][1])
        self.assertEqual(self.problems("x\n<!-- run: sh -->\n```sh\nfalse\n```\n")[0][0], 4)
        self.assertEqual(self.problems("<!-- run: not here, it takes an hour -->\n```sh\nfalse\n```\n"), [])
        self.assertIn("without a comment", self.problems("```sh\ntrue\n```\n")[0][1])
        self.assertIn("without a comment", self.problems("```cpp\nint x;\n```\n")[0][1])
        self.assertEqual(self.problems("```text\nfalse\n```\n"), [])

    def test_parts(self):
        self.assertEqual(self.problems("<!-- run: part of part.cpp -->\n```cpp\nreturn 1;\n```\n"), [])
        self.assertIn("not in part.cpp", self.problems("<!-- run: part of part.cpp -->\n```cpp\nreturn 2;\n```\n")[0][1])

    def test_programs(self):
        good = "<!-- run: program x -->\n```cpp\n#include <cstdio>\nint main(int c, char** v) { std::puts(v[c - 1]); }\n```\n"
        self.assertEqual(self.problems(good + "prints\n\n<!-- output -->\n```text\nx\n```\n"), [])
        self.assertIn("compiler", self.problems("<!-- run: compile -->\n```cpp\nint f() { return; }\n```\n")[0][1])


if __name__ == "__main__":
    unittest.main()
