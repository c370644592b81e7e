# SPDX-License-Identifier: BSL-1.0
"""Copies of the bodies of control/ in which each rule below has a switch, and a table of them.

usage: make_mutants.py SOURCE_DIR OUT_DIR
"""
import pathlib
import sys

# What is to be broken: in `file`, at the one place that reads `at` (else `original`), the expression `original` becomes `mutant`.
MUTANTS = [
    dict(name="queue_cap",
         rule="Queues are capped in bytes",
         file="job_lifecycle.ipp",
         original="sessions_.held_bytes() + cost > options_.queue_bytes",
         mutant="false",
         at="sessions_.held_bytes() + cost > options_.queue_bytes ||"),
    dict(name="broadcasts_first",
         rule="A job starts only where all broadcasts that its client made before submitting it are held",
         file="job_lifecycle.ipp",
         original="made.broadcasts > r.broadcasts.settled()",
         mutant="false"),
    dict(name="fence",
         rule="A result that comes with an old number is dropped",
         file="job_lifecycle_attempts.ipp",
         original="jobs_[j].fence == fence",
         mutant="true",
         at="jobs_[j].attempt_live && jobs_[j].fence == fence && jobs_[j].worker == p.index ? j : none"),
    dict(name="at_most_once",
         rule="An at_most_once job is dispatched once",
         file="job_lifecycle_attempts.ipp",
         original="!may_run_again(r.effect_class)",
         mutant="false",
         at="if (!may_run_again(r.effect_class)) {\n    if (!ran) ++r.attempts;"),
    dict(name="quarantine",
         rule="After two deaths the job runs alone on a worker, the third quarantines it",
         file="job_lifecycle_attempts.ipp",
         original="alone && r.deaths >= options_.quarantine_after_deaths",
         mutant="false"),
    dict(name="session_grace",
         rule="A client: its session waits 10 s for it",
         file="membership.ipp",
         original="now >= deadline_after(sessions_[s].detached_at, options_.session_grace)",
         mutant="true"),
    dict(name="session_end",
         rule="then its jobs are cancelled, on workers too",
         file="membership.ipp",
         original="now >= deadline_after(sessions_[s].detached_at, options_.session_grace)",
         mutant="false"),
    dict(name="lost_after",
         rule="A worker that fell silent is lost after 5 s",
         file="lease.ipp",
         original="state != lease_state::up && now >= due(o)",
         mutant="false"),
    dict(name="last_words",
         rule="Only jobs that were reported as started are suspects",
         file="job_lifecycle_attempts.ipp",
         original="r.started || (alone && died)",
         mutant="false"),
    dict(name="given_back",
         rule="What a coordinator that ends had not begun runs at the next one; what it had begun and may not run twice is lost",
         file="job_lifecycle.ipp",
         original="waits && each.attempts == 0 && !each.cancelled",
         mutant="each.phase != job_phase::finished && !each.cancelled"),
    dict(name="accepted_again",
         rule="at_most_once calls that may have been dispatched end coordinator_lost",
         file="client_link.ipp",
         original="!may_run_again(r.wishes.effect_class)",
         mutant="false"),
    dict(name="room",
         rule="Queues are capped in bytes; when they are full, submit and map suspend",
         file="client_calls.ipp",
         original="waiting_.empty() && below_bounds()",
         mutant="true",
         at="const bool at_once = waiting_.empty() && below_bounds();"),
]


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder = source / "include/dtask/control/impl"
    texts = {}
    for number, each in enumerate(MUTANTS, 1):
        text = texts.setdefault(each["file"], (folder / each["file"]).read_text())
        place = each.get("at", each["original"])
        # A place that an earlier mutant has changed is sought in what it made of it.
        if text.count(place) != 1 or place.count(each["original"]) != 1:
            sys.exit(f"'{each['name']}': {text.count(place)} places in {each['file']} read '{place}'; one has to")
        switch = f"(dtask_mutant == {number} ? ({each['mutant']}) : ({each['original']}))"
        texts[each["file"]] = text.replace(place, place.replace(each["original"], switch))
    written = out / "dtask/control/impl"
    written.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write(written / name, text.replace("#pragma once\n", "#pragma once\nextern int dtask_mutant;\n", 1))
    rows = "".join(f'  {{"{each["name"]}", "{each["rule"]}"}},\n' for each in MUTANTS)
    write(out / "mutants.inc", rows)


def write(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    main()
