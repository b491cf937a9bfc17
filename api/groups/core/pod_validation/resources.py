"""Requests and limits: names that may be used, amounts, requests within limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.types.remembering import LONGEST, remembered
from podium.api.validation import causes, names, values

HUGE_PAGES = "hugepages-"
STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
ALSO_KNOWN = frozenset(

    {"pods", "storage", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory",
    "requests.storage", "requests.ephemeral-storage", "limits.ephemeral-storage"},
)  # fmt: skip
COUNTED = frozenset(

    {"pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
    "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"},
)  # fmt: skip


def check(requirements: Obj, path: str, claims: frozenset[str] = frozenset()) -> list[Cause]:
    """A container's resources; `claims` are the names of its pod's claims."""
    limits, requests = requirements.get("limits") or {}, requirements.get("requests") or {}
    found: list[Cause] = []
    for name, amount in limits.items():
        found += _entry(name, amount, f"{path}.limits[{name}]")
    for name, amount in requests.items():
        found += _entry(name, amount, f"{path}.requests[{name}]")
        found += _within(name, amount, limits.get(name), path)
    huge = any(name.startswith(HUGE_PAGES) for name in (*limits, *requests))
    if huge and not {*limits, *requests} & {"cpu", "memory"}:
        found.append(causes.forbidden(path, "HugePages require cpu or memory"))
    if wanted := requirements.get("claims"):
        found += _claims(wanted, claims, f"{path}.claims")
    return found


def _entry(name: str, amount: str, path: str) -> list[Cause]:
    # Nearly all pods ask for one of a few amounts.
    return [] if len(name) <= LONGEST and _faultless(name, amount) else _faults(name, amount, path)


@lru_cache(maxsize=1024)
def _faultless(name: str, amount: str) -> bool:
    return not _faults(name, amount, "")


def _faults(name: str, amount: str, path: str) -> list[Cause]:
    found = [causes.invalid(path, name, text) for text in container_resource(name)]
    found += check_amount(name, amount, path)
    if name.startswith(HUGE_PAGES) and not divisible(name, amount):
        detail = f"{amount} is not positive integer multiple of {name}"
        found.append(causes.invalid(path, str(amount), detail))
    return found


def divisible(name: str, amount: str) -> bool:
    """Whether an amount of huge pages is a whole number of them."""
    try:
        size = quantity.parse(name.removeprefix(HUGE_PAGES))
    except ValueError:
        return False
    return size > 0 and quantity.parse(amount) % size == 0


def _claims(wanted: Sequence[Obj], known_names: frozenset[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, claim in enumerate(wanted):
        name, request, where = claim.get("name", ""), claim.get("request", ""), f"{path}[{index}]"
        if not name:
            found.append(causes.required(where))
            continue
        found += _twice(name, request, seen, where)
        if name not in known_names:
            listed = f": {', '.join(sorted(known_names))}" if known_names else " which is empty"
            detail = f"must be one of the names in pod.spec.resourceClaims{listed}"
            found.append(causes.not_found(where, name, detail))
    return found


def _twice(name: str, request: str, seen: set[str], path: str) -> list[Cause]:
    """Whether a claim, or a request of it, is used already; a claim as a whole has all its requests."""
    if name in seen:
        return [causes.duplicate(path, name)]
    found = values.named(request, f"{path}.request", names.dns_label) if request else []
    key = f"{name}/{request}" if request else name
    if key in seen:
        found.append(causes.duplicate(path, key))
    elif not request:
        found += [causes.duplicate(path, name) for other in seen if other.startswith(f"{name}/")]
    seen.add(key)
    return found


def check_amount(name: str, amount: str, path: str) -> list[Cause]:
    """An amount of a resource: never negative, whole where the resource is counted."""
    found = values.amount(amount, path)
    whole = name in COUNTED or is_extended(name)
    if whole and quantity.parse(amount) % 1:
        found.append(causes.invalid(path, str(amount), "must be an integer"))
    return found


def _within(name: str, amount: str, limit: str | None, path: str) -> list[Cause]:
    overcommit = is_native(name) and not name.startswith(HUGE_PAGES)
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


def is_native(name: str) -> bool:
    """Whether a resource is Kubernetes' own: unprefixed, or with a prefix in kubernetes.io."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether a resource is somebody else's: a qualified name outside kubernetes.io."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified(f"requests.{name}")


@remembered(256)
def known(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a resource of any kind."""
    messages = names.qualified(name)
    if messages or "/" in name or name in STANDARD | ALSO_KNOWN | COUNTED or _is_huge(name):
        return messages
    return ("must be a standard resource type or fully qualified",)


def _is_huge(name: str) -> bool:
    return name.startswith((HUGE_PAGES, f"requests.{HUGE_PAGES}"))


@remembered(256)
def container_resource(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a resource that a container asks for."""
    messages = known(name)
    if "/" in name:
        fits = is_native(name) or is_extended(name)
        return messages if fits else (*messages, "doesn't follow extended resource name standard")
    if name in STANDARD or name.startswith(HUGE_PAGES):
        return messages
    return (*messages, "must be a standard resource for containers")
