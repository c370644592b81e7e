# SPDX-License-Identifier: BSL-1.0
"""What dtask needs and which version it is, said in one place and compared with every other that says it.

usage: description.py SOURCE_DIR      the one place: packaging/dependencies.json; the version: include/dtask/base/version.hpp

A file that is not there yet (another way of packaging) is passed over, but those in NEEDED must be there.
"""
import json
import pathlib
import re
import sys

NEEDED = ("CMakeLists.txt", "cmake/DtaskDependencies.cmake", "conanfile.py", "README.md", "CHANGELOG.md", "scripts/steps.sh",
          "packaging/conan/center/recipes/dtask/all/conanfile.py", "packaging/conan/system/profile")
# Parts of `scripts/setup build` that are no library of a component.
TOOLS = {"g++", "cmake", "ninja-build", "git", "ca-certificates", "python3", "doctest-dev"}
# Components as ConanCenter gets them: LibTorch is found, never packaged.
NOT_IN_CENTER = {"torch", "cuda"}


class Description:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        whole = json.loads((self.root / "packaging/dependencies.json").read_text())
        self.components, self.libraries = whole["components"], whole["libraries"]
        self.version = self.find("include/dtask/base/version.hpp", r'DTASK_VERSION_STRING "([^"]+)"')[0]
        self.problems = []

    def text(self, name):
        path = self.root / name
        if path.is_file():
            return path.read_text()
        if name in NEEDED:
            self.problems.append(f"{name}: is missing")
        return None

    def find(self, name, pattern, flags=re.M):
        return re.findall(pattern, self.text(name) or "", flags)

    def packaged(self, component):
        """The libraries of a component that a package manager brings, by their key."""
        return [key for key in self.components[component]["libraries"] if self.libraries[key].get("packaged", True)]

    def names(self, component, where):
        """What they are called there, sorted."""
        found = []
        for key in self.packaged(component):
            said = self.libraries[key].get(where, [])
            found += [said["target"]] if isinstance(said, dict) else said
        return sorted(found)

    def same(self, where, what, found, wanted):
        """Complains, with what is too much and what is missing."""
        found, wanted = sorted(found), sorted(wanted)
        if found != wanted:
            more, fewer = [x for x in found if x not in wanted], [x for x in wanted if x not in found]
            difference = "; ".join(filter(None, [more and f"has {', '.join(more)}", fewer and f"lacks {', '.join(fewer)}"]))
            self.problems.append(f"{where}: {what}: {difference or f'{found} is not {wanted}'}")

    def check(self):
        self.itself()
        for part in (self.cmake, self.conan, self.center, self.system, self.vcpkg, self.debian, self.pkg_config, self.readme,
                     self.setup, self.versions):
            part()
        return self.problems

    def itself(self):
        used = {key for component in self.components.values() for key in component["libraries"]}
        self.same("packaging/dependencies.json", "libraries that components name", self.libraries, used)
        for name, component in self.components.items():
            for needed in set(component["needs"]) - set(self.components):
                self.problems.append(f"packaging/dependencies.json: {name} needs {needed}, which is no component")
        for key, library in self.libraries.items():
            if "conan" in library and not library["conan"]["range"].startswith(f">={library['lowest']} "):
                self.problems.append(f"packaging/dependencies.json: {key}: Conan's range begins elsewhere than at {library['lowest']}")
            if "packaged" not in library and "lowest" in library and not {"debian", "conan", "vcpkg"} <= set(library):
                self.problems.append(f"packaging/dependencies.json: {key}: has no name in one of debian, conan, vcpkg")
        # The parts of Boost that the headers include are the parts that vcpkg is asked for.
        included = set()
        for path in [*self.root.glob("include/**/*.[hi]pp"), *self.root.glob("src/*.cpp")]:
            included |= {f"boost-{part.replace('_', '-')}" for part in re.findall(r"#\s*include <boost/(\w+)", path.read_text())}
        self.same("packaging/dependencies.json", "parts of Boost for vcpkg, against the headers' includes",
                  self.libraries["boost"]["vcpkg"], included)

    def cmake(self):
        for name, component in self.components.items():
            linked = self.find("CMakeLists.txt", rf"target_link_libraries\(dtask_{name} INTERFACE ([^)]*)\)")
            wanted = [f"dtask_{n}" for n in component["needs"]] + [self.libraries[k]["cmake"]["target"] for k in component["libraries"]]
            self.same("CMakeLists.txt", f"what dtask::{name} links", linked[0].split() if linked else [], wanted)
        offered = self.find("cmake/dtask-config.cmake.in", r'MATCHES "\^\((.*)\)\$"')
        self.same("cmake/dtask-config.cmake.in", "components", offered[0].split("|") if offered else [], self.components)
        found = self.find("cmake/DtaskDependencies.cmake", r"^  find_package\(([^)]*)\)")
        found = [re.sub(r"\s+(REQUIRED|QUIET|\$\{how\})", "", call) for call in found]
        self.same("cmake/DtaskDependencies.cmake", "find_package",
                  found, [k["cmake"]["find"] for k in self.libraries.values() if "find" in k["cmake"]])

    def recipe(self, name, range_of, components):
        """The requires of a Conan recipe and of its components."""
        text = self.text(name)
        if text is None:
            return
        blocks, option = {"dtask": []}, "dtask"
        body = text.split("def requirements(self):")[1].split("\n    def ")[0]
        for line in body.splitlines():
            when = re.search(r"if self\.options\.with_(\w+):", line)
            option = when.group(1) if when else option
            blocks.setdefault(option, []).extend(re.findall(r'self\.requires\("([^"]+)"', line))
        for component in components:
            wanted = [f"{key}/{range_of(self.libraries[key]['conan'])}" for key in self.packaged(component) if "conan" in self.libraries[key]]
            self.same(name, f"requirements of {component}", blocks.pop(component, []), wanted)
            called = re.findall(rf'self\._component\("{component}", \[([^]]*)\]', text)
            named = re.findall(r'"([^"]+)"', called[0]) if called else ["nothing"]
            wanted = self.components[component]["needs"] + [self.libraries[k]["conan"]["target"] for k in self.packaged(component)
                                                            if "conan" in self.libraries[k]]
            self.same(name, f"what component {component} requires", named, wanted)
        for component, left in blocks.items():
            self.problems.append(f"{name}: requirements of {component}, which is no component: {', '.join(left)}")
        self.same(name, "components", re.findall(r'self\._component\("(\w+)"', text), components)

    def conan(self):
        self.recipe("conanfile.py", lambda c: f"[{c['range']}]", list(self.components))

    def center(self):
        self.recipe("packaging/conan/center/recipes/dtask/all/conanfile.py", lambda c: c["center"],
                    [c for c in self.components if c not in NOT_IN_CENTER])

    def system(self):
        """The distribution's libraries carry the lowest version that dtask takes, filled up to three numbers."""
        wanted = {}
        for key, library in self.libraries.items():
            if "conan" in library:
                wanted[key] = ".".join((library["lowest"].split(".") + ["0", "0"])[:3])
        folder = self.root / "packaging/conan/system/recipes"
        self.same("packaging/conan/system/recipes", "recipes", [p.name for p in folder.iterdir()] if folder.is_dir() else [], wanted)
        for key, version in wanted.items():
            base = f"packaging/conan/system/recipes/{key}"
            self.same(f"{base}/config.yml", "version", self.find(f"{base}/config.yml", r'^  "([^"]+)":'), [version])
            recipe = f"{base}/all/conanfile.py"
            self.same(recipe, "Debian packages", self.find(recipe, r'"([a-z0-9.+-]+-dev)"'), self.libraries[key]["debian"])
        self.same("packaging/conan/system/profile", "replacements", self.find("packaging/conan/system/profile", r"^(\w[\w-]*/\*: .*)$"),
                  [f"{key}/*: {key}/{version}" for key, version in wanted.items()])

    def vcpkg(self):
        name = "packaging/vcpkg/ports/dtask/vcpkg.json"
        text = self.text(name)
        if text is None:
            return
        port = json.loads(text)

        def plain(entries):
            return [e if isinstance(e, str) else e["name"] for e in entries if isinstance(e, str) or not e.get("host")]

        self.same(name, "dependencies", plain(port["dependencies"]), self.names("dtask", "vcpkg"))
        self.same(name, "features", port["features"], [c for c in self.components if c not in ("dtask", "cuda")])
        for feature, said in port["features"].items():
            if feature in self.components:
                self.same(name, f"dependencies of {feature}", plain(said.get("dependencies", [])), self.names(feature, "vcpkg"))

    def debian(self):
        text = self.text("packaging/debian/control")
        if text is None:
            return
        paragraph = next((p for p in text.split("\n\n") if re.search(r"^Package: libdtask-dev$", p, re.M)), "")
        fields = re.findall(r"^(Depends|Recommends|Suggests):((?:.|\n )*)", paragraph, re.M)
        said = " ".join(value for _, value in fields)
        for component in self.components:
            for key in self.packaged(component):
                names = self.libraries[key].get("debian", [])
                if names and not any(re.search(rf"(^|[\s,|]){re.escape(n)}($|[\s,|(])", said) for n in names):
                    self.problems.append(f"packaging/debian/control: libdtask-dev names none of {', '.join(names)} ({component})")
        depends = " ".join(value for field, value in fields if field == "Depends")
        for name in re.findall(r"[a-z0-9][a-z0-9.+-]+-dev", depends):
            if not any(name in library.get("debian", []) for library in self.libraries.values()):
                self.problems.append(f"packaging/debian/control: libdtask-dev depends on {name}, which no component needs")

    def pkg_config(self):
        for name in ("packaging/dtask.pc.in", "cmake/dtask.pc.in"):
            text = self.text(name)
            if text is None:
                continue
            if re.search(r"^Requires[^:]*:.*\bboost\b", text, re.M | re.I):
                self.problems.append(f"{name}: Requires Boost, which has no .pc")
            if "-pthread" not in text:
                self.problems.append(f"{name}: lacks -pthread")

    def readme(self):
        text = self.text("README.md") or ""
        for component in ("dtask", "main"):
            for name in self.names(component, "debian"):
                if f"`{name}`" not in text:
                    self.problems.append(f"README.md: does not name {name}, which {component} needs")
        for component, room in (("main", "cli"), ("data", "data"), ("torch", "torch"), ("cuda", "cuda")):
            row = self.find("README.md", rf"^\| `{room}` \|.*\| (.*) \|$")
            wanted = [self.libraries[key]["name"] for key in self.components[component]["libraries"]]
            self.same("README.md", f"what the room {room} needs", row[0].split(", ") if row else [], wanted)
        if f"Boost {self.libraries['boost']['lowest']} or newer" not in text:
            self.problems.append(f"README.md: does not say Boost {self.libraries['boost']['lowest']} or newer")

    def setup(self):
        part = self.find("scripts/steps.sh", r"\n      build\)\n\s*need_packages ((?:.*\\\n)*.*)", 0)
        words = {name for word in re.findall(r"[^\s\\']+", part[0] if part else "") for name in word.split("|")} - TOOLS
        self.same("scripts/steps.sh", "setup build", words, {n for c in self.components for n in self.names(c, "debian")})
        torch = self.find("scripts/steps.sh", r"need_libtorch\(\) \{(?:.|\n)*?version=([\d.]+)", 0)
        self.same("scripts/steps.sh", "LibTorch", torch, [self.libraries["libtorch"]["lowest"]])

    def versions(self):
        numbers = self.find("include/dtask/base/version.hpp", r"DTASK_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)")
        places = {"include/dtask/base/version.hpp (the numbers)": [".".join(numbers)],
                  "CHANGELOG.md": self.find("CHANGELOG.md", r"^## (\d+\.\d+\.\d+)")[:1],
                  "packaging/conan/center/recipes/dtask/config.yml":
                      self.find("packaging/conan/center/recipes/dtask/config.yml", r'^  "([^"]+)":'),
                  "packaging/conan/center/recipes/dtask/all/conandata.yml":
                      self.find("packaging/conan/center/recipes/dtask/all/conandata.yml", r'^  "([^"]+)":')}
        if (self.root / "packaging/vcpkg/ports/dtask/vcpkg.json").is_file():
            places["packaging/vcpkg/ports/dtask/vcpkg.json"] = self.find("packaging/vcpkg/ports/dtask/vcpkg.json", r'"version-semver": "([^"]+)"')
        if (self.root / "packaging/debian/changelog").is_file():
            places["packaging/debian/changelog"] = [v.split("~")[0].split("-")[0]
                                                    for v in self.find("packaging/debian/changelog", r"^dtask \(([^)]+)\)")[:1]]
        for place, found in places.items():
            self.same(place, "version", found, [self.version])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    found = Description(sys.argv[1]).check()
    print("\n".join(found) or "everything says what packaging/dependencies.json says")
    sys.exit(1 if found else 0)
