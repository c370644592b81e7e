# SPDX-License-Identifier: BSL-1.0
"""What is wrong with the pages of a site that is opened from file://."""
import html.parser
import pathlib
import re
import urllib.parse

# What a browser fetches by itself; any other address stands there for the reader to follow.
FETCHED = {"script": ("src",), "img": ("src", "srcset"), "link": ("href",), "iframe": ("src",), "source": ("src", "srcset"), "video": ("src", "poster"),
           "audio": ("src",), "object": ("data",), "embed": ("src",), "use": ("href", "xlink:href"), "image": ("href", "xlink:href")}
IN_STYLES = re.compile(r"url\(\s*['\"]?\s*((?:https?:)?//[^)'\"]*)|@import\s+['\"]?((?:https?:)?//\S*)")


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.ids, self.links, self.fetched, self.styles, self.in_style = set(), [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("id"):
            self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("name"):
            self.ids.add(attributes["name"])
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        for name in FETCHED.get(tag, ()):
            if attributes.get(name):
                self.fetched.append(attributes[name])
        if attributes.get("style"):
            self.styles.append(attributes["style"])
        self.in_style = tag == "style"

    def handle_endtag(self, tag):
        self.in_style = False

    def handle_data(self, data):
        if self.in_style:
            self.styles.append(data)


def foreign(url):
    return re.match(r"(https?:)?//", url.strip(), re.I) is not None


def problems(site):
    """Dead links and anchors, absolute paths, and what another host would be asked for; in every page and style."""
    found = []
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        for url in page.fetched:
            if any(foreign(part) for part in url.split(",")):
                found.append(f"{name}: asks another host for {url}")
        for style in page.styles:
            if m := IN_STYLES.search(style):
                found.append(f"{name}: a style asks another host for {m[1] or m[2]}")
        for url in page.links + page.fetched:
            parts = urllib.parse.urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            if parts.path.startswith("/"):
                found.append(f"{name}: {url} is an absolute path")
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name}: dead link {url}")
            elif parts.fragment and target in pages and urllib.parse.unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{name}: {url}: no such place in that page")
    for path in sorted(site.rglob("*.css")):
        for m in IN_STYLES.finditer(path.read_text()):
            found.append(f"{path.relative_to(site)}: asks another host for {m[1] or m[2]}")
    return found, len(pages), sum(len(p.links) for p in pages.values())
