# SPDX-License-Identifier: BSL-1.0
"""The documentation site, made without a network.

usage: site_test.py SOURCE_DIR WORK_DIR CLASS [COMPILER FLAGS_FILE]

CLASS: Documented (every public name has words; needs Doxygen), Comments (code in the headers' comments compiles), Pages
(the site is made, no link is dead, no other host is asked), Browser (Chromium opens it from file://). scripts/setup site
installs the tools.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "packaging"), str(HERE.parent / "docs"), str(HERE.parents[1] / "packaging/site")]
import build as site_build  # noqa: E402
import docs  # noqa: E402
import offline  # noqa: E402
import pages as site_pages  # noqa: E402
import reference  # noqa: E402

SOURCE = WORK = COMPILER = FLAGS = None
HEADER = """#pragma once
#include "dtask/base/config.hpp"
/// @namespace dtask
/// Everything.
DTASK_BEGIN
/// A colour.
enum class colour {
  red,  ///< as blood
  green
};
/// Mixes.
struct mixer {
  int paint(int litres);  ///< litres of paint; see `colour`
  int stir();
  /// @cond internal
  int internals();
  /// @endcond
};
namespace detail {
struct hidden {
  int nothing();
};
}
DTASK_END
"""


def deps():
    return pathlib.Path(os.environ.get("DTASK_DEPS_DIR") or SOURCE / ".deps") / "site/bin"


def missing(*tools):
    """The path of each, or the test is skipped."""
    found = [shutil.which(tool, path=str(deps())) or shutil.which(tool) for tool in tools]
    for tool, path in zip(tools, found):
        if not path:
            print(f"skipped: no {tool} (scripts/setup site)")
            sys.exit(offline.NOT_RUN)
    return found


def undocumented(root):
    """What Doxygen says, and the enumerators without words, of which Doxygen says nothing."""
    with tempfile.TemporaryDirectory() as work:
        said = reference.doxygen(root, pathlib.Path(work))
        for entry in reference.Reference(root, pathlib.Path(work) / "xml").entries.values():
            for value in entry.xml.findall("enumvalue") if entry.kind == "enum" else ():
                if not reference.flat(value.find("briefdescription")) and not reference.flat(value.find("detaileddescription")):
                    said.append(f"include/{entry.header}:{entry.line}: enumerator {reference.flat(value.find('name'))} of {entry.name} is not documented")
    return said


class Documented(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing("doxygen")

    def test_every_public_name(self):
        said = undocumented(SOURCE)
        rooms = collections.Counter(m[1] for line in said if (m := re.search(r"include/dtask/(\w+)", line)))
        self.assertEqual(said, [], f"{len(said)} without words, or with wrong ones, by room: {dict(rooms)}. Write a /// comment; what is public "
                                   "only because C++ needs it stands between '/// @cond internal' and '/// @endcond'")

    def test_that_it_would_be_seen(self):
        with tempfile.TemporaryDirectory() as root:
            root = pathlib.Path(root)
            (root / "include/dtask/base").mkdir(parents=True)
            (root / "packaging/site").mkdir(parents=True)
            shutil.copy2(SOURCE / "packaging/site/Doxyfile", root / "packaging/site")
            header = root / "include/dtask/base/mixer.hpp"
            header.write_text(HEADER)
            said = "\n".join(undocumented(root))
            self.assertEqual(said.count("not documented"), 2, said)
            self.assertIn("stir", said)
            self.assertIn("enumerator green", said)
            header.write_text(HEADER.replace("stir();", "stir();  ///< once").replace("  green", "  green  ///< as grass"))
            self.assertEqual(undocumented(root), [])
            with tempfile.TemporaryDirectory() as xml:
                reference.doxygen(root, pathlib.Path(xml))
                page = reference.Reference(root, pathlib.Path(xml) / "xml").page("dtask/base/mixer.hpp")
            self.assertIn("### `paint` { #mixer-paint }\n\n```cpp\nint paint(int litres);\n```\n\nLitres of paint; see [`colour`](#colour).", page)
            self.assertIn("-   `green`: as grass", page)
            self.assertNotIn("internals", page)
            self.assertNotIn("hidden", page)


def comment_blocks(path):
    """(line, code) of the code in a header's /// comments: fenced, or four blanks deeper after an empty line."""
    lines = path.read_text().splitlines()
    block, at, fenced, before = [], 0, False, ""
    for number, line in enumerate([*lines, ""], 1):
        m = re.match(r"\s*///(?!<) ?(.*)", line)
        text = m[1] if m else None
        if text is not None and text.startswith("```"):
            if fenced:
                yield at, "\n".join(block)
                block = []
            fenced = not fenced
        elif text is not None and (fenced or (text.startswith("    ") and (block or not before.strip()))):
            at = at if block else number
            block.append(text)
        elif block:
            yield at, "\n".join(block)
            block, fenced = [], False
        before = text if text is not None else ""


