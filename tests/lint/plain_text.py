# SPDX-License-Identifier: BSL-1.0
"""Numbers and texts pass through no locale, and no exception's words are taken for granted. usage: plain_text.py SOURCE_DIR

Refused in include/, examples/ and tools/:
1. Streams, std::locale and setlocale, the C functions that ask the locale, printf's %f, std::to_string of a floating number:
   dtask/base/number.hpp reads and writes numbers, std::from_chars does where that does not fit.
2. CLI11's conversions and checks of numbers: an option is read as std::string (add_option<std::string>, a vector of them, add_option_function<std::string>).
3. what() of what was caught, which may be null: dtask::message_of.
"""
import pathlib
import re
import sys

from source import INCLUDE, NOISE, strip

HEADERS = {"iostream", "ostream", "istream", "fstream", "sstream", "strstream", "syncstream", "iomanip", "ios", "streambuf", "locale", "clocale", "locale.h",
           "cctype", "ctype.h", "cwctype", "regex", "boost/lexical_cast.hpp", "boost/format.hpp"}
NAMES = re.compile(
    r"\b(?:std\s*::\s*)?(cout|cerr|clog|cin|(?:[iof]|if|of)stream|[io]?stringstream|w?locale|sto(?:i|l|ll|ul|ull|f|d|ld)|strto(?:f|d|ld|l|ll|ul|ull|imax|umax)"
    r"|ato(?:i|l|ll|f)|v?s?n?f?scanf|setlocale|uselocale|newlocale|strftime|put_time|get_time|lexical_cast|strcoll|strxfrm|strcasecmp|strncasecmp"
    r"|is(?:alpha|digit|alnum|space|print|punct|upper|lower|xdigit|cntrl|graph|blank)|to(?:upper|lower))\s*(?=[({<;,&*>]|\w)")
# A format with a floating number; %% is none.
FLOATING = re.compile(r"%%|%[-+#0']*(?:\d+|\*)?(?:\.(?:\d+|\*)?)?[lL]?[aAeEfFgG]")
CLI_NUMBERS = re.compile(r"\bCLI\s*::\s*(Range|Bound|Number|PositiveNumber|NonNegativeNumber|TypeValidator|AsNumberWithUnit|AsSizeValue|IsMember|Transformer"
                         r"|CheckedTransformer|detail)\b")
OPTION = re.compile(r"\badd_option(?:_function)?\b\s*(?:<\s*((?:[^<>()]|<[^<>]*>)*?)\s*>)?\s*\(")
STRINGS = ("std::string", "std::vector<std::string>")


def argument(code, at):
    """The text between the parenthesis that opens at `at` and the one that closes it."""
    depth = 0
    for end in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        if depth == 0:
            return code[at + 1:end]
    return code[at + 1:]


def body(code, at):
    """The block that opens with the first brace from `at` on."""
    begin, depth = code.find("{", at), 0
    if begin < 0:
        return "", begin
    for end in range(begin, len(code)):
        depth += {"{": 1, "}": -1}.get(code[end], 0)
        if depth == 0:
            return code[begin:end], begin
    return code[begin:], begin


CAUGHT = re.compile(r"\bcatch\s*\(\s*(?:const\s+)?[\w:]+(?:\s+const)?\s*&+\s*(\w+)\s*\)|\bconst\s+std\s*::\s*(?:exception|system_error|runtime_error|logic_error)\s*&\s*(\w+)\s*[,)]")


def check_text(text):
    code, problems = strip(text), []

    def found(at, what):
        problems.append((code.count("\n", 0, at) + 1, what))

    for m in INCLUDE.finditer(re.sub(r"//[^\n]*", "", text)):
        if m.group(1) in HEADERS:
            problems.append((text.count("\n", 0, text.find(m.group(0).strip())) + 1, f"<{m.group(1)}>: what it has asks the locale"))
    lines = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code, flags=re.M)
    for m in NAMES.finditer(lines):
        before = lines[:m.start()].rstrip()
        if before.endswith((".", "->")) or re.search(r"\w\s*::$", before):
            continue  # somebody's member
        found(m.start(), f"{m.group(1)} asks the locale")
    for m in re.finditer(r"\bto_string\s*\(", lines):
        inside = argument(lines, m.end() - 1)
        if re.search(r"\b(double|float)\b|\b\d+\.\d*|\be-?\d", inside):
            found(m.start(), "to_string of a floating number asks the locale; number_text does not")
    for m in NOISE.finditer(text):
        if m.group(0)[0] == '"' or m.group(0).startswith("R"):
            for f in FLOATING.finditer(m.group(0)):
                if f.group(0) != "%%":
                    problems.append((text.count("\n", 0, m.start()) + 1, f"printf's {f.group(0)} asks the locale; number_text does not"))
    for m in CLI_NUMBERS.finditer(lines):
        found(m.start(), f"CLI::{m.group(1)} converts through the locale; check the text")
    for m in OPTION.finditer(lines):
        kind = (m.group(1) or "").replace(" ", "")
        if kind not in STRINGS:
            found(m.start(), f"an option read as {kind or 'what its variable is'}; name std::string, and convert by read_number")
    for m in CAUGHT.finditer(lines):
        name = m.group(1) or m.group(2)
        block, at = body(lines, m.end())
        for w in re.finditer(rf"\b{name}\s*(?:\.|->)\s*what\s*\(", block):
            found(at + w.start(), f"{name}.what() may be null; message_of({name}) is not")
    return sorted(set(problems))


def check(root):
    root = pathlib.Path(root)
    problems = []
    for folder in ("include", "examples", "tools"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".hpp", ".cpp", ".ipp") and path.name != "message_of.hpp":
                problems += [f"{path.relative_to(root)}:{line}: {what}" for line, what in check_text(path.read_text())]
    return problems


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "no number or text passes through a locale")
    sys.exit(1 if found else 0)
