# SPDX-License-Identifier: BSL-1.0
"""Line coverage per room from what llvm-cov exported, against the bounds. usage: coverage_table.py LCOV INCLUDE_DIR [--lines ROOM...]

A line counts once, however many programs and instances of a template have it, and is reached if one of them reached it. A template
that no test instantiates has no lines. Ends with 1 where a room is below its bound.
"""
import pathlib
import sys

ROOMS = ["base", "task", "wire", "control", "job", "sim", "runtime", "net", "process", "node"]
BOUNDS = {"wire": 95.0, "job": 95.0, "control": 95.0}  # percent


def read(text, include):
    """{room: {file: {line: reached}}} of the files below the folder."""
    rooms, lines = {}, None
    for row in text.splitlines():
        if row.startswith("SF:"):
            path, lines = pathlib.PurePath(row[3:]), None
            if path.is_relative_to(include):
                name = path.relative_to(include)
                if len(name.parts) > 1:
                    lines = rooms.setdefault(name.parts[0], {}).setdefault(name.as_posix(), {})
        elif row.startswith("DA:") and lines is not None:
            number, count = row[3:].split(",")[:2]
            lines[int(number)] = lines.get(int(number), False) or int(count) > 0
    return rooms


def table(rooms):
    """The rows of the table, and the rooms below their bound."""
    rows, below = [], []
    for room in ROOMS:
        reached = [r for lines in rooms.get(room, {}).values() for r in lines.values()]
        # A room without a line is one whose tests did not run.
        percent = 100.0 * sum(reached) / len(reached) if reached else 0.0
        bound = BOUNDS.get(room)
        if bound is not None and percent < bound:
            below.append(room)
        rows.append(f"{room:<8} {len(reached):>6} {len(reached) - sum(reached):>8} {percent:>7.1f} % "
                    + (f" at least {bound:.0f} %" if bound else "") + (" BELOW" if room in below else ""))
    return rows, below


def missing(lines):
    """Lines that nothing reached, as ranges."""
    out = []
    for number in sorted(n for n, reached in lines.items() if not reached):
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return [str(a) if a == b else f"{a}-{b}" for a, b in out]


def main(lcov, include, *more):
    rooms = read(pathlib.Path(lcov).read_text(), pathlib.PurePath(include))
    for room in more[1:]:
        for name, lines in sorted(rooms.get(room, {}).items()):
            if left := missing(lines):
                print(f"{name}: {', '.join(left)}")
    rows, below = table(rooms)
    print(f"{'room':<8} {'lines':>6} {'missing':>8} {'covered':>9}")
    print("\n".join(row.rstrip() for row in rows))
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
