# SPDX-License-Identifier: BSL-1.0
"""The Debian packages: made, looked at by lintian, installed into a folder, used and removed.

usage: deb_test.py SOURCE_DIR WORK_DIR [FOLDER]      FOLDER: packages that were made already (scripts/package deb --out FOLDER)
"""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
import unittest

import offline

SOURCE = WORK = MADE = None
NOT_RUN = 77
TOOLS = ("dpkg-buildpackage", "dh", "lintian", "dpkg", "pkg-config")
UNITS = ("dtask-coordinator.service", "dtask-worker@.service")


def run(*command, status=0, **more):
    result = subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, **more)
    if result.returncode != status:
        raise AssertionError(f"{' '.join(str(part) for part in command)} ended with {result.returncode}\n{result.stdout}")
    return result.stdout


def make(folder, *arguments):
    """scripts/package deb; lintian says nothing."""
    said = run(SOURCE / "scripts/package", "deb", "--out", folder, *arguments)
    after = said.split("== lintian\n")[1].splitlines()
    if not (len(after) == 1 and after[0].startswith("== scripts/package deb:")):
        raise AssertionError(f"lintian is not silent:\n{said}")


class Root:
    """A folder with a package database of its own."""

    def __init__(self, path):
        self.path = path
        for name in ("updates", "info", "triggers"):
            (path / "var/lib/dpkg" / name).mkdir(parents=True)
        (path / "var/lib/dpkg/status").touch()
        (path / "etc").mkdir()

    def dpkg(self, *arguments):
        return run("dpkg", f"--root={self.path}", "--force-not-root", "--force-depends", "--force-script-chrootless",
                   f"--log={WORK / 'dpkg.log'}", *arguments, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))

    def content(self):
        """What lies in it, the package database itself aside."""
        return {p.relative_to(self.path).as_posix() for p in self.path.rglob("*")
                if not p.relative_to(self.path).as_posix().startswith("var/lib/dpkg")}


def section(unit, name):
    """The lines of one section of a unit: (key, value)."""
    lines = unit.read_text().split(f"[{name}]\n")[1].split("\n[")[0].splitlines()
    return [tuple(line.split("=", 1)) for line in lines if line and not line.startswith("#")]


def command_of(unit, root, instance, replaced):
    """What systemd starts for a unit, and with which variables: systemd.service(5), systemd.exec(5)."""
    variables, command = {}, None
    for key, value in section(unit, "Service"):
        value = value.replace("%i", instance)
        if key == "Environment":
            variables.update([value.split("=", 1)])
        elif key == "EnvironmentFile":
            path = root / value.lstrip("-")[1:]
            if path.is_file() or not value.startswith("-"):
                variables.update(line.split("=", 1) for line in path.read_text().splitlines() if line and line[0] not in "#;")
        elif key == "ExecStart":
            command = []
            for word in value.split():
                if word.startswith("${"):
                    command.append(variables.get(word[2:-1], ""))
                elif word.startswith("$"):
                    command += shlex.split(variables.get(word[1:], ""))
                else:
                    command.append(word)
    return [replaced.get(word, word) for word in command], variables


