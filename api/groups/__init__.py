"""The built-in kinds, one package or module per API group: which strategy serves which resource."""

from __future__ import annotations

from podium.api.groups import (
    admissionregistration,
    apps,
    autoscaling,
    batch,
    certificates,
    coordination,
    core,
    devices,
    extensions,
    flowcontrol,
    networking,
    policy,
    rbac,
    scheduling,
    storage,
)
from podium.api.strategy import Strategy
from podium.api.types.resources import Resource

_GROUPS = (
    core, apps, batch, networking, storage, autoscaling, policy, rbac, coordination, scheduling, certificates,
    admissionregistration, extensions, flowcontrol, devices,
)  # fmt: skip
STRATEGIES: dict[Resource, type[Strategy]] = {
    resource: strategy for group in _GROUPS for resource, strategy in group.STRATEGIES.items()
}
