# SPDX-License-Identifier: BSL-1.0
"""clang-tidy 19 finds nothing in the compiled library (.clang-tidy). usage: tidy.py CLANG_TIDY FLAGS_FILE SOURCE_DIR [UNIT...]

Units: src/*.cpp, each once, as many at a time as there are cores. Skipped (77) where there is no clang-tidy 19.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

FINDING = re.compile(r"^(?P<file>/[^:\n]*):(?P<line>\d+):\d+: (?:error|warning): (?P<text>.*) \[(?P<check>[a-z0-9.,A-Z-]+)\]$", re.M)


def findings(output):
    """(file, line, text, check) of each, once."""
    return {(m["file"], int(m["line"]), m["text"], m["check"].split(",")[0]) for m in FINDING.finditer(output)}


def tidy(tool, flags, unit):
    result = subprocess.run([tool, "--quiet", str(unit), "--", *flags], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = findings(result.stdout)
    # A unit that it cannot read, or a configuration, is no unit without findings.
    if result.returncode != 0 and not found or "unknown check" in result.stderr or "error: invalid" in result.stderr:
        found.add((str(unit), 0, (result.stdout + result.stderr).strip()[-2000:], "clang-tidy"))
    return found


def main(tool, flags_file, source, *units):
    tool = shutil.which(tool)
    if tool is None:
        print("skipped: no clang-tidy-19 (scripts/setup clang)")
        return 77
    flags = pathlib.Path(flags_file).read_text().split("\n")
    units = [pathlib.Path(u) for u in units] or sorted((pathlib.Path(source) / "src").glob("*.cpp"))
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = set().union(*pool.map(lambda unit: tidy(tool, [f for f in flags if f], unit), units))
    found = sorted(found)
    for file, line, text, check in found:
        print(f"{os.path.relpath(file, source)}:{line}: {text} [{check}]")
    print(f"{len(found)} findings in {len(units)} units")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
