"""Whether an aggregated API can be there at all, told by its service; and the condition that says so.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from podium.api.aggregation.remote import Remote
from podium.api.services import port_of, ready_endpoints
from podium.api.types import Obj

AVAILABLE = "Available"


class Verdict(NamedTuple):
    available: bool
    reason: str
    message: str


PASSED = Verdict(True, "Passed", "all checks passed")


def unreached(message: str) -> Verdict:
    return Verdict(False, "FailedDiscoveryCheck", message)


def judge(remote: Remote, service: Obj | None, slices: Sequence[Obj]) -> Verdict | None:
    """What speaks against asking; None when nothing does."""
    where = f'service/{remote.service} in "{remote.namespace}"'
    if service is None:
        return Verdict(False, "ServiceNotFound", f"{where} is not present")
    if service["spec"].get("type", "ClusterIP") != "ClusterIP":
        return None
    port = port_of(service, str(remote.port))
    if port is None:
        return Verdict(False, "ServicePortError", f"{where} is not listening on port {remote.port}")
    if not slices:
        return Verdict(False, "EndpointsNotFound", f"cannot find endpointslices for {where}")
    name = port.get("name") or ""
    if next(ready_endpoints(list(slices), name), None) is None:
        text = f'endpointslices for {where} have no addresses with port name "{name}"'
        return Verdict(False, "MissingEndpoints", text)
    return None


def with_condition(status: Obj, verdict: Verdict, now: str) -> Obj:
    """The status with its condition Available as judged, in its place among the others."""
    made = {
        "type": AVAILABLE,
        "status": str(verdict.available),
        "lastTransitionTime": now,
        "reason": verdict.reason,
        "message": verdict.message,
    }
    conditions = list(status.get("conditions") or ())
    for index, entry in enumerate(conditions):
        if entry.get("type") == AVAILABLE:
            if entry.get("status") == made["status"]:
                made["lastTransitionTime"] = entry.get("lastTransitionTime", now)
            conditions[index] = made
            break
    else:
        conditions.append(made)
    return {**status, "conditions": conditions}
