# SPDX-License-Identifier: BSL-1.0
"""The public headers declare the same names header-only and with the compiled library.

usage: two_builds.py COMPILER FLAGS_FILE

For each header a unit that uses names of it is compiled in both builds and must compile in both; a name that a header
does not promise must be missing in both.
"""
import pathlib
import subprocess
import sys
import tempfile

TASK = """task when_all when_any select first_of with_timeout with_deadline shield with_stop with_scope spawn scope channel semaphore mutex
event latch one_shot sleep_for sync_wait resume_on stop_source stop_token scheduler environment this_environment""".split()
JOB = "job function_job registry pure idempotent at_most_once outcome remote_error job_context worker_context encode decode".split()
BASE = """bytes error errc result payload duration time_point never read_file log failure job_state cluster_status worker_status limits
client_options coordinator_options worker_options worker_exit exit_reason""".split()
NODE = """cluster cluster_of cluster_options caller call_options map_options map_stream job_handle coordinator worker query_status
ordered unordered""".split()
RUNTIME = """work_pool io_thread io_scheduler executor_scheduler offload offload_pool use_task co_spawn as_task wait_signal
scheduler_of""".split()
PROCESS = "cookie_variable launcher_variables read_cookie spawned_variable take_cookie take_spawned".split()
CLI = "exit_code::success progress coordinator_role worker_role status_role main".split()

PROMISED = {
    "dtask/base.hpp": BASE,
    "dtask/task.hpp": TASK,
    "dtask/job.hpp": JOB,
    "dtask/node.hpp": NODE,
    "dtask/process.hpp": PROCESS,
    "dtask/runtime.hpp": RUNTIME,
    "dtask/dtask.hpp": BASE + TASK + JOB + RUNTIME + PROCESS + NODE,
    "dtask/main.hpp": BASE + TASK + JOB + PROCESS + NODE + CLI,
}
# Asio's side belongs to dtask/dtask.hpp.
MISSING = {"dtask/main.hpp": ["use_task", "co_spawn", "as_task"]}

WHOLE = ("dtask/dtask.hpp", "dtask/main.hpp")
# A program with options of its own.
OPTIONS = """
#include <CLI/CLI.hpp>
inline int one() { return 1; }
using jobs = dtask::registry<dtask::function_job<"one/1", &one, dtask::pure>>;
int main(int argc, char** argv) {
  int n = 0;
  return dtask::main<jobs>(argc, argv, [&](CLI::App& app) { app.add_option("-n", n); },
                           [](dtask::cluster&) -> dtask::task<> { co_return; });
}
"""


def main():
    compiler, flags = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().split()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        unit = pathlib.Path(folder) / "unit.cpp"

        def compiles(header, names, more="", *build):
            uses = "".join(f"using dtask::{n};\n" for n in names)
            unit.write_text(f'#include "{header}"\nnamespace names {{\n{uses}}}\n{more}')
            return subprocess.run([compiler, *flags, *build, "-fsyntax-only", str(unit)], capture_output=True, text=True)

        for build in ((), ("-DDTASK_SEPARATE_COMPILATION",)):
            shown = "compiled library" if build else "header-only"
            for header, names in PROMISED.items():
                # Header-only a unit takes its time, and the two whole headers have everything.
                if not build and header not in WHOLE:
                    continue
                result = compiles(header, names, OPTIONS if header == "dtask/main.hpp" else "", *build)
                if result.returncode != 0:
                    wrong += 1
                    print(f"{header}, {shown}: a promised name is missing, or a program with options does not compile\n{result.stderr}")
            for header, names in MISSING.items():
                result = compiles(header, names, "", *build)
                declared = [n for n in names if n not in result.stderr]
                if result.returncode == 0 or declared:
                    wrong += 1
                    print(f"{header}, {shown}: declares {', '.join(declared or names)}, which the other build may not")
    print("both builds declare the same names" if not wrong else f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
