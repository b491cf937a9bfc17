"""Files that say how requests are authenticated and authorised: read, with the place of every fault."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from podium.api.types.errors import Cause

log = logging.getLogger(__name__)

Made = TypeVar("Made")
# Seconds between two looks whether a file has changed; nobody looks while nothing is asked.
LOOKS = 1.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ConfigError(ValueError):
    """What is wrong with a file."""


def required(field: str, why: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value{': ' + why if why else ''}", field)


def invalid(field: str, value: Any, why: str) -> Cause:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", field)


def duplicate(field: str, value: str) -> Cause:
    return Cause("FieldValueDuplicate", f'Duplicate value: "{value}"', field)


def unsupported(field: str, value: Any, supported: tuple[str, ...]) -> Cause:
    listed = ", ".join(f'"{each}"' for each in supported)
    return Cause("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {listed}', field)


def refuse(causes: list[Cause]) -> None:
    """Raises ConfigError when there are any."""
    if causes:
        raise ConfigError("; ".join(map(str, causes)))


def document(text: str, kind: str, versions: tuple[str, ...]) -> Mapping[str, Any]:
    """Raises ConfigError for what is no YAML or another kind."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"is no YAML: {error}") from None
    if not isinstance(found, dict) or found.get("kind") != kind or found.get("apiVersion") not in versions:
        raise ConfigError(f"must be a {kind} of {versions[0]}")
    return found


def check_fields(given: Any, field: str, known: Mapping[str, type | tuple[type, ...]]) -> list[Cause]:
    """That it is a mapping of these fields, each of its type; None stands for a field that is not there."""
    if not isinstance(given, dict):
        return [invalid(field, type(given).__name__, "must be an object")]
    causes = []
    for name, value in given.items():
        path = f"{field}.{name}" if field else str(name)
        if name not in known:
            causes.append(invalid(path, str(name), "unknown field"))
        elif value is not None and not isinstance(value, known[name]):
            causes.append(invalid(path, str(value), "is of the wrong type"))
    return causes


def seconds(text: str) -> float | None:
    """A duration as configurations write it, `1m30s`; None for what is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class Watched(Generic[Made]):
    """What a file says, made anew when it has changed. A file that cannot be read or says something wrong
    changes nothing, but is complained about once."""

    def __init__(self, path: Path, make: Callable[[str], Made]) -> None:
        """Raises OSError, ConfigError."""
        self._path = path
        self._make = make
        self._looked = time.monotonic()
        self._seen = self._stamp()
        self._made = make(path.read_text())

    def current(self) -> Made:
        now = time.monotonic()
        if now - self._looked >= LOOKS:
            self._looked = now
            self._look()
        return self._made

    def _look(self) -> None:
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            self._made = self._make(self._path.read_text())
            log.info("%s has changed and counts now", self._path)
        except (OSError, ValueError) as error:
            log.error("%s has changed and is not heeded: %s", self._path, error)

    def _stamp(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino
