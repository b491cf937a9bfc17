"""Host ports: which ports of the node lead to which pod. Kept in a file per pod, since the kernel has no
place for them and a restarted daemon need not see a pod's object again to go on serving it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

import orjson

from podium.api.types import Obj

log = logging.getLogger(__name__)

ANY = ("", "0.0.0.0", "::")


class HostPort(NamedTuple):
    """`host_ip` is "" for every address of the node. `protocol` is tcp, udp or sctp."""

    host_ip: str
    protocol: str
    port: int
    pod_ip: str
    pod_port: int


def host_ports(pod: Obj, address: str) -> tuple[HostPort, ...]:
    """What the pod's containers (sidecars too) ask for."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    found = []
    for port in (port for container in containers for port in container.get("ports") or ()):
        if not port.get("hostPort"):
            continue
        host = port.get("hostIP") or ""
        if ":" in host and host not in ANY:
            continue
        found.append(
            HostPort(
                "" if host in ANY else host,
                (port.get("protocol") or "TCP").lower(),
                port["hostPort"],
                address,
                port["containerPort"],
            )
        )
    return tuple(found)


class HostPorts:
    """The files. They are few and tiny, so they are read and written in place."""

    def __init__(self, state_dir: Path) -> None:
        self._dir = state_dir / "hostports"
        self._uids: set[str] = set()

    def __contains__(self, uid: str) -> bool:
        return uid in self._uids

    def load(self) -> dict[str, tuple[HostPort, ...]]:
        found = {}
        for path in sorted(self._dir.glob("*.json")):
            try:
                found[path.stem] = tuple(HostPort(*entry) for entry in orjson.loads(path.read_bytes()))
            except (ValueError, TypeError) as error:
                log.warning("ignoring %s: %s", path, error)
        self._uids = set(found)
        return found

    def remember(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        self._dir.mkdir(parents=True, exist_ok=True)
        path = self._dir / f"{uid}.json"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps([list(port) for port in ports]))
        os.replace(fresh, path)
        self._uids.add(uid)

    def forget(self, uid: str) -> None:
        (self._dir / f"{uid}.json").unlink(missing_ok=True)
        self._uids.discard(uid)
