# SPDX-License-Identifier: BSL-1.0
"""The test of the examples finds what it is for."""
import pathlib
import tempfile
import unittest

import examples

ENDS = "int main() {}\n// Run: one two\n// Run: three\n// Output:\n// one\n//\n// a  b\n"


class Examples(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def problems(self, text, script, page="[x](../examples/features/x.cpp)", seconds=20):
        folder = pathlib.Path(self.folder.name)
        source, program, listing = folder / "x.cpp", folder / "x", folder / "page.md"
        source.write_text(text)
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        listing.write_text(page)
        return list(examples.problems_of(source, str(program), listing, seconds))

    def test_what_is_expected(self):
        self.assertEqual(examples.expected(ENDS), ([["one", "two"], ["three"]], "one\n\na  b\n"))
        self.assertEqual(examples.expected("// Output:\n// a\n"), ([[]], "a\n"))
        for text in ("int main() {}\n", "// Output:\n", "// Output:\n// a\nint b;\n", "// Output:\n//a\n"):
            with self.assertRaises(ValueError):
                examples.expected(text)

    def test_the_same_output_is_accepted(self):
        self.assertEqual(self.problems("// Output:\n// a\n", "echo a"), [])
        self.assertEqual(self.problems("// Run: x y\n// Output:\n// x y\n", 'echo "$@"'), [])

    def test_what_differs_is_shown(self):
        found = self.problems("// Output:\n// a\n// b\n", "echo a")
        self.assertEqual(len(found), 1)
        self.assertIn("-b", found[0])
        for script in ("echo a; echo b; echo c", "echo a; printf b", "echo 'a '; echo b", ""):
            self.assertEqual(len(self.problems("// Output:\n// a\n// b\n", script)), 1, script)

    def test_each_run_counts(self):
        self.assertEqual(len(self.problems("// Run: a\n// Run: b\n// Output:\n// a\n", 'echo "$@"')), 1)

    def test_exit_code_and_time(self):
        self.assertIn("exit 3\nwhy", self.problems("// Output:\n// a\n", "echo a; echo why >&2; exit 3")[0])
        self.assertIn("not finished", self.problems("// Output:\n// a\n", "exec sleep 20", seconds=0.2)[0])

    def test_length_and_link(self):
        self.assertIn("61 lines", self.problems("//\n" * 59 + "// Output:\n// a\n", "echo a")[0])
        self.assertEqual(self.problems("//\n" * 58 + "// Output:\n// a\n", "echo a"), [])
        self.assertIn("no link", self.problems("// Output:\n// a\n", "echo a", "x.cpp")[0])


if __name__ == "__main__":
    unittest.main()
