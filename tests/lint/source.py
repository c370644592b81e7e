# SPDX-License-Identifier: BSL-1.0
"""Reading C++ sources for the lint tests: headers, includes, tokens."""
import pathlib
import re

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)
# Comments, raw strings, strings and character literals, in the order in which they must be tried.
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])+\'', re.S)
TOKEN = re.compile(r'[A-Za-z_]\w*|\d[\w\'.]*|::|->|\[\[|\]\]|[=!<>]=|&&|\|\||\S')


def blank(match):
    """Keeps line breaks, so that line numbers stay right; a literal becomes an empty one."""
    text = match.group(0)
    inside = "\n" * text.count("\n")
    return f'""{inside}' if text[0] in "\"'R" else f" {inside}"


def strip(text):
    return NOISE.sub(blank, text)


def headers(root):
    return sorted(p for p in (pathlib.Path(root) / "include" / "dtask").rglob("*") if p.suffix in (".hpp", ".ipp"))


def includes(path):
    text = path.read_text()
    # Comments go, but not the quoted names of includes.
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    return INCLUDE.findall(text)


def tokens(text):
    """(token, line) of text without comments, literals and preprocessor lines."""
    text = strip(text)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.M)
    result, line, at = [], 1, 0
    for m in TOKEN.finditer(text):
        line += text.count("\n", at, m.start())
        at = m.start()
        result.append((m.group(0), line))
    return result
