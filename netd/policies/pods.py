"""Pods as network policies see them. Pure."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.types import Obj
from podium.netd.services.endpoints import is_ipv4


class PodView(NamedTuple):
    """A pod with an address of its own. `ports` are (name, protocol in lower case, number)."""

    uid: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    ip: str
    node: str
    ports: tuple[tuple[str, str, int], ...]


def view(pod: Obj, ip: str = "") -> PodView | None:
    """None for a pod that policies do not concern: on its node's network, without an address, or ended. `ip`
    is its address if that is known already."""
    spec, status, meta = pod.get("spec") or {}, pod.get("status") or {}, pod["metadata"]
    ip = ip or status.get("podIP") or ""
    if spec.get("hostNetwork") or not is_ipv4(ip) or status.get("phase") in ("Succeeded", "Failed"):
        return None
    labels = tuple(sorted((meta.get("labels") or {}).items()))
    return PodView(
        meta["uid"], meta.get("namespace", ""), labels, ip, spec.get("nodeName") or "", _ports(spec)
    )


def _ports(spec: Obj) -> tuple[tuple[str, str, int], ...]:
    sidecars = (one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always")
    return tuple(
        (port["name"], (port.get("protocol") or "TCP").lower(), int(port["containerPort"]))
        for container in (*(spec.get("containers") or ()), *sidecars)
        for port in container.get("ports") or ()
        if port.get("name")
    )
