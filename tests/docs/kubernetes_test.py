# SPDX-License-Identifier: BSL-1.0
"""The manifest of docs/deploy.md against the schema of Kubernetes, and whether its parts belong together.

usage: kubernetes_test.py PAGE [FOLDER...]      FOLDER: where kubernetes-validate may lie, beside PATH
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def check(condition, what):
    if not condition:
        sys.exit(f"docs/deploy.md: {what}")


def one(pattern, text):
    found = re.findall(pattern, text)
    check(len(found) == 1, f"{pattern} stands {len(found)} times in the manifest")
    return found[0]


def validate(program, text):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "manifest.yaml"
        path.write_text(text)
        return subprocess.run([program, "--strict", "--no-warn", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)


def main():
    text = pathlib.Path(sys.argv[1]).read_text()
    manifest = one(r"(?s)```yaml\n(.*?)```", text)
    world = one(r'DTASK_WORLD\n *value: "(\d+)"', manifest)
    check(one(r"completions: (\d+)", manifest) == world == one(r"parallelism: (\d+)", manifest),
          "the world is not the number of pods, which all run at once")
    coordinator = one(r'DTASK_COORDINATOR\n *value: "(.*)"', manifest)
    service = one(r"subdomain: (\S+)", manifest)
    port = one(r"port: (\d+)", manifest)
    job = one(r"batch.kubernetes.io/job-name: (\S+)", manifest)
    check(coordinator == f"{job}-0.{service}:{port}", f"{coordinator} is not the first pod of the job {job} in the service {service}")
    check(manifest.count(f"name: {job}\n") >= 2 and "clusterIP: None" in manifest, "the job or its headless service is missing")
    check("--open-to-all" in manifest and "DTASK_COOKIE" in manifest, "rank 0 would refuse to listen")

    program = shutil.which("kubernetes-validate", path=os.pathsep.join([os.environ.get("PATH", ""), *sys.argv[2:]]))
    if program is None:
        print("left out: this test needs kubernetes-validate: scripts/setup launchers, or pip install kubernetes-validate")
        sys.exit(77)
    good = validate(program, manifest)
    check(good.returncode == 0, good.stdout)
    bad = validate(program, manifest.replace("completionMode", "completionMoed"))
    check(bad.returncode != 0, "a misspelt field is not refused")


main()
