# SPDX-License-Identifier: BSL-1.0
"""Runs benchmark programs and prints their figures as one table. Started by scripts/bench.

A benchmark prints one JSON object per line on stdout: {"name", "value", "unit", "reference", "reference_value", "ratio"}; the last three are
null where there is no reference. What it says to people goes to stderr. Where DTASK_BENCH_PEER_PYTHON is not empty, it is the
interpreter for the scripts of benchmarks/peers, which a benchmark starts itself to compare with.
"""
import argparse
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys

FIELDS = ("name", "value", "unit", "reference", "reference_value", "ratio")


def loopback_up():
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket() as s:
        flags = struct.unpack_from("h", fcntl.ioctl(s, get_flags, struct.pack("16sh22x", b"lo", 0)), 16)[0]
        fcntl.ioctl(s, set_flags, struct.pack("16sh22x", b"lo", flags | up))


def number(x):
    if x is None:
        return "-"
    if isinstance(x, str):
        return x
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loopback", action="store_true", help="bring loopback up first (in a fresh network namespace)")
    parser.add_argument("--json", help="also write one line per figure to this file")
    parser.add_argument("programs", nargs="+")
    args = parser.parse_args()
    if args.loopback:
        loopback_up()

    figures, failed = [], []
    for program in args.programs:
        name = os.path.basename(program).removeprefix("dtask_bench_")
        compiler = " (clang 19)" if "release-clang" in program else ""
        print(f"-- {name}{compiler}", file=sys.stderr, flush=True)
        with subprocess.Popen([os.path.abspath(program)], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                try:
                    figure = json.loads(line)
                    figure = {field: figure.get(field) for field in FIELDS}
                except (ValueError, AttributeError):
                    print(line, end="", file=sys.stderr)
                    continue
                figure["name"] = f"{figure['name']}{compiler}"
                figures.append(figure)
        if process.returncode != 0:
            failed.append(f"{name}{compiler} (exit {process.returncode})")

    rows = [("figure", "value", "unit", "reference", "its value", "ratio")]
    rows += [tuple(number(f[field]) for field in FIELDS) for f in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(len(FIELDS))]
    for row in rows:
        print("  ".join(cell.rjust(w) if i in (1, 4, 5) else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    if args.json:
        with open(args.json, "w") as f:
            f.writelines(json.dumps(figure) + "\n" for figure in figures)
    if failed:
        print("failed: " + ", ".join(failed), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
