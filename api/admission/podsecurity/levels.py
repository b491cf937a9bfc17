"""Which level counts in a namespace, by its labels. Pure.

Source: docs, "Pod Security Admission", labels; KEP-2579."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from podium.api.types.errors import Cause

PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
LATEST = "latest"
PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,8})")


class Level(NamedTuple):
    """A level as of a version: `latest` or `v1.N`."""

    name: str = PRIVILEGED
    version: str = LATEST

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def strictness(self) -> int:
        return LEVELS.index(self.name)


class Policy(NamedTuple):
    enforce: Level = Level()
    audit: Level = Level()
    warn: Level = Level()

    @property
    def privileged(self) -> bool:
        return self.enforce.name == self.audit.name == self.warn.name == PRIVILEGED


def is_version(text: str) -> bool:
    return text == LATEST or _VERSION.fullmatch(text) is not None


def policy_of(labels: Mapping[str, str], defaults: Policy) -> tuple[Policy, list[Cause]]:
    """What the labels of a namespace say, and what of it makes no sense: that is enforced as the strictest
    level, and neither warned nor recorded."""
    if not [label for label in labels if label.startswith(PREFIX)]:
        return defaults, []
    causes: list[Cause] = []
    found = {
        mode: _level(labels, mode, default, causes) for mode, default in zip(MODES, defaults, strict=True)
    }
    # What will be refused is warned of where it is only tried, in the template of a controller.
    enforce, warn = found["enforce"], found["warn"]
    sound = labels.get(f"{PREFIX}enforce") in LEVELS
    if sound and f"{PREFIX}warn" not in labels and enforce.strictness > warn.strictness:
        versioned = f"{PREFIX}warn-version" in labels
        found["warn"] = Level(enforce.name, warn.version if versioned else enforce.version)
    return Policy(**found), causes


def _level(labels: Mapping[str, str], mode: str, default: Level, causes: list[Cause]) -> Level:
    name, version = default
    label = f"{PREFIX}{mode}"
    if (given := labels.get(label)) is not None:
        name = given
        if given not in LEVELS:
            name = RESTRICTED if mode == "enforce" else PRIVILEGED
            causes.append(_cause(label, given, f"must be one of {', '.join(LEVELS)}"))
    if (given := labels.get(f"{label}-version")) is not None:
        version = given
        if not is_version(given):
            version = LATEST
            causes.append(_cause(f"{label}-version", given, 'must be "latest" or "v1.x"'))
    return Level(name, version)


def _cause(label: str, value: str, why: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "{value}": {why}', f"metadata.labels[{label}]")