class Comments(unittest.TestCase):
    """Each piece of code in a comment of a public header stands in comments.cpp, with what it needs around it."""

    def test_code_is_compiled(self):
        text, left_out, count = (HERE / "comments.cpp").read_text(), [], 0
        for path in sorted((SOURCE / "include/dtask").rglob("*.hpp")):
            name = path.relative_to(SOURCE / "include").as_posix()
            if "/detail/" in name or "/parts/" in name or name.split("/")[1] in reference.INTERNAL:
                continue
            for line, code in comment_blocks(path):
                count += 1
                if name.split("/")[1] in ("torch", "cuda"):
                    left_out.append(f"{name}:{line}")
                    continue
                self.assertTrue(docs.is_part(textwrap.dedent(code), text), f"{name}:{line}: this is not in tests/site/comments.cpp:\n{code}")
        self.assertGreater(count, 10)
        print(f"{count - len(left_out)} pieces; not compiled, since they need LibTorch: {', '.join(left_out)}")
        flags = FLAGS.read_text().split()
        subprocess.run([COMPILER, *flags, "-Wall", "-Wextra", "-fsyntax-only", HERE / "comments.cpp"], check=True)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing("doxygen", "zensical")
        cls.site, seconds = make()
        print(f"made in {seconds:.1f} s of wall-clock time")

    def test_links_and_other_hosts(self):
        found, count, links = site_pages.problems(self.site)
        self.assertEqual(found, [])
        self.assertGreater(count, 150)
        self.assertGreater(links, 1000)

    def test_every_document_is_there(self):
        """And is one whose code blocks tests/docs looks at."""
        for path in sorted((SOURCE / "docs").rglob("*.md")):
            name = path.relative_to(SOURCE / "docs")
            self.assertIn(name.parent.as_posix(), (".", "design"), f"tests/docs/CMakeLists.txt does not know the folder of {name}")
            page = self.site / name.with_suffix(".html")
            page = page.with_name("index.html") if name.name == "README.md" else page
            self.assertTrue(page.is_file(), f"{name} is not in the site")
            heading = next(line for line in path.read_text().splitlines() if line.startswith("# "))
            self.assertIn("<h1", page.read_text(), heading)
            for text in ("<!-- run:", "SPDX-License"):
                self.assertNotIn(text, re.sub(r"<(pre|code).*?</\1>", "", page.read_text(), flags=re.S), f"{name}: {text}")

    def test_every_room_is_there(self):
        for room in reference.ROOMS:
            self.assertTrue((self.site / f"reference/{room}/index.html").is_file(), room)
        for room in reference.INTERNAL:
            self.assertFalse((self.site / f"reference/{room}").exists(), room)

    def test_code_stays_code(self):
        """A fence that is not closed or not seen swallows the rest of a page."""
        for path in self.site.rglob("*.html"):
            outside = re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", path.read_text(), flags=re.S)
            self.assertNotIn("```", outside, str(path.relative_to(self.site)))

    def test_that_it_would_be_seen(self):
        with tempfile.TemporaryDirectory() as site:
            site = pathlib.Path(site)
            (site / "two.html").write_text("<h1 id='here'>2</h1>")
            bad = {"<a href='three.html'>": "dead link", "<a href='two.html#there'>": "no such place", "<a href='/two.html'>": "absolute",
                   "<script src='https://example.org/x.js'></script>": "another host", "<img src='//example.org/x.png'>": "another host",
                   "<link rel=stylesheet href='http://example.org/x.css'>": "another host", "<a href='#nowhere'>": "no such place",
                   "<style>@font-face { src: url(https://example.org/f.woff) }</style>": "another host", "<img src='x.png'>": "dead link"}
            for text, word in bad.items():
                (site / "one.html").write_text(text)
                found = site_pages.problems(site)[0]
                self.assertEqual(len(found), 1, text)
                self.assertIn(word, found[0])
            (site / "one.html").write_text("<a href='two.html#here'></a><a href='https://example.org'></a><a href='two.html?h=x'></a>")
            self.assertEqual(site_pages.problems(site)[0], [])
            (site / "x.css").write_text("@import 'https://example.org/y.css';")
            self.assertEqual(len(site_pages.problems(site)[0]), 1)

    def test_a_dead_link_in_a_document_is_named(self):
        with tempfile.TemporaryDirectory() as root:
            root = pathlib.Path(root)
            (root / "docs").mkdir()
            (root / "docs/one.md").write_text("# One\n\nSee [two](two.md).\n")
            with self.assertRaisesRegex(reference.Failure, "docs/one.md: there is no two.md"):
                site_build.Pages(root, root / "out").convert("docs/one.md")


