"""Requests and limits: names that may be used, amounts, requests within limits."""

from __future__ import annotations

from functools import lru_cache

from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
ALSO_KNOWN = frozenset(

    {"pods", "storage", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory",
    "requests.storage", "requests.ephemeral-storage", "limits.ephemeral-storage"},
)  # fmt: skip
COUNTED = frozenset(

    {"pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
    "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"},
)  # fmt: skip


def check(requirements: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    limits, requests = requirements.get("limits") or {}, requirements.get("requests") or {}
    for name, amount in limits.items():
        found += _entry(name, amount, f"{path}.limits[{name}]")
    for name, amount in requests.items():
        found += _entry(name, amount, f"{path}.requests[{name}]")
        found += _within(name, amount, limits.get(name), path)
    huge = any(name.startswith("hugepages-") for name in (*limits, *requests))
    if huge and not {*limits, *requests} & {"cpu", "memory"}:
        found.append(causes.forbidden(path, "HugePages require cpu or memory"))
    return found


def _entry(name: str, amount: str, path: str) -> list[Cause]:
    return [causes.invalid(path, name, text) for text in container_resource(name)] + check_amount(
        name, amount, path
    )


def check_amount(name: str, amount: str, path: str) -> list[Cause]:
    """An amount of a resource: never negative, whole where the resource is counted."""
    found = values.amount(amount, path)
    whole = name in COUNTED or is_extended(name)
    if whole and quantity.parse(amount) % 1:
        found.append(causes.invalid(path, str(amount), "must be an integer"))
    return found


def _within(name: str, amount: str, limit: str | None, path: str) -> list[Cause]:
    overcommit = not (is_extended(name) or name.startswith("hugepages-"))
    if limit is None:
        if overcommit:
            return []
        return [causes.required(f"{path}.limits", "Limit must be set for non overcommitable resources")]
    wanted, most = quantity.parse(amount), quantity.parse(limit)
    where = f"{path}.requests"
    if wanted != most and not overcommit:
        return [causes.invalid(where, str(amount), f"must be equal to {name} limit of {limit}")]
    if wanted > most:
        return [causes.invalid(where, str(amount), f"must be less than or equal to {name} limit of {limit}")]
    return []


def is_extended(name: str) -> bool:
    """Whether a resource is somebody else's: a qualified name outside kubernetes.io."""
    prefix, slash, _ = name.partition("/")
    return bool(slash) and not prefix.endswith("kubernetes.io") and not name.startswith("requests.")


@lru_cache(maxsize=256)
def container_resource(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a resource that a container asks for."""
    messages = names.qualified(name)
    if messages:
        return messages
    if "/" in name:
        native = name.partition("/")[0].endswith("kubernetes.io")
        return () if native or is_extended(name) else ("doesn't follow extended resource name standard",)
    if name in STANDARD or name.startswith("hugepages-"):
        return ()
    text = "must be a standard resource for containers"
    if name in ALSO_KNOWN or name in COUNTED:
        return (text,)
    return ("must be a standard resource type or fully qualified", text)