class Deb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        cls.folder = MADE or WORK / "packages"
        if not MADE:
            make(cls.folder)
        cls.library = next(cls.folder.glob("libdtask-dev_*_all.deb"))
        cls.tools = next(cls.folder.glob("dtask-tools_*.deb"))
        cls.root = Root(WORK / "root")
        cls.root.dpkg("--install", cls.library, cls.tools)
        cls.units = cls.root.path / "lib/systemd/system"
        if not cls.units.is_dir():  # from Debian 13 on
            cls.units = cls.root.path / "usr/lib/systemd/system"
        os.environ["PKG_CONFIG_PATH"] = str(cls.root.path / "usr/share/pkgconfig")

    def field(self, package, name):
        return run("dpkg-deb", "--field", package, name).strip()

    def test_files_of_the_library(self):
        listed = (SOURCE / "packaging/installed.txt").read_text().splitlines()
        wanted = {f"usr/{name}" for name in listed if name and not name.startswith("#")} - {"usr/share/doc/dtask/LICENSE"}
        wanted |= {f"usr/share/doc/libdtask-dev/{name}" for name in ("copyright", "changelog.gz", "changelog.Debian.gz")}
        wanted.add("usr/share/lintian/overrides/libdtask-dev")
        listing = run("dpkg-deb", "--contents", self.library).splitlines()
        self.assertEqual({line.split()[5][2:] for line in listing if line.startswith("-")}, wanted)
        self.assertFalse([line for line in listing if not line.startswith(("-rw-r--r-- root/root", "drwxr-xr-x root/root"))])

    def test_two_builds_give_the_same_bytes(self):
        make(WORK / "again", "--only", "libdtask-dev")
        self.assertTrue(self.library.read_bytes() == (WORK / "again" / self.library.name).read_bytes(), "the packages differ")
        self.assertFalse(list((WORK / "again").glob("dtask-tools*")))

    def test_fields(self):
        self.assertEqual(self.field(self.library, "Architecture"), "all")
        self.assertNotIn("torch", "".join(self.field(p, f) for p in (self.library, self.tools) for f in ("Depends", "Recommends", "Suggests")))
        self.assertNotIn("-dev", self.field(self.tools, "Depends"))
        version = run(self.root.path / "usr/bin/dtask", "version").split()[1]
        for package in (self.library, self.tools):
            self.assertEqual(self.field(package, "Version").split("-")[0], version)

    def test_the_readme_program_in_one_line(self):
        """What autopkgtest runs; then on a coordinator and a worker that are started as the units say."""
        self.units_at_work(self.hello())

    def hello(self):
        """The README's program, compiled once with what the package holds."""
        programs = WORK / "programs"
        if not programs.is_dir():
            programs.mkdir()
            said = run("sh", "packaging/debian/tests/hello", cwd=SOURCE, env=dict(os.environ, AUTOPKGTEST_TMP=str(programs)))
            self.assertEqual(said, "primes below one million: 78498\n")
        return programs / "hello"

    def test_units_under_systemd(self):
        folder = WORK / "booted"
        folder.mkdir()
        with open(folder / "said", "w+") as said:
            process = subprocess.Popen([SOURCE / "tests/packaging/booted.sh", folder, self.tools, self.hello()],
                                       stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            log, end = folder / "log", time.monotonic() + 240
            while process.poll() is None and time.monotonic() < end:
                if log.is_file() and "\n== " in "\n" + log.read_text():
                    break
                time.sleep(0.1)
            # A systemd does not end by itself; the script takes it along.
            process.terminate()
            process.wait(timeout=30)
            said.seek(0)
            words = said.read()
        # A line of its own: bash quotes the script, with these words in it, where it tells of a process that was killed.
        why = [line for line in words.splitlines() if line.startswith("left out: ")]
        if why:
            self.skipTest(why[0])
        self.assertIn("== passed", log.read_text() if log.is_file() else words)

    def units_at_work(self, hello):
        etc, port_file = self.root.path / "etc/dtask", WORK / "port"
        self.addCleanup((etc / "coordinator").write_text, (etc / "coordinator").read_text())
        (etc / "coordinator").write_text(f"DTASK_OPTIONS=--listen 127.0.0.1:0 --port-file {port_file}\n")
        (etc / "cookie").write_text("DTASK_COOKIE=4711\n")
        self.addCleanup((etc / "cookie").unlink)
        tool = str(self.root.path / "usr/bin/dtask")
        clean = {"PATH": "/usr/bin:/bin"}

        def start(unit, instance, log):
            command, variables = command_of(self.units / unit, self.root.path, instance, {"/usr/bin/dtask": tool})
            with open(log, "w") as out:
                process = subprocess.Popen(command, env=clean | variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            self.addCleanup(lambda: process.poll() is None and process.kill())
            return process

        def until(what, question):
            """Asks the programs themselves; half a minute at most."""
            end = time.monotonic() + 30
            while not (answer := question()):
                self.assertLess(time.monotonic(), end, f"{what} did not happen: {(WORK / 'coordinator.log').read_text()}")
                time.sleep(0.05)
            return answer

        coordinator = start(UNITS[0], "", WORK / "coordinator.log")
        until("listening", lambda: port_file.is_file() or coordinator.poll() is not None)
        url = f"tcp://127.0.0.1:{port_file.read_text().strip()}"
        worker_file = etc / "worker-hello"
        worker_file.write_text(f"DTASK_PROGRAM={hello}\nDTASK_CONNECT={url}\nDTASK_OPTIONS=--slots 2 --name of-the-unit\n")
        self.addCleanup(worker_file.unlink)
        worker = start(UNITS[1], "hello", WORK / "worker.log")

        def workers():
            said = run(tool, "status", "--on", url, "--json", env=clean | {"DTASK_COOKIE": "4711"})
            return json.loads(said)["workers"]

        self.assertEqual(until("a worker", workers)[0]["name"], "of-the-unit")
        self.assertIn("does not carry the cookie", run(hello, "--on", url, env=clean, status=3))
        self.assertEqual(run(hello, "--on", url, env=clean | {"DTASK_COOKIE": "4711"}), "primes below one million: 78498\n")
        for process, name in ((worker, "worker"), (coordinator, "coordinator")):
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=30), 0, (WORK / f"{name}.log").read_text())

    def test_cmake(self):
        """A project finds it; one that asks for LibTorch, which no package brings, is told so in one sentence."""
        project, prefix = SOURCE / "tests/packaging/project", self.root.path / "usr"
        run("cmake", "-S", project, "-B", WORK / "cmake", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCOMPONENTS=main")
        self.assertIn(str(prefix / "include"), (WORK / "cmake/includes.txt").read_text())
        environment = {k: v for k, v in os.environ.items() if k not in ("DTASK_DEPS_DIR", "Torch_DIR", "LibTorch_ROOT")}
        said = run("cmake", "-S", project, "-B", WORK / "torch", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCOMPONENTS=torch", status=1,
                   env=environment)
        self.assertIn("LibTorch is neither at Torch_DIR", " ".join(said.split()))

    def test_manual_and_completion(self):
        run(sys.executable, SOURCE / "tools/dtask/manual.py", self.root.path / "usr/bin/dtask")
        share = self.root.path / "usr/share"
        self.assertEqual((share / "bash-completion/completions/dtask").read_text(), (SOURCE / "tools/dtask/completions/dtask").read_text())
        self.assertEqual(run("zcat", share / "man/man1/dtask.1.gz"), (SOURCE / "tools/dtask/dtask.1").read_text())

    def test_units_are_off_and_have_no_rights(self):
        self.assertFalse(list((self.root.path / "etc").rglob("*.wants/*")), "nothing is enabled")
        for name in UNITS:
            said = section(self.units / name, "Service")
            keys = dict(said)
            self.assertEqual((keys["DynamicUser"], keys["NoNewPrivileges"], keys["CapabilityBoundingSet"], keys["ProtectSystem"]),
                             ("yes", "yes", "", "strict"), name)
            self.assertFalse({"User", "Group", "AmbientCapabilities", "PermissionsStartOnly"} & set(keys), name)
            self.assertFalse([v for k, v in said if k.startswith("Exec") and v[0] in "+!"], f"{name}: something runs as root")
        # DeviceAllow, also by way of ProtectClock, would close the devices on which workers compute.
        self.assertFalse({"PrivateDevices", "ProtectClock", "DeviceAllow"} & set(dict(section(self.units / UNITS[1], "Service"))))
        postinst = run("dpkg-deb", "--info", self.tools, "postinst")
        for word in ("deb-systemd-invoke", "invoke-rc.d", "systemctl start"):
            self.assertNotIn(word, postinst, "the package starts something")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is missing")
    def test_systemd_reads_the_units(self):
        folder = WORK / "units"
        folder.mkdir()
        shutil.copy2("/bin/true", folder / "dtask")
        for name in UNITS:
            instance = folder / name.replace("@", "@hello")
            instance.write_text((self.units / name).read_text().replace("/usr/bin/dtask", str(folder / "dtask")))
            if name != instance.name:
                shutil.copy2(instance, folder / name)
            self.assertEqual(run("systemd-analyze", "verify", "--man=no", instance), "", "what systemd does not understand")
            run("systemd-analyze", "security", "--offline=yes", "--threshold=25", instance)

    def test_removed_without_a_trace(self):
        root = Root(WORK / "purged")
        empty = root.content()
        root.dpkg("--install", self.library, self.tools)
        wants = root.path / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True)
        (wants / "dtask-worker@hello.service").symlink_to("/lib/systemd/system/dtask-worker@.service")
        root.dpkg("--purge", "libdtask-dev", "dtask-tools")
        left = root.content() - empty
        # The folders of systemd itself, which is not installed there.
        self.assertFalse({name for name in left if not name.startswith(("etc/systemd", "var/lib/systemd"))
                          and name not in ("var/lib", "var")}, left)
        self.assertFalse([name for name in left if "dtask" in name], left)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    SOURCE, WORK = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    MADE = pathlib.Path(sys.argv[3]).resolve() if len(sys.argv) == 4 else None
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        print(f"left out: this test needs {', '.join(missing)}: scripts/setup packaging")
        sys.exit(NOT_RUN)
    offline.enter()
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Deb))
    sys.exit(0 if result.wasSuccessful() else 1)
