# SPDX-License-Identifier: BSL-1.0
"""Copies of the bodies of control/ in which each rule of mutants.json has a switch, and a table of them.

usage: make_mutants.py SOURCE_DIR OUT_DIR
"""
import json
import pathlib
import sys


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    mutants = json.loads((pathlib.Path(__file__).parent / "mutants.json").read_text())
    folder = source / "include/dtask/control/impl"
    texts = {}
    for number, each in enumerate(mutants, 1):
        text = texts.setdefault(each["file"], (folder / each["file"]).read_text())
        place = each.get("at", each["original"])
        # A place that an earlier mutant has changed is sought in what it made of it.
        if text.count(place) != 1 or place.count(each["original"]) != 1:
            sys.exit(f"mutants.json: '{each['name']}': {text.count(place)} places in {each['file']} read '{place}'; one has to")
        switch = f"(dtask_mutant == {number} ? ({each['mutant']}) : ({each['original']}))"
        texts[each["file"]] = text.replace(place, place.replace(each["original"], switch))
    written = out / "dtask/control/impl"
    written.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write(written / name, text.replace("#pragma once\n", "#pragma once\nextern int dtask_mutant;\n", 1))
    rows = "".join(f'  {{"{each["name"]}", "{each["rule"]}"}},\n' for each in mutants)
    write(out / "mutants.inc", rows)


def write(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    main()
