# SPDX-License-Identifier: BSL-1.0
"""What g++ 12 miscompiles is refused where people copy from. usage: co_await.py SOURCE_DIR

1. co_await in the condition of an if, while, for or switch that declares no variable.
2. Between co_await and the end of its full expression: any `{`, and any capturing lambda. Name the object on a line of its own first.
Checked in include/, examples/, benchmarks/, tools/ and in the C++ of README.md and docs/. A fence that shows what is refused has
`lint: refused` in the comment on the line before it.
"""
import pathlib
import re
import sys

from source import tokens

CONTROL = ("if", "while", "for", "switch")
CLOSER = {"(": ")", "[": "]", "{": "}", "[[": "]]"}


def declares(segment):
    """Whether the tokens before co_await are `type name =`."""
    if len(segment) < 3 or segment[-1] != "=":
        return False
    name, before = segment[-2], segment[-3]
    if name == "]":
        return segment[0] in ("auto", "const")
    return re.fullmatch(r"[A-Za-z_]\w*", name) is not None and (re.fullmatch(r"[A-Za-z_]\w*", before) is not None or before in (">", "&", "*", "&&"))


def lambda_with_captures(toks, i):
    if toks[i][0] != "[":
        return False
    before = toks[i - 1][0] if i else ""
    if re.fullmatch(r"[A-Za-z_]\w*|\d.*", before) and before not in ("return", "co_return", "co_yield", "co_await") or before in (")", "]", '"'):
        return False  # a subscript
    return toks[i + 1][0] != "]"


def end_of_expression(toks, i, stack):
    """The index of the token that ends the full expression of the co_await at i; stack holds the brackets open there."""
    stack = list(stack)
    depth = len(stack)
    for j in range(i + 1, len(toks)):
        t = toks[j][0]
        if t in CLOSER:
            stack.append((t, j))
        elif t in CLOSER.values():
            if not stack:
                return j
            opener, at = stack.pop()
            if len(stack) < depth:
                depth = len(stack)
                if opener == "{" and t == "}":
                    return j
                if opener == "(" and control(toks, at):
                    return j
        elif t == ";" and len(stack) <= depth:
            return j
    return len(toks)


def control(toks, at):
    """Whether the parenthesis at `at` belongs to if, while, for or switch; says which."""
    if at >= 1 and toks[at - 1][0] in CONTROL:
        return toks[at - 1][0]
    if at >= 2 and toks[at - 1][0] == "constexpr" and toks[at - 2][0] == "if":
        return "if"
    return None


def in_condition(toks, i, stack):
    """The keyword whose condition, without a declaration, holds the co_await at i; else None."""
    for depth in range(len(stack) - 1, -1, -1):
        opener, at = stack[depth]
        if opener == "{":
            return None
        keyword = control(toks, at) if opener == "(" else None
        if keyword is None:
            continue
        segments, nested, closed = [[]], 0, None
        where = None
        for j in range(at + 1, len(toks)):
            t = toks[j][0]
            if t in CLOSER:
                nested += 1
            elif t in CLOSER.values():
                if nested == 0:
                    closed = j
                    break
                nested -= 1
            if j == i:
                where = len(segments) - 1, len(segments[-1])
            if t == ";" and nested == 0:
                segments.append([])
            else:
                segments[-1].append(t)
        if closed is None or where is None:
            return None
        segment, offset = where
        if keyword == "for":
            if len(segments) == 1 or segment != 1:
                return None  # a range, the initialiser or the step
        elif segment != len(segments) - 1:
            return None if declares(segments[segment][:offset]) else keyword
        return None if declares(segments[segment][:offset]) else keyword
    return None


def check_text(text, first_line=1):
    toks = tokens(text)
    problems, stack = [], []
    for i, (t, line) in enumerate(toks):
        if t in CLOSER:
            stack.append((t, i))
        elif t in CLOSER.values():
            if stack:
                stack.pop()
        elif t == "co_await" and (i == 0 or toks[i - 1][0] != "operator"):
            keyword = in_condition(toks, i, stack)
            if keyword:
                problems.append((line + first_line - 1, f"co_await in the condition of '{keyword}', which declares no variable; bind the result first"))
            for j in range(i + 1, min(end_of_expression(toks, i, stack), len(toks))):
                if toks[j][0] == "{":
                    problems.append((toks[j][1] + first_line - 1, "'{' after co_await in one full expression; make a named object first"))
                    break
                if lambda_with_captures(toks, j):
                    problems.append((toks[j][1] + first_line - 1, "a capturing lambda after co_await in one full expression; name it first"))
                    break
    return problems


FENCE = re.compile(r"^([ \t]*)```(?:cpp|c\+\+)[^\n]*\n(.*?)^[ \t]*```", re.M | re.S)


def check_markdown(text):
    problems = []
    for m in FENCE.finditer(text):
        before = text[:m.start()].rstrip("\n").rsplit("\n", 1)[-1]
        if before.lstrip().startswith("<!--") and "lint: refused" in before:
            continue
        problems += check_text(m.group(2), text.count("\n", 0, m.start(2)) + 1)
    return problems


def check(root):
    root = pathlib.Path(root)
    problems = []
    for folder in ("include", "examples", "benchmarks", "tools"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".hpp", ".cpp", ".ipp"):
                problems += [f"{path.relative_to(root)}:{line}: {what}" for line, what in check_text(path.read_text())]
    for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        if path.exists():
            problems += [f"{path.relative_to(root)}:{line}: {what}" for line, what in check_markdown(path.read_text())]
    return problems


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "no co_await that g++ 12 could miscompile")
    sys.exit(1 if found else 0)
