# SPDX-License-Identifier: BSL-1.0
"""How long each way of getting dtask takes: from a clone to the README's program that has run, its libraries installed; and what
find_package(dtask) adds to a project's configuration. scripts/bench packaging starts this.

usage: figures.py SOURCE_DIR WORK_DIR [COMPILER]
"""
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import time

import conan_test
import offline

ANSWER = "primes below one million: 78498"


def sh(folder, script, **variables):
    result = subprocess.run(["sh", "-e", "-c", script], cwd=folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env={**os.environ, **variables})
    if result.returncode:
        sys.exit(f"{script}\n{result.stdout}")
    return result.stdout


def ways(source, compiler, conan):
    clone = f"git clone -q {shlex.quote(str(source))} dtask; cp -r dtask/tests/packaging/hello hello; cp dtask/examples/hello/main.cpp hello; "
    consumer = ("cmake -S hello -B hello/build -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER={0} -DCMAKE_PREFIX_PATH=$PWD/{1}; "
                "cmake --build hello/build -j2; hello/build/hello")
    yield "CMake (find_package)", clone + (
        f"cmake -S dtask -B build -DCMAKE_CXX_COMPILER={compiler} -DDTASK_BUILD_TOOLS=OFF -DDTASK_BUILD_EXAMPLES=OFF; "
        "cmake --install build --prefix prefix; " + consumer.format(compiler, "prefix")), {}
    yield "CMake (add_subdirectory)", clone + (
        "sed -i 's|find_package.*|add_subdirectory(../dtask dtask EXCLUDE_FROM_ALL)|' hello/CMakeLists.txt; " + consumer.format(compiler, "none")), {}
    if conan:
        yield "Conan", clone + (
            "mkdir home; printf 'tools.build:jobs=2\\n' >home/global.conf; " + "; ".join(
                f"{shlex.quote(conan)} {words}" for words in (
                    "profile detect", "remote remove conancenter", "remote add system dtask/packaging/conan/system",
                    "create dtask -s compiler.cppstd=20 --build=missing -tf=")) + "; cd hello; "
            f"{shlex.quote(conan)} install . -s compiler.cppstd=20 --build=missing; cmake --preset conan-release; "
            "cmake --build --preset conan-release -j2; build/Release/hello"), {"CONAN_HOME": "home"}
    yield "vcpkg (our harness)", clone + (
        f"cmake -DPORT_DIR=$PWD/dtask/packaging/vcpkg/ports/dtask -DFEATURES=main -DPACKAGES_DIR=$PWD/package -DBUILD_DIR=$PWD/build "
        f"-DCXX={compiler} -P dtask/tests/packaging/vcpkg.cmake; " + consumer.format(compiler, "package")), {}
    if shutil.which("dpkg-buildpackage") and shutil.which("lintian"):
        yield "Debian package, one g++ line", clone + (
            "dtask/scripts/package deb --only libdtask-dev --out $PWD/packages; dpkg -x packages/libdtask-dev_*.deb root; "
            f"{compiler} -std=c++20 -Iroot/usr/include hello/main.cpp -o hello/hello -pthread; hello/hello"), {}


def configure(work, compiler, found):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES CXX)\n{found}\n")
    from_then = time.monotonic()
    sh(work, f"cmake -S . -B build -DCMAKE_CXX_COMPILER={compiler} -DCMAKE_PREFIX_PATH={shlex.quote(str(work.parent / 'prefix'))}")
    return time.monotonic() - from_then


def main():
    source, work, compiler = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), (sys.argv + ["g++"])[3]
    offline.enter()
    shutil.rmtree(work, ignore_errors=True)
    conan = conan_test.find_conan(source)
    deps = os.environ.get("DTASK_DEPS_DIR")
    for name in ("DTASK_DEPS_DIR", "LibTorch_ROOT", "Torch_DIR", "CMAKE_CXX_COMPILER_LAUNCHER"):
        os.environ.pop(name, None)
    failed = False
    print(f"from a clone to a program that ran ({compiler}, no compiler cache), to reach: 60 s")
    for name, script, variables in ways(source, compiler, conan):
        folder = work / "".join(c for c in name if c.isalnum())
        folder.mkdir(parents=True)
        if "CONAN_HOME" in variables:
            variables = {"CONAN_HOME": str(folder / variables["CONAN_HOME"])}
        from_then = time.monotonic()
        said = sh(folder, script, **variables)
        took = time.monotonic() - from_then
        if said.splitlines()[-1] != ANSWER:
            sys.exit(f"{name}: the program printed something else\n{said}")
        print(f"  {name:32} {took:5.1f} s", flush=True)
        failed |= took > 60
    folder = work / "configure"
    sh(work, f"cmake -S {shlex.quote(str(source))} -B {folder}/build -DDTASK_BUILD_TOOLS=OFF -DDTASK_BUILD_EXAMPLES=OFF; "
             f"cmake --install {folder}/build --prefix {folder}/prefix")
    boost = "find_package(Boost 1.81 CONFIG REQUIRED)\nset(THREADS_PREFER_PTHREAD_FLAG ON)\nfind_package(Threads REQUIRED)"
    pairs = [(configure(folder / "dtask", compiler, "find_package(dtask REQUIRED)"), configure(folder / "boost", compiler, boost))
             for _ in range(9)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs))
    print(f"configure: find_package(dtask) {ours:.2f} s, Boost and threads alone {theirs:.2f} s: {ours / theirs:.2f} (to reach: 1.5; medians of 9)")
    failed |= ours / theirs > 1.5
    if not shutil.which("doxygen"):
        print("left out: the documentation site (scripts/setup site)")
    else:
        from_then = time.monotonic()
        sh(source, f"scripts/site --out {shlex.quote(str(work / 'site'))}", **({"DTASK_DEPS_DIR": deps} if deps else {}))
        took = time.monotonic() - from_then
        print(f"scripts/site: {took:.1f} s (to reach: 30 s)")
        failed |= took > 30
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    main()
