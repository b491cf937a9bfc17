"""PodSecurityConfiguration: what counts in namespaces without labels, and who is exempt.

Source: API reference, pod-security.admission.config.k8s.io/v1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from podium.api.admission.podsecurity.levels import (
    LATEST,
    LEVELS,
    MODES,
    PRIVILEGED,
    Level,
    Policy,
    is_version,
)

VERSION, KIND = "pod-security.admission.config.k8s.io/v1", "PodSecurityConfiguration"


class ConfigurationError(ValueError):
    """What is wrong, with its place."""


class Configuration(NamedTuple):
    defaults: Policy = Policy()
    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


def read(given: Mapping[str, Any]) -> Configuration:
    """Raises ConfigurationError."""
    if given.get("apiVersion") != VERSION or given.get("kind") != KIND:
        raise ConfigurationError(f"must be a {VERSION} {KIND}")
    defaults = given.get("defaults") or {}
    levels = {mode: _level(defaults, mode) for mode in MODES}
    exempt = given.get("exemptions") or {}
    fields = ("usernames", "namespaces", "runtimeClasses")
    return Configuration(Policy(**levels), *(frozenset(exempt.get(field) or ()) for field in fields))


def _level(defaults: Mapping[str, Any], mode: str) -> Level:
    name, version = defaults.get(mode) or PRIVILEGED, defaults.get(f"{mode}-version") or LATEST
    if name not in LEVELS:
        raise ConfigurationError(
            f"defaults.{mode}: Invalid value: {name!r}: must be one of {', '.join(LEVELS)}"
        )
    if not is_version(version):
        raise ConfigurationError(
            f'defaults.{mode}-version: Invalid value: {version!r}: must be "latest" or "v1.x"'
        )
    return Level(name, version)
