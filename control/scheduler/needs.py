"""A pod as the scheduler sees it: what it asks of a node, and what it takes from one. Made once per pod and
immutable.

Pods made from one template have equal `Shape`s, so that what was found out for one holds for the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from podium.api.types import Obj, affinity, requests, taints
from podium.api.types.affinity import Preferred, Required
from podium.api.types.taints import Toleration
from podium.control.scheduler.labels import NONE, Labels, labels_of
from podium.control.scheduler.terms import NO_TERMS, Spread, Terms, spreads_of, terms_of

DEFAULT_SCHEDULER = "default-scheduler"
HostPort = tuple[str, str, int]
"""(address, protocol, port); the address 0.0.0.0 stands for all."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a placed pod takes from its node. `score_*` count the defaults for containers that ask for
    nothing."""

    requests: tuple[tuple[str, int], ...]
    score_cpu: int
    score_memory: int
    ports: tuple[HostPort, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A pod that is, or is assumed to be, on a node. `claims` are keys NAMESPACE/NAME, `started` an RFC 3339
    time, "" while unknown; `preempted` says that the scheduler is what ends it."""

    uid: str
    namespace: str
    name: str
    cost: Cost
    labels: Labels = NONE
    priority: int = 0
    terms: Terms = NO_TERMS
    claims: tuple[str, ...] = ()
    started: str = ""
    terminating: bool = False
    preempted: bool = False


class Owner(NamedTuple):
    """A pod's controller."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the pod asks of a node by itself. `images` are normalised names of all containers' images and
    image volumes."""

    cost: Cost
    tolerations: tuple[Toleration, ...]
    required: Required
    preferred: tuple[Preferred, ...]
    images: tuple[str, ...]
    containers: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides where a pod can go, and is the same for its siblings: its footprint, and how it relates to
    other pods."""

    footprint: Footprint
    namespace: str
    labels: Labels
    owner: Owner | None
    terms: Terms
    hard_spread: tuple[Spread, ...]
    soft_spread: tuple[Spread, ...]
    own_spread: bool


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the pod that is a claim; `ephemeral` claims belong to the pod alone."""

    claim: str
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """A pod that waits for a node."""

    uid: str
    namespace: str
    name: str
    priority: int
    shape: Shape
    volumes: tuple[Volume, ...] = ()
    never_preempts: bool = False
    scheduler: str = DEFAULT_SCHEDULER

    @property
    def cost(self) -> Cost:
        return self.shape.footprint.cost

    def placed(self) -> Placed:
        """The pod as it will be on its node."""
        return Placed(
            self.uid,
            self.namespace,
            self.name,
            self.cost,
            self.shape.labels,
            self.priority,
            self.shape.terms,
            tuple(f"{self.namespace}/{volume.claim}" for volume in self.volumes),
        )


def cost_of(spec: Obj, status: Obj | None = None) -> Cost:
    scored = requests.pod_requests(spec, status, defaults=True)
    return Cost(
        tuple(requests.pod_requests(spec, status).items()),
        scored.get("cpu", 0),
        scored.get("memory", 0),
        _host_ports(spec),
    )


def _host_ports(spec: Obj) -> tuple[HostPort, ...]:
    sidecars = [entry for entry in spec.get("initContainers") or () if entry.get("restartPolicy") == "Always"]
    return tuple(
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in (*(spec.get("containers") or ()), *sidecars)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def volumes_of(pod: Obj) -> tuple[Volume, ...]:
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            found.append(Volume(claim["claimName"]))
        elif volume.get("ephemeral"):
            found.append(Volume(f"{pod['metadata']['name']}-{volume['name']}", ephemeral=True))
    return tuple(found)


def placed_of(pod: Obj) -> Placed:
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    terminating = "deletionTimestamp" in meta
    namespace = meta.get("namespace", "")
    return Placed(
        meta["uid"],
        namespace,
        meta["name"],
        cost_of(spec, status),
        labels_of(meta),
        spec.get("priority") or 0,
        terms_of(pod),
        tuple(f"{namespace}/{volume.claim}" for volume in volumes_of(pod)) if spec.get("volumes") else (),
        status.get("startTime") or "",
        terminating,
        terminating and _preempted(status),
    )


def _preempted(status: Obj) -> bool:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "DisruptionTarget":
            return (condition.get("status"), condition.get("reason")) == ("True", "PreemptionByScheduler")
    return False


def shape_of(pod: Obj) -> Shape:
    meta, spec = pod["metadata"], pod["spec"]
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    images = [container.get("image") or "" for container in containers]
    images += [
        volume["image"].get("reference") or "" for volume in spec.get("volumes") or () if volume.get("image")
    ]
    spread = bool(spec.get("topologySpreadConstraints"))
    footprint = Footprint(
        cost=cost_of(spec),
        tolerations=taints.tolerations(spec),
        required=affinity.required(spec),
        preferred=affinity.preferred(spec),
        images=tuple(normalised_image(image) for image in images),
        containers=len(containers),
    )
    return Shape(
        footprint,
        namespace=meta.get("namespace", ""),
        labels=labels_of(meta),
        owner=_owner(meta),
        terms=terms_of(pod),
        hard_spread=spreads_of(pod, "DoNotSchedule") if spread else (),
        soft_spread=spreads_of(pod, "ScheduleAnyway") if spread else (),
        own_spread=spread,
    )


def _owner(meta: Obj) -> Owner | None:
    for reference in meta.get("ownerReferences") or ():
        if reference.get("controller"):
            return Owner(reference["kind"], reference["name"])
    return None


def normalised_image(name: str) -> str:
    """With the tag that is meant where none is given."""
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"


def needs_of(pod: Obj) -> Needs:
    meta, spec = pod["metadata"], pod["spec"]
    return Needs(
        uid=meta["uid"],
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        priority=spec.get("priority") or 0,
        shape=shape_of(pod),
        volumes=volumes_of(pod),
        never_preempts=spec.get("preemptionPolicy") == "Never",
        scheduler=spec.get("schedulerName") or DEFAULT_SCHEDULER,
    )


def finished(pod: Obj) -> bool:
    """Whether the pod gave back what it took."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def waits(pod: Obj) -> bool:
    """Whether the pod wants a node and may get one now."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and "deletionTimestamp" not in pod["metadata"]
        and not finished(pod)
    )
