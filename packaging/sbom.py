# SPDX-License-Identifier: BSL-1.0
"""Writes an SPDX 2.3 document (JSON) per component, dtask-VERSION-COMPONENT.spdx.json: what the component is made of, what it
needs from others, in which version and under which licence. Made from packaging/dependencies.json; the same bytes each time.

usage: sbom.py SOURCE_DIR ARCHIVE FOLDER      prints the paths
"""
import datetime
import hashlib
import json
import pathlib
import sys

import archive as source_archive

OWN_LICENSE = "BSL-1.0"
OWN_COPYRIGHT = "the dtask authors"
# What is known of each library of dependencies.json: licence (SPDX), whose it is, where it comes from.
LIBRARIES = {
    "boost": ("BSL-1.0", "Organization: Boost", "https://www.boost.org"),
    "cereal": ("BSD-3-Clause", "Organization: USCiLab", "https://uscilab.github.io/cereal"),
    "xxhash": ("BSD-2-Clause", "Person: Yann Collet", "https://xxhash.com"),
    "cli11": ("BSD-3-Clause", "Organization: CLIUtils", "https://github.com/CLIUtils/CLI11"),
    "libjpeg-turbo": ("IJG AND BSD-3-Clause AND Zlib", "Organization: libjpeg-turbo", "https://libjpeg-turbo.org"),
    "libpng": ("libpng-2.0", "Organization: PNG Reference Library Authors", "http://www.libpng.org/pub/png/libpng.html"),
    "libexif": ("LGPL-2.1-or-later", "Organization: libexif", "https://libexif.github.io"),
    "zlib": ("Zlib", "Organization: Jean-loup Gailly and Mark Adler", "https://zlib.net"),
    "libtorch": ("BSD-3-Clause", "Organization: PyTorch", "https://pytorch.org"),
    "libtorch-cuda": ("NOASSERTION", "Organization: PyTorch", "https://pytorch.org"),
}
# Part of every system that dtask runs on, no package of its own.
SYSTEM = {"threads"}


def identifier(kind, name):
    return f"SPDXRef-{kind}-{name}"


def component_package(name, version, archive):
    digest = hashlib.sha512(archive.read_bytes()).hexdigest()
    return {
        "SPDXID": identifier("Component", name),
        "name": "dtask" if name == "dtask" else f"dtask-{name}",
        "versionInfo": version,
        "packageFileName": archive.name,
        "supplier": f"Organization: {OWN_COPYRIGHT}",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA512", "checksumValue": digest}],
        "licenseConcluded": OWN_LICENSE,
        "licenseDeclared": OWN_LICENSE,
        "copyrightText": f"Copyright {OWN_COPYRIGHT}",
        "summary": f"dtask::{name}, C++ headers and sources of the archive {archive.name}",
        "primaryPackagePurpose": "LIBRARY",
    }


def library_package(key, library):
    license_, supplier, home = LIBRARIES[key]
    package = {
        "SPDXID": identifier("Library", key),
        "name": library["name"],
        "versionInfo": f"{library['lowest']} or newer",
        "supplier": supplier,
        "homepage": home,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": license_,
        "licenseDeclared": license_,
        "copyrightText": "NOASSERTION",
        "comment": "Not in the archive: it is found where it is installed."
                   + (" A choice of whoever builds: no package of dtask brings it." if not library.get("packaged", True) else ""),
        "primaryPackagePurpose": "LIBRARY",
    }
    references = [f"pkg:deb/debian/{name}" for name in library.get("debian", [])]
    if "conan" in library:
        references.append(f"pkg:conan/{key}")
    if references:
        package["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": r}
                                   for r in references]
    return package


def document(description, name, version, archive, created):
    """The component, the components that it needs, and the libraries of all of these."""
    needed = [name]
    for component in needed:
        needed += [other for other in description["components"][component]["needs"] if other not in needed]
    libraries, relations = [], [("SPDXRef-DOCUMENT", "DESCRIBES", identifier("Component", name))]
    for component in needed:
        said = description["components"][component]
        relations += [(identifier("Component", component), "DEPENDS_ON", identifier("Component", other)) for other in said["needs"]]
        for key in said["libraries"]:
            if key in SYSTEM:
                continue
            if key not in LIBRARIES:
                raise SystemExit(f"packaging/sbom.py: nothing is known of {key}, which packaging/dependencies.json names: "
                                 "add its licence, supplier and address to LIBRARIES")
            relations.append((identifier("Component", component), "DEPENDS_ON", identifier("Library", key)))
            libraries.append(library_package(key, description["libraries"][key]))
    title = f"dtask-{version}-{name}"
    digest = hashlib.sha512(archive.read_bytes()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": title,
        "documentNamespace": f"https://spdx.org/spdxdocs/{title}-{digest[:32]}",
        "creationInfo": {"created": created, "creators": [f"Tool: dtask-sbom-{version}"]},
        "packages": [component_package(component, version, archive) for component in needed] + libraries,
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations],
    }


def make(root, archive, folder):
    description = json.loads((root / "packaging/dependencies.json").read_text())
    version = source_archive.version(root)
    when = datetime.datetime.fromtimestamp(source_archive.time_of(root), datetime.timezone.utc)
    paths = []
    for name in description["components"]:
        path = folder / f"dtask-{version}-{name}.spdx.json"
        made = document(description, name, version, archive, when.strftime("%Y-%m-%dT%H:%M:%SZ"))
        path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
        paths.append(path)
    return paths


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__.strip())
    for made in make(*(pathlib.Path(argument).resolve() for argument in sys.argv[1:])):
        print(made)
