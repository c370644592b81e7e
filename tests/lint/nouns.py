# SPDX-License-Identifier: BSL-1.0
"""Every public header of job/, process/, node/ and control/ has a test program of its name. usage: nouns.py SOURCE_DIR

include/dtask/<room>/<noun>.hpp is tested by tests/<room>/<noun>.test.cpp or <noun>.process.test.cpp. Those of WITHOUT have none, each
for the reason that it names.
"""
import pathlib
import re
import sys

ROOMS = ("job", "process", "node", "control")
WITHOUT = {
    "control/action": "types without a function: what a machine asks for is what the tests of the machines compare",
    "control/options": "constants and members; what each does is tested with the machine that reads it",
    "job/job_host": "an interface; what fulfils it is tested as node/attempt_host, what asks it as job/job_context",
    "node/call_options": "members; what each does is tested with node/caller, node/cluster and node/map_stream",
    "node/cluster_options": "members; what each does is tested with node/cluster",
}


def check(root, without=None):
    root = pathlib.Path(root)
    without = WITHOUT if without is None else without
    problems, nouns = [], set()
    for room in ROOMS:
        for header in sorted((root / "include/dtask" / room).glob("*.hpp")):
            noun = f"{room}/{header.stem}"
            nouns.add(noun)
            tests = [path for path in (root / "tests" / room / f"{header.stem}{end}" for end in (".test.cpp", ".process.test.cpp"))
                     if path.exists()]
            if noun in without:
                if tests:
                    problems.append(f"{noun}: has a test, so it is no exception (tests/lint/nouns.py)")
            elif not tests:
                problems.append(f"{noun}: tests/{noun}.test.cpp is missing")
            for path in tests:
                text = path.read_text()
                if not re.search(r"^TEST_CASE", text, re.M):
                    problems.append(f"{path.relative_to(root).as_posix()}: tests nothing")
                if f'#include "dtask/{noun}.hpp"' not in text:
                    problems.append(f"{path.relative_to(root).as_posix()}: does not include dtask/{noun}.hpp")
    for noun in sorted(set(without) - nouns):
        problems.append(f"{noun}: is an exception (tests/lint/nouns.py), and there is no such header")
    for noun, reason in without.items():
        if not reason.strip():
            problems.append(f"{noun}: an exception without a reason")
    return problems


if __name__ == "__main__":
    found = check(sys.argv[1])
    print("\n".join(found) or "every noun has its test")
    sys.exit(1 if found else 0)
