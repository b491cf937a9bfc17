"""The labels and taints that a node gives itself. Pure.

Source: docs, "kubelet" --node-labels, --register-with-taints; "Well-Known Labels, Annotations and Taints"."""

from __future__ import annotations

import re

from podium.api.types import Obj

_OWN = frozenset(
    {
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
_OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESERVED = ("kubernetes.io", "k8s.io")
_NAME = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class BadNodeSetting(ValueError):
    """The message tells what is wrong."""


def labels(text: str) -> dict[str, str]:
    """`a=b,c=d`. Raises BadNodeSetting, also for those of Kubernetes' own that a node may not give itself."""
    found: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        key, separator, value = part.partition("=")
        if not separator or not _is_key(key) or (value and not _NAME.fullmatch(value)):
            raise BadNodeSetting(f"--node-labels: {part!r} is no label: write KEY=VALUE")
        found[key] = value
    if unknown := sorted(key for key in found if _is_reserved(key)):
        raise BadNodeSetting(
            "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: "
            f"[{' '.join(unknown)}]\n"
            "--node-labels in the 'kubernetes.io' namespace must begin with an allowed prefix "
            f"({', '.join(_OWN_PREFIXES)}) or be in the specifically allowed set ({', '.join(sorted(_OWN))})"
        )
    return found


def taints(text: str) -> list[Obj]:
    """`key=value:effect,key:effect`. Raises BadNodeSetting."""
    found: list[Obj] = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        pair, _, effect = part.rpartition(":")
        key, _, value = pair.partition("=")
        if effect not in _EFFECTS or not _is_key(key) or (value and not _NAME.fullmatch(value)):
            raise BadNodeSetting(f"invalid taint spec: {part}")
        if any((each["key"], each["effect"]) == (key, effect) for each in found):
            raise BadNodeSetting(f"duplicated taints with the same key and effect: {part}")
        found.append({"key": key, "effect": effect, **({"value": value} if value else {})})
    return found


def _is_key(key: str) -> bool:
    prefix, separator, name = key.rpartition("/")
    if separator and not _PREFIX.fullmatch(prefix):
        return False
    return _NAME.fullmatch(name) is not None


def _is_reserved(key: str) -> bool:
    prefix = key.rpartition("/")[0]
    if not any(prefix == each or prefix.endswith(f".{each}") for each in _RESERVED) or key in _OWN:
        return False
    return not any(prefix == each or prefix.endswith(f".{each}") for each in _OWN_PREFIXES)
