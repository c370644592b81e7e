# SPDX-License-Identifier: BSL-1.0
"""Builds the site: README, docs/ and the reference as one folder that needs no server. usage: build.py SOURCE OUT [ZENSICAL]

The pages are those of docs/; links out of it lead to a page of the site (the reference for a public header, the text of
the file for an example), so that nothing in it needs the network or the repository.
"""
import json
import os
import pathlib
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
import time

import reference

# The order of reading. A page that is in no list comes at the end of the guide.
SECTIONS = [
    ("Get dtask", ["cmake", "pkg-config", "conan", "vcpkg", "debian", "module"]),
    ("Guide", ["tour", "examples", "jobs", "cluster", "cancellation", "programs", "errors", "deploy"]),
    ("Data and training", ["loading", "recognise", "training", "cuda"]),
    ("Facts", ["benchmarks", "wire-format"]),
]
TOP = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md",
       "SECURITY.md": "security.md"}
LANGUAGES = {".cpp": "cpp", ".hpp": "cpp", ".ipp": "cpp", ".py": "python", ".json": "json", ".cmake": "cmake"}
FENCE = re.compile(r"^[ \t]*(```+|~~~+)")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.S)


class Pages:
    def __init__(self, source, docs):
        self.source, self.docs = source, docs
        self.files = set()  # shown as their text
        self.where = {name: page for name, page in TOP.items() if (source / name).exists()}
        for path in sorted((source / "docs").rglob("*.md")):
            name = path.relative_to(source).as_posix()
            self.where[name] = name.removeprefix("docs/")

    def target(self, name):
        """The page of the site for a file of the repository."""
        if name in self.where:
            return self.where[name]
        if name + "/README.md" in self.where:
            return self.where[name + "/README.md"]
        if m := re.fullmatch(r"include/dtask/(\w+)/(\w+)\.hpp", name):
            if (self.docs / f"reference/{m[1]}/{m[2]}.md").exists():
                return f"reference/{m[1]}/{m[2]}.md"
        if (self.source / name).is_file():
            self.files.add(name)
            return f"source/{name}.md"
        return None

    def line(self, name, text):
        def replace(m):
            url, _, fragment = m[2].partition("#")
            if not url or re.match(r"[a-z]+:", url):
                return m[0]
            target = self.target(posixpath.normpath(posixpath.join(posixpath.dirname(name), url)))
            if target is None:
                raise reference.Failure(f"{name}: there is no {m[2]}")
            here = posixpath.dirname(self.where[name])
            return f"[{m[1]}]({posixpath.relpath(target, here or '.')}{'#' + fragment if fragment else ''})"
        # A link's text may hold code, code never holds a link.
        spans = [m.span() for m in CODE.finditer(text)]
        return LINK.sub(lambda m: m[0] if any(a < m.start() and m.end() <= b for a, b in spans) else replace(m), text)

    def convert(self, name):
        """The page as the generator reads it: without the comments for tests, its links turned; a list stands apart."""
        out, fence, prose = [], None, []

        def flush():
            out.append(self.line(name, "".join(prose)))
            prose.clear()

        for line in (self.source / name).read_text().splitlines(keepends=True):
            mark = FENCE.match(line)
            if fence:
                out.append(line)
                if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                    fence = None
                continue
            if mark:
                flush()
                fence = mark[1]
                if out and out[-1].strip():
                    out.append("\n")
                out.append(line)
                continue
            if re.fullmatch(r"\s*<!--.*-->\s*", line):
                continue
            if prose and re.match(r"(-|\d+\.) ", line) and prose[-1].strip() and not re.match(r"(-|\d+\.|  +\S)", prose[-1]):
                prose.append("\n")
            prose.append(line)
        flush()
        page = self.docs / self.where[name]
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("".join(out).lstrip("\n"))

    def write_files(self):
        for name in sorted(self.files):
            text = (self.source / name).read_text()
            language = LANGUAGES.get(pathlib.PurePath(name).suffix, "text")
            page = self.docs / f"source/{name}.md"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(f"---\nsearch:\n  exclude: true\n---\n\n# {name}\n\n````{language}\n{text.rstrip()}\n````\n")


def navigation(pages, rooms):
    top = {pathlib.PurePath(p).stem: p for p in pages.where.values() if "/" not in p and p not in TOP.values()}
    nav = [{"dtask": "index.md"}]
    taken = set()
    for title, names in SECTIONS:
        nav.append({title: [top[n] for n in names if n in top]})
        taken |= set(names)
    nav[2]["Guide"] += [p for n, p in sorted(top.items()) if n not in taken]
    nav.append({"Reference": ["reference/index.md", *({room: [f"reference/{room}/index.md", *({noun: f"reference/{page}"} for noun, page in of)]}
                                                      for room, of in rooms)]})
    design = sorted(p for p in pages.where.values() if p.startswith("design/") and not p.endswith("README.md"))
    nav.append({"Design": ["design/README.md", *design]})
    nav.append({"Project": [p for p in ("contributing.md", "changelog.md", "security.md") if p in pages.where.values()]})
    return nav


def build(source, out, zensical):
    began = time.monotonic()
    here = source / "packaging/site"
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        docs = work / "docs"
        rooms, warnings = reference.make(source, docs / "reference")
        pages = Pages(source, docs)
        for name in pages.where:
            pages.convert(name)
        pages.write_files()
        shutil.copytree(here / "assets", docs / "assets")
        # JSON is YAML.
        (work / "mkdocs.yml").write_text((here / "mkdocs.yml").read_text() + "\nnav: " + json.dumps(navigation(pages, rooms)) + "\n")
        done = subprocess.run([zensical, "build", "--strict", "-f", "mkdocs.yml"], cwd=work, capture_output=True, text=True, timeout=300,
                              env={**os.environ, "NO_COLOR": "1"})
        if done.returncode != 0 or not (work / "site/index.html").exists():
            raise reference.Failure(f"zensical ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        site = work / "site"
        # For servers only.
        for name in ("404.html", "sitemap.xml", "sitemap.xml.gz"):
            (site / name).unlink(missing_ok=True)
        if out.exists():
            if not (out / "index.html").exists() and any(out.iterdir()):
                raise reference.Failure(f"{out} holds something else than a site")
            shutil.rmtree(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(site, out)
    return len(list(out.rglob("*.html"))), warnings, time.monotonic() - began


def main():
    source, out = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
    try:
        count, warnings, seconds = build(source, out, sys.argv[3] if len(sys.argv) > 3 else "zensical")
    except reference.Failure as e:
        sys.exit(str(e))
    for line in warnings:
        print(line)
    print(f"{count} pages in {out}, after {seconds:.1f} s" + (f"; {len(warnings)} warnings of Doxygen" if warnings else ""))


if __name__ == "__main__":
    main()
