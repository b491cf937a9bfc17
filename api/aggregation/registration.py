"""The APIServices of what this server answers itself: there from the start, always available.

Source: API reference, apiregistration/v1 APIService; `kubectl get apiservices` of an upstream cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from podium.api.ask import Ask, copied
from podium.api.core import Core
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import timestamp
from podium.api.types.resources import API_SERVICES
from podium.api.verbs.create import create
from podium.api.verbs.subresources import rule_of
from podium.api.verbs.update import change

MANAGED = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}


class Priority(NamedTuple):
    """As in an APIService's spec: higher goes first."""

    group: int
    version: int


_GROUPS = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "metrics.k8s.io": 100,
}
_VERSIONS = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("resource.k8s.io", "v1"): 21,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("metrics.k8s.io", "v1beta1"): 100,
}
USUAL = 15
# The group that registers the others is served whatever is registered.
UNREGISTERED = "apiregistration.k8s.io"


def priority(group: str, version: str) -> Priority | None:
    """None for a group that is not registered by itself."""
    if group not in _GROUPS:
        return None
    return Priority(_GROUPS[group], _VERSIONS.get((group, version), USUAL))


def local_service(group: str, version: str, now: str) -> Obj | None:
    """The APIService of a group version that this server answers."""
    found = priority(group, version)
    if found is None:
        return None
    return {
        "metadata": {"name": f"{version}.{group}", "labels": dict(MANAGED)},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": found.group,
            "versionPriority": found.version,
        },
        "status": {"conditions": [local_condition(now)]},
    }


def local_condition(now: str) -> Obj:
    return {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "Local",
        "message": "Local APIServices are always available",
    }


async def ensure(core: Core, versions: Iterable[tuple[str, str]]) -> None:
    """Creates what is missing. Idempotent; what users made of the others is left alone."""
    await asyncio.gather(*(_ensure(core, group, version) for group, version in versions))


async def _ensure(core: Core, group: str, version: str) -> None:
    kind = core.kinds.of(API_SERVICES)
    wanted = local_service(group, version, timestamp(core.clock()))
    if wanted is None or core.store.latest(kind.key("", wanted["metadata"]["name"])) is not None:
        return
    status = wanted.pop("status")
    try:
        await create(core, Ask(kind), wanted)
        ask = Ask(kind, "", wanted["metadata"]["name"], "status")
        await change(core, ask, rule_of(kind, "status"), lambda old: {**copied(old), "status": status})
    except StatusError as error:
        # Another server of the same cluster was faster.
        if error.code != 409:
            raise
