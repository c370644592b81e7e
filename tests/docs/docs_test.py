# SPDX-License-Identifier: BSL-1.0
"""The driver of the documents finds what it is for."""
import pathlib
import tempfile
import time
import types
import unittest
import unittest.mock

import docs


def ended(pid):
    """Whether a process is gone, or a zombie that nobody has waited for yet; looked for until it is."""
    for _ in range(1000):
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


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

    def test_background(self):
        """Processes of a block end with it, also where a command fails; what they hold is not waited for."""
        for last in ("false", "true"):
            with tempfile.TemporaryDirectory() as folder:
                at = pathlib.Path(folder)
                block = f"(sleep 600; touch {at}/finished) & echo $! >{at}/pid\necho here\n{last}\n"
                problems = self.problems(f"<!-- run: sh -->\n```sh\n{block}```\n<!-- output -->\n```text\nhere\n```\n")
                self.assertEqual([what for _, what in problems], [] if last == "true" else ["commands: exit 1\nhere\n"])
                self.assertTrue(ended(int((at / "pid").read_text())))
                self.assertFalse((at / "finished").exists())

    def test_time(self):
        with unittest.mock.patch.object(docs, "SECONDS", 0.2):
            self.assertIn("not finished after 0.2 s", self.problems("<!-- run: sh -->\n```sh\nsleep 50\n```\n")[0][1])

    def test_parts(self):
        self.assertEqual(self.problems("<!-- run: part of part.cpp -->\n```cpp\nreturn 1;\n```\n"), [])
        self.assertIn("not in part.cpp", self.problems("<!-- run: part of part.cpp -->\n```cpp\nreturn 2;\n```\n")[0][1])

    def test_programs(self):
        good = "<!-- run: program x -->\n```cpp\n#include <cstdio>\nint main(int c, char** v) { std::puts(v[c - 1]); }\n```\n"
        self.assertEqual(self.problems(good + "prints\n\n<!-- output -->\n```text\nx\n```\n"), [])
        self.assertIn("compiler", self.problems("<!-- run: compile -->\n```cpp\nint f() { return; }\n```\n")[0][1])


if __name__ == "__main__":
    unittest.main()