def make():
    out = WORK / "site"
    shutil.rmtree(WORK, ignore_errors=True)
    began = time.monotonic()
    done = subprocess.run([SOURCE / "scripts/site", "--out", out], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise AssertionError(f"scripts/site ended with {done.returncode}\n{done.stdout}")
    print(done.stdout)
    return out, seconds


class Browser(unittest.TestCase):
    """A reader with Chromium and no network."""

    @classmethod
    def setUpClass(cls):
        _, _, chromium = missing("doxygen", "zensical", "chromium")
        cls.site, _ = make()
        cls.playwright = playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        cls.browser = cls.playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.said = []
        self.page = self.browser.new_page(viewport={"width": 1280, "height": 900})
        self.addCleanup(self.page.close)
        self.page.on("console", lambda m: self.said.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.said.append(f"exception: {e}"))
        # Aborted is what the next page did not wait for.
        self.page.on("requestfailed", lambda r: None if r.failure == "net::ERR_ABORTED" else self.said.append(f"not loaded: {r.url}: {r.failure}"))
        self.page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:", "about:")) else self.said.append(f"asked: {r.url}"))

    def go(self, name):
        self.page.goto((self.site / name).as_uri())

    def test_every_page_on_a_telephone(self):
        """No error in the console, nothing asked elsewhere, and the page is not wider than 375 pixels."""
        self.page.set_viewport_size({"width": 375, "height": 800})
        wide = []
        names = sorted(p.relative_to(self.site).as_posix() for p in self.site.rglob("*.html"))
        for name in names:
            self.go(name)
            width = self.page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
            if width > 375:
                wide.append(f"{name}: {width}")
        print(f"{len(names)} pages")
        self.assertEqual((wide, self.said), ([], []))
        self.assertGreaterEqual(self.page.evaluate("parseFloat(getComputedStyle(document.querySelector('.md-content p')).fontSize)"), 14)

    def test_search(self):
        """Typed key by key, as the worker's stand-in has once lost what was typed."""
        for start in ("index.html", "reference/node/cluster.html"):
            self.go(start)
            self.page.locator("[data-md-component=search] button").first.click()
            field = self.page.locator("dialog input[type=text]")
            field.wait_for()
            self.page.keyboard.type("when_all", delay=30)
            found = self.page.locator("dialog a[href*='reference/task/when_all.html']").first
            found.wait_for(timeout=30_000)
            self.assertEqual(field.input_value(), "when_all")
            first = self.page.locator("dialog li a, dialog ol a").first
            self.assertIn("reference/task/when_all.html", first.get_attribute("href"))
            found.click()
            self.page.wait_for_url("**/reference/task/when_all.html*")
            self.page.locator("h1", has_text="when_all").wait_for()
            self.assertEqual(self.said, [])

    def test_navigation(self):
        self.go("index.html")
        self.page.locator("nav a", has_text="Reference").first.click()
        self.page.wait_for_url("**/reference/index.html")
        self.page.locator(".md-content a", has_text="outcome").first.click()
        self.page.wait_for_url("**/reference/job/outcome.html")
        self.assertEqual(self.said, [])


def playwright():
    """It lies in an environment of its own, whose interpreter this one need not be."""
    for folder in sorted(deps().parent.glob("lib/python3*/site-packages")):
        sys.path.append(str(folder))
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as e:
        print(f"skipped: no Playwright ({e}; scripts/setup site)")
        sys.exit(offline.NOT_RUN)
    return sync_playwright()


def main():
    global SOURCE, WORK, COMPILER, FLAGS
    if len(sys.argv) < 4:
        sys.exit(__doc__.strip())
    SOURCE, WORK = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
    COMPILER, FLAGS = (sys.argv[4], pathlib.Path(sys.argv[5])) if len(sys.argv) > 5 else ("g++", None)
    # Before unittest, which would take the skip for a failure.
    missing(*{"Documented": ["doxygen"], "Comments": [], "Pages": ["doxygen", "zensical"], "Browser": ["doxygen", "zensical", "chromium"]}[sys.argv[3]])
    if sys.argv[3] == "Browser":
        playwright()
    if sys.argv[3] != "Comments":
        offline.enter()
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(globals()[sys.argv[3]]))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


if __name__ == "__main__":
    main()
