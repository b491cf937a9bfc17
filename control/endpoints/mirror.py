"""EndpointSlices that repeat an Endpoints object somebody wrote by hand, planned. Pure.

Readers look at slices only, so that what is written in the older form must be shown in the newer one, too.
Source: kubernetes.io, "EndpointSlice mirroring".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from podium.api.types import Obj
from podium.api.types.meta import controller_reference
from podium.control.endpoints.selection import HEADLESS
from podium.control.endpoints.slices import CAPACITY, MANAGED_BY, SERVICE_NAME, Plan

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
ADDRESSES = 1000  # of one subset that are shown
# Endpoints that only carry a leader's lease are nobody's addresses.
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_UNCOPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "endpoints.kubernetes.io/over-capacity",
)
_RESERVED = (MANAGED_BY, SERVICE_NAME, HEADLESS)
_Group: TypeAlias = tuple[str, tuple[tuple[tuple[str, object], ...], ...]]


def wants_mirror(entry: Obj, service: Obj | None) -> bool:
    """Whether nobody else keeps slices for these Endpoints: their Service selects no pods."""
    if service is None or service["spec"].get("selector"):
        return False
    meta = entry["metadata"]
    if (meta.get("labels") or {}).get(SKIP) == "true":
        return False
    return _LEADER not in (meta.get("annotations") or {})


def plan(entry: Obj, service: Obj, existing: Sequence[Obj]) -> Plan:
    """What turns the `existing` mirrors of the Endpoints `entry` into the right ones."""
    result = Plan([], [], [])
    spare: dict[_Group, list[Obj]] = {}
    for one in existing:
        owners = one["metadata"].get("ownerReferences") or ()
        if any(owner["uid"] == entry["metadata"]["uid"] for owner in owners):
            spare.setdefault(_group_of(one["addressType"], one.get("ports")), []).append(one)
        else:
            result.delete.append(one)
    for group, endpoints in _groups(entry).items():
        for start in range(0, len(endpoints), CAPACITY):
            wanted = _slice(entry, service, group, endpoints[start : start + CAPACITY])
            if not spare.get(group):
                result.create.append(wanted)
                continue
            was = spare[group].pop(0)
            if _says(was) != _says(wanted):
                result.update.append({**wanted, "metadata": {**was["metadata"], **_shown(wanted)}})
    result.delete.extend(one for left in spare.values() for one in left)
    return result


def _groups(entry: Obj) -> dict[_Group, list[Obj]]:
    """Endpoints of the same family and ports together; each address once, ready if it is so anywhere."""
    groups: dict[_Group, dict[str, Obj]] = {}
    for subset in entry.get("subsets") or ():
        ready = subset.get("addresses") or ()
        listed = [(address, True) for address in ready]
        listed += [(address, False) for address in subset.get("notReadyAddresses") or ()]
        for address, is_ready in listed[:ADDRESSES]:
            family = "IPv6" if ":" in address["ip"] else "IPv4"
            members = groups.setdefault(_group_of(family, subset.get("ports")), {})
            members.setdefault(address["ip"], _endpoint(address, is_ready))
    return {group: list(members.values()) for group, members in groups.items()}


def _endpoint(address: Obj, ready: bool) -> Obj:
    endpoint: Obj = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    kept = {name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)}
    return endpoint | kept


def _group_of(family: str, ports: Iterable[Obj] | None) -> _Group:
    listed = ({"name": "", "protocol": "TCP"} | port for port in ports or ())
    return family, tuple(sorted((tuple(sorted(port.items())) for port in listed), key=repr))


def _slice(entry: Obj, service: Obj, group: _Group, endpoints: list[Obj]) -> Obj:
    meta = entry["metadata"]
    labels = {name: text for name, text in (meta.get("labels") or {}).items() if name not in _RESERVED}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    annotations = {
        name: text for name, text in (meta.get("annotations") or {}).items() if name not in _UNCOPIED
    }
    owner = controller_reference({**entry, "apiVersion": "v1", "kind": "Endpoints"})
    family, ports = group
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": {**labels, SERVICE_NAME: meta["name"], MANAGED_BY: MANAGER},
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [dict(port) for port in ports],
    }


def _shown(entry: Obj) -> Obj:
    meta = entry["metadata"]
    return {"labels": meta.get("labels") or {}, "annotations": meta.get("annotations") or {}}


def _says(entry: Obj) -> tuple[object, ...]:
    return _shown(entry), entry.get("endpoints") or []
