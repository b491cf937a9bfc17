"""Where a pod's running containers do not have what they were promised. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.types import Obj
from podium.runtime.oci.resources import effective
from podium.runtime.pods import rules
from podium.runtime.pods.allocation import sizes
from podium.runtime.pods.model import Attempt, Observed
from podium.runtime.pods.resize import Change, changes, needs_restart


def changing(pod: Obj, observed: Observed) -> list[Change]:
    """Those that get it without a restart."""
    return changes(pod, ((each, one.id, one.resources) for each, one in _running(pod, observed)))


def differs(pod: Obj, observed: Observed) -> bool:
    """Whether there are any, or the pod as a whole is one."""
    running = ((one.resources, effective(pod, each)) for each, one in _running(pod, observed))
    lacking = (has is not None and sizes(has) != sizes(wanted) for has, wanted in running)
    return (observed.resizing.whole and bool(observed.alive())) or any(lacking)


def restarting(pod: Obj, observed: Observed) -> bool:
    """Whether one has to end before the pod can be resized."""
    return any(needs_restart(pod, each, one.resources) for each, one in _running(pod, observed))


def _running(pod: Obj, observed: Observed) -> Iterator[tuple[Obj, Attempt]]:
    for container in (*rules.init_containers(pod), *rules.app_containers(pod)):
        latest = observed.latest(container["name"])
        if latest is not None and latest.state == "running":
            yield container, latest
