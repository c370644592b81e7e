# SPDX-License-Identifier: BSL-1.0
"""The manual page and bash's completion of the dtask tool, made from what its --help says.

usage: manual.py DTASK [--fix]      DTASK: the built tool. Compares dtask.1 and completions/dtask beside this file with it, or
                                    (--fix) writes them anew
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
COMMANDS = ("coordinator", "status")
BEFORE = r""".\" SPDX-License-Identifier: BSL-1.0
.\" Written by tools/dtask/manual.py from the --help of the tool, with what stands there.
.TH DTASK 1 "" "dtask @VERSION@" "User Commands"
.SH NAME
dtask \- coordinator and status of clusters of C++ programs
.SH SYNOPSIS
.B dtask coordinator
.RI [ OPTION ]...
.br
.B dtask status
.RI [ OPTION ]...
.br
.B dtask version
.SH DESCRIPTION
Programs written with the C++ library dtask submit jobs, which a coordinator places on workers.
The coordinator and what shows its state need to know no job, so that
.B dtask
serves any such program.
Workers run the jobs and are the program itself:
.IR PROGRAM " worker \-\-connect " URL .
"""
AFTER = r""".SH EXIT STATUS
@EXIT@
.SH ENVIRONMENT
.TP
.B DTASK_COOKIE
A random number from 1 to 18446744073709551615, the same for a coordinator, its workers and its clients, who are refused
without it.
It is taken out of the environment at the start.
.SH SYSTEMD
Both units run as a user of their own, without rights and without a home, and neither is enabled by the package.
.TP
.B dtask\-coordinator.service
A coordinator on 127.0.0.1:7700, or with the
.B DTASK_OPTIONS
of
.IR /etc/dtask/coordinator .
.TP
.BI dtask\-worker@ NAME .service
A worker, described by
.IR /etc/dtask/worker\- NAME :
.B DTASK_PROGRAM
is the program by its whole path, outside /home;
.B DTASK_CONNECT
the coordinator, otherwise tcp://127.0.0.1:7700;
.B DTASK_OPTIONS
are further options of its role worker.
.PP
.I /etc/dtask/cookie
may hold
.BR DTASK_COOKIE= NUMBER
for both, and need be readable by root alone.
.SH FILES
.IR /etc/dtask/coordinator ,
.IR /etc/dtask/worker\- NAME ,
.I /etc/dtask/cookie
.SH EXAMPLES
A coordinator that other machines reach, with a cookie:
.PP
.nf
umask 077
echo DTASK_COOKIE=$(od \-An \-N8 \-tu8 /dev/urandom) | tr \-d " " >/etc/dtask/cookie
echo DTASK_OPTIONS=\-\-listen 10.0.0.1:7700 \-\-open\-to\-all >/etc/dtask/coordinator
systemctl enable \-\-now dtask\-coordinator
.fi
.PP
A worker of the program hello on another machine, with the same cookie:
.PP
.nf
cat >/etc/dtask/worker\-hello <<END
DTASK_PROGRAM=/usr/local/bin/hello
DTASK_CONNECT=tcp://10.0.0.1:7700
END
systemctl enable \-\-now dtask\-worker@hello
.fi
.SH SEE ALSO
.BR systemctl (1),
.BR systemd.exec (5)
"""


def say(program, *arguments):
    result = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
    if result.returncode:
        sys.exit(f"{program} {' '.join(arguments)} ended with {result.returncode}")
    return result.stdout


def options(text):
    """The options of a --help: (names, type, default, what it does), the type as it stands there."""
    found, block = [], text.split("\nOptions:\n")[1].split("\n\n")[0]
    for line in block.splitlines():
        begins = re.match(r"  (-\S+)(?: (.*))?$", line)
        if not begins:
            found[-1][3] = f"{found[-1][3]} {line.strip()}".strip()
            continue
        rest = begins.group(2) or ""
        kind = default = ""
        if rest and not rest.startswith(" "):
            value, _, rest = rest.partition(" ")
            kind, _, default = value.partition("=")
            # CLI11 writes KIND=DEFAULT, from 2.4 on KIND [DEFAULT].
            newer = re.match(r"\[([^\]]*)\](?:\s|$)", rest)
            if newer and not default:
                default, rest = newer.group(1), rest[newer.end():]
        found.append([begins.group(1).split(","), kind, default, rest.strip()])
    return found


def plain(text):
    """As roff shows it."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text)


def page(program):
    text, code = BEFORE.replace("@VERSION@", say(program, "version").split()[1]), ""
    for command in COMMANDS:
        help_text = say(program, command, "--help")
        text += f".SH COMMAND {command.upper()}\n{plain(help_text.splitlines()[0])}\n"
        for names, kind, default, what in options(help_text):
            text += ".TP\n"
            shown = ", ".join(f"\\fB{plain(name)}\\fR" for name in names)
            text += f"{shown} \\fI{plain(kind)}\\fR\n" if kind else f"{shown}\n"
            text += f"{plain(what)}" + (f" (default: {plain(default)})" if default else "") + "\n"
        code = re.search(r"^Exit codes: (.*)$", help_text, re.M).group(1)
    return text + AFTER.replace("@EXIT@", plain(code))


def completion(program):
    """Words after each option that has a fixed list of them, files after those that take one."""
    lines = ["# SPDX-License-Identifier: BSL-1.0", "# Written by tools/dtask/manual.py from the --help of the tool.",
             "_dtask() {", "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}", "  COMPREPLY=()",
             "  if [ \"$COMP_CWORD\" -eq 1 ]; then",
             f"    COMPREPLY=($(compgen -W '{' '.join(COMMANDS)} version --help --version' -- \"$current\"))", "    return", "  fi",
             "  case ${COMP_WORDS[1]} in"]
    for command in COMMANDS:
        known = options(say(program, command, "--help"))
        lines += [f"    {command})", "      case $before in"]
        for names, kind, _, _ in known:
            if not kind:
                continue
            words = re.search(r"\{(.*)\}", kind)
            if words:
                action = f"COMPREPLY=($(compgen -W '{words.group(1).replace(',', ' ')}' -- \"$current\"))"
            elif kind == "FILE":
                action = "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$current\")"
            else:
                action = ":"
            lines.append(f"        {'|'.join(names)}) {action} ;;")
        every = " ".join(name for names, *_ in known for name in names)
        lines += [f"        *) COMPREPLY=($(compgen -W '{every}' -- \"$current\")) ;;", "      esac", "      ;;"]
    return "\n".join([*lines, "  esac", "}", "complete -F _dtask dtask", ""])


def main():
    arguments = [a for a in sys.argv[1:] if a != "--fix"]
    if len(arguments) != 1:
        sys.exit(__doc__.strip())
    status = 0
    for name, made in (("dtask.1", page(arguments[0])), ("completions/dtask", completion(arguments[0]))):
        path = HERE / name
        if "--fix" in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(made)
        elif not path.is_file() or path.read_text() != made:
            print(f"tools/dtask/{name} does not say what --help says: python3 tools/dtask/manual.py DTASK --fix writes it anew")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
