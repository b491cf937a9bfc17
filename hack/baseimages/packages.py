"""Debian packages: which ones an image needs, and fetching them. apt does the work; no root file system is
needed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class PackageError(Exception):
    """apt could not say or fetch what is needed; the message says why."""


class Package(NamedTuple):
    """One version of a package. `depends` has, per dependency, the names that would do. `shared` packages
    are those that can be there for several architectures at once, which is what every library package
    declares."""

    name: str
    version: str
    architecture: str
    depends: tuple[tuple[str, ...], ...]
    shared: bool

    @property
    def pin(self) -> str:
        return f"{self.name}={self.version}"


def architecture() -> str:
    """This machine's architecture by Go's names, which images use, as dpkg tells it."""
    name = _run(["dpkg", "--print-architecture"]).strip()
    return {"armhf": "arm", "i386": "386", "ppc64el": "ppc64le", "mips64el": "mips64le"}.get(name, name)


def parse(stanzas: str) -> dict[str, Package]:
    """What `apt-cache show` prints, by name; of several versions the first, which is the candidate."""
    found: dict[str, Package] = {}
    for stanza in stanzas.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
        if "Package" in fields:
            package = Package(
                fields["Package"],
                fields["Version"],
                fields["Architecture"],
                _relations(fields.get("Pre-Depends", "")) + _relations(fields.get("Depends", "")),
                fields.get("Multi-Arch") == "same",
            )
            found.setdefault(package.name, package)
    return found


def _relations(field: str) -> tuple[tuple[str, ...], ...]:
    """`a (>= 1) | b:any, c` as names."""
    return tuple(
        tuple(
            re.split(r"[\s(:\[]", alternative.strip(), maxsplit=1)[0] for alternative in relation.split("|")
        )
        for relation in field.split(",")
        if relation.strip()
    )


def catalogue(names: Sequence[str]) -> dict[str, Package]:
    """The candidates of these packages and of all that they depend on. Raises PackageError for a package
    apt does not know."""
    recurse = [
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
    ]
    listed = _output(["apt-cache", "depends", *recurse, *names])
    reached = [line for line in listed.splitlines() if line and line[0] not in " <"]
    known = parse(_output(["apt-cache", "show", "--no-all-versions", *names, *reached]))
    if missing := [name for name in names if name not in known]:
        raise PackageError(f"apt knows no package {', '.join(missing)}")
    return known


def with_libraries(names: Iterable[str], known: Mapping[str, Package]) -> list[Package]:
    """The packages, and the libraries that they need, directly or not. Other dependencies (tools for
    installing and configuring) have no place in an image. Sorted by name."""
    chosen = {name: known[name] for name in names}
    frontier = list(chosen.values())
    while frontier:
        relations = [relation for package in frontier for relation in package.depends]
        picked = [next((known[name] for name in relation if name in known), None) for relation in relations]
        frontier = [
            each for each in dict.fromkeys(picked) if each and each.shared and each.name not in chosen
        ]
        chosen.update((each.name, each) for each in frontier)
    return [chosen[name] for name in sorted(chosen)]


def update() -> None:
    """Refresh apt's lists. Needs root."""
    _run(["apt-get", "update", "-qq"])


def download(packages: Sequence[Package], directory: Path) -> dict[str, Path]:
    """The packages' files by name, in `directory`."""
    _run(["apt-get", "download", "-qq", *[package.pin for package in packages]], directory)
    files = {path.name.split("_", 1)[0]: path for path in directory.glob("*.deb")}
    if missing := [package.name for package in packages if package.name not in files]:
        raise PackageError(f"apt-get download brought no {', '.join(missing)}")
    return files


def _output(command: list[str]) -> str:
    """What a query prints. Its exit code says only that it did not know one of the names."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _run(command: list[str], directory: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PackageError(f"{command[0]} is not there; images are built on Debian") from None
    if done.returncode:
        errors = [
            line for line in done.stderr.splitlines() if line.startswith("E: ")
        ] or done.stderr.splitlines()
        raise PackageError(f"{' '.join(command[:2])} failed: {'; '.join(errors[:3]) or done.returncode}")
    return done.stdout
