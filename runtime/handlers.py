"""The runtimes of a node: what RuntimeClasses call a handler, as containerd knows it.

A file maps handlers to runtimes, as YAML or JSON:

    crun:
      type: io.containerd.runc.v2
      options: {BinaryName: /usr/bin/crun}

The options are those of containerd's own configuration. Source: KEP-585; containerd's runc.v1.Options and
runtimeoptions.v1.Options messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from google.protobuf.any_pb2 import Any as PackedAny

RUNC = "io.containerd.runc.v2"
_TYPE = re.compile(r"io\.containerd(\.[a-z0-9]+)+\.v[0-9]+")
_HANDLER = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

# The fields of containerd.runc.v1.Options: number and kind.
_RUNC_OPTIONS: dict[str, tuple[int, type]] = {
    "NoPivotRoot": (1, bool), "NoNewKeyring": (2, bool), "ShimCgroup": (3, str), "IoUid": (4, int),
    "IoGid": (5, int), "BinaryName": (6, str), "Root": (7, str), "CriuPath": (8, str),
    "SystemdCgroup": (9, bool),
}  # fmt: skip
# Those of runtimeoptions.v1.Options, which all other runtimes take.
_OTHER_OPTIONS: dict[str, tuple[int, type]] = {"TypeUrl": (1, str), "ConfigPath": (2, str)}


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime's shim and its options."""

    type: str = RUNC
    options: Mapping[str, str | int | bool] = field(default_factory=dict)

    def talking_to(self, owner: int) -> Runtime:
        """The same for containers whose root is `owner` on this machine: what they print to is theirs."""
        if self.type != RUNC:
            return self
        return replace(self, options={**self.options, "IoUid": owner, "IoGid": owner})

    def packed(self, *, systemd: bool = False) -> PackedAny | None:
        """The options as containerd takes them, None for none. With `systemd` the runtime asks systemd for
        control groups."""
        options = dict(self.options)
        if systemd and self.type == RUNC:
            options.setdefault("SystemdCgroup", True)
        if not options:
            return None
        known = _RUNC_OPTIONS if self.type == RUNC else _OTHER_OPTIONS
        url = "containerd.runc.v1.Options" if self.type == RUNC else "runtimeoptions.v1.Options"
        return PackedAny(type_url=url, value=b"".join(_encoded(options, known)))


DEFAULT: Mapping[str, Runtime] = {"": Runtime(), "runc": Runtime()}


def read(path: Path | None) -> dict[str, Runtime]:
    """All handlers of a node: `runc`, which is also the one of pods without a RuntimeClass, and those of the
    file. Raises ValueError, OSError."""
    if path is None:
        return dict(DEFAULT)
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    document = {} if document is None else document
    if not isinstance(document, dict):
        raise ValueError(f"{path}: a map from handlers to runtimes is expected")
    return {**DEFAULT, **{str(name): _runtime(f"{path}: {name}", name, of) for name, of in document.items()}}


def _runtime(where: str, name: object, described: object) -> Runtime:
    if not isinstance(name, str) or not _HANDLER.fullmatch(name):
        raise ValueError(f"{where}: a handler's name is of lower case letters, digits and dashes")
    if not isinstance(described, dict) or described.keys() - {"type", "options"}:
        raise ValueError(f"{where}: a type and options are expected")
    kind, options = described.get("type", RUNC), described.get("options") or {}
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise ValueError(f"{where}: {kind!r} is no type of a runtime, such as {RUNC}")
    if not isinstance(options, dict):
        raise ValueError(f"{where}: options: a map is expected")
    known = _RUNC_OPTIONS if kind == RUNC else _OTHER_OPTIONS
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"{where}: {option!r} is no option of {kind}: {', '.join(known)}")
        if type(value) is not known[option][1]:
            raise ValueError(f"{where}: {option}: a {known[option][1].__name__} is expected")
    return Runtime(kind, options)


def _encoded(options: Mapping[str, str | int | bool], known: dict[str, tuple[int, type]]) -> Iterator[bytes]:
    for name, (number, kind) in known.items():
        value = options.get(name)
        if not value:
            continue
        if kind is str:
            text = str(value).encode()
            yield bytes([number << 3 | 2]) + _varint(len(text)) + text
        else:
            yield bytes([number << 3]) + _varint(int(value))


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])
