"""Rules about containers that both deciding and telling follow: what restarts, how long it waits, what the
phase is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import orjson

from podium.api.types import Obj
from podium.runtime.pods.model import Attempt, Observed

FIRST_BACKOFF = 10
MAX_BACKOFF = 300
FORGIVEN_AFTER = 600.0
"""Seconds that an attempt must last for the back-off to begin anew."""

TERMINAL = ("Succeeded", "Failed")


def init_containers(pod: Obj) -> list[Obj]:
    found: list[Obj] = pod["spec"].get("initContainers") or []
    return found


def app_containers(pod: Obj) -> list[Obj]:
    found: list[Obj] = pod["spec"].get("containers") or []
    return found


def ephemeral_containers(pod: Obj) -> list[Obj]:
    """Containers added to a running pod to look into it: they run once, and nothing depends on them."""
    found: list[Obj] = pod["spec"].get("ephemeralContainers") or []
    return found


def container_named(pod: Obj, name: str) -> Obj | None:
    everyone = [*init_containers(pod), *app_containers(pod), *ephemeral_containers(pod)]
    return next((each for each in everyone if each["name"] == name), None)


def field_path(pod: Obj, name: str) -> str:
    """`spec.containers{NAME}`, as events name the container they are about."""
    kinds = {"initContainers": init_containers, "ephemeralContainers": ephemeral_containers}
    named = (kind for kind, of in kinds.items() if any(each["name"] == name for each in of(pod)))
    return f"spec.{next(named, 'containers')}{{{name}}}"


def is_sidecar(container: Obj) -> bool:
    """An init container that keeps running beside the others."""
    return bool(container.get("restartPolicy") == "Always")


def spec_hash(container: Obj) -> str:
    """Changes when the container must be replaced. Resources can change in place."""
    kept = {name: value for name, value in container.items() if name not in ("resources", "resizePolicy")}
    return hashlib.sha256(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def restarts(pod: Obj, container: Obj, exit_code: int) -> bool:
    """Whether a container that ended with this code is to run again. An init container's end with 0 is its
    purpose."""
    if any(each is container for each in ephemeral_containers(pod)):
        return False
    if _ruled(container, exit_code):
        return True
    policy = container.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    if (
        policy == "Always"
        and any(each is container for each in init_containers(pod))
        and not is_sidecar(container)
    ):
        policy = "OnFailure"
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def _ruled(container: Obj, exit_code: int) -> str:
    """The action of the first of a container's own rules that is about this end, "" if none is."""
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        listed = exit_code in (codes.get("values") or ())
        if "exitCodes" in rule and listed == (codes.get("operator") == "In"):
            return str(rule.get("action", ""))
    return ""


def begins_anew(container: Obj, attempt: Attempt) -> bool:
    """Whether a container ended such that all of its pod's are to begin again. Source: KEP-5532."""
    return attempt.state == "exited" and _ruled(container, attempt.exit_code) == "RestartAllContainers"


def restarting_all(pod: Obj, observed: Observed) -> bool:
    """Whether one has, and the others have not been ended yet."""
    latest = ((each, observed.latest(each["name"])) for each in (*init_containers(pod), *app_containers(pod)))
    return any(
        one is not None and one.sandbox == observed.sandbox and begins_anew(each, one) for each, one in latest
    )


def of_earlier_round(attempt: Attempt, observed: Observed) -> bool:
    """Whether an attempt ended so that all containers could begin again, in the namespaces that they had: the
    name of a sandbox is followed by how often that has happened."""
    name, _, _ = attempt.sandbox.partition(".")
    return attempt.sandbox != observed.sandbox and name == observed.sandbox.partition(".")[0]


def beginning_anew(pod: Obj, observed: Observed) -> bool:
    """Whether containers are being ended to begin again, or have not begun yet."""
    latest = (observed.latest(each["name"]) for each in (*init_containers(pod), *app_containers(pod)))
    return restarting_all(pod, observed) or any(one and of_earlier_round(one, observed) for one in latest)


def restart_at(attempt: Attempt) -> datetime:
    """When the next attempt may begin."""
    if lasted_long(attempt):
        return attempt.finished_at
    return attempt.finished_at + timedelta(seconds=attempt.backoff)


def next_backoff(attempt: Attempt | None, most: int = MAX_BACKOFF) -> int:
    """The back-off that follows the attempt after this one: none after the first, then 10 s, doubling up to
    `most`."""
    if attempt is None:
        return 0
    if attempt.backoff == 0 or lasted_long(attempt):
        return min(FIRST_BACKOFF, most)
    return min(attempt.backoff * 2, most)


def lasted_long(attempt: Attempt) -> bool:
    return (attempt.finished_at - attempt.created_at).total_seconds() > FORGIVEN_AFTER


def full_name(pod: Obj) -> str:
    """`NAME_NAMESPACE(UID)`, as messages name pods."""
    meta = pod["metadata"]
    return f"{meta['name']}_{meta.get('namespace', '')}({meta['uid']})"


def told(pod: Obj, name: str) -> Obj | None:
    """What the API server was last told about a container."""
    status = pod.get("status") or {}
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    everyone = (each for kind in kinds for each in status.get(kind) or ())
    return next((each for each in everyone if each["name"] == name), None)


def lost_end(status: Obj | None) -> int | None:
    """The exit code of a container that the API server knows to have run but of which nothing is on the
    machine any more; None if it never ran."""
    state = (status or {}).get("state") or {}
    if "terminated" in state:
        return int(state["terminated"].get("exitCode", 0))
    if "running" in state:
        return 137
    last = ((status or {}).get("lastState") or {}).get("terminated")
    return int(last.get("exitCode", 0)) if last else None


def initialized(pod: Obj, observed: Observed) -> bool:
    """Whether a container proper has been made in this sandbox: init containers never run again after
    that."""
    latest = (observed.latest(container["name"]) for container in app_containers(pod))
    return any(each is not None and each.sandbox == observed.sandbox for each in latest)


def phase(pod: Obj, statuses: Mapping[str, Obj], *, ending: bool, has_started: bool) -> str:
    """The phase of containers' statuses (by name). `ending`: nothing will be restarted. `has_started`: a
    container proper runs or has run."""
    init = [(each, statuses.get(each["name"])) for each in init_containers(pod)]
    once = [(spec, status) for spec, status in init if not is_sidecar(spec)]
    if any(_failed_for_good(pod, spec, status) for spec, status in once):
        return "Failed"
    sidecars = [status for spec, status in init if is_sidecar(spec)]
    pending = any(_pending_init(status) for _, status in once)
    sidecar_pending = any(_pending_sidecar(status) for status in sidecars) and not has_started
    own = [(spec, statuses.get(spec["name"])) for spec in app_containers(pod)]
    waiting = any(_waits_first_time(status) for _, status in own)
    unknown = any(not (status or {}).get("state") for _, status in own)
    if pending or sidecar_pending or waiting:
        return "Pending"
    running = any("running" in ((status or {}).get("state") or {}) for _, status in own)
    running = running or any("running" in ((status or {}).get("state") or {}) for status in sidecars)
    if running and not unknown:
        return "Running"
    if unknown or not own:
        return "Pending"
    return _ended_phase(pod, own, ending=ending)


def _ended_phase(pod: Obj, own: Iterable[tuple[Obj, Obj | None]], *, ending: bool) -> str:
    """The phase when no container has a process."""
    ends = [(spec, terminated(status)) for spec, status in own]
    succeeded = all(
        end is not None and end.get("exitCode") == 0 and "terminated" in ((status or {}).get("state") or {})
        for (_, end), (_, status) in zip(ends, own, strict=True)
    )
    coming_back = any(end is None or restarts(pod, spec, end.get("exitCode", 0)) for spec, end in ends)
    if coming_back and not ending:
        return "Running"
    return "Succeeded" if succeeded else "Failed"


def terminated(status: Obj | None) -> Obj | None:
    """How a container that does not run ended last."""
    if status is None:
        return None
    state = status.get("state") or {}
    if "terminated" in state:
        found: Obj = state["terminated"]
        return found
    if "waiting" in state:
        last: Obj | None = (status.get("lastState") or {}).get("terminated")
        return last
    return None


def _failed_for_good(pod: Obj, spec: Obj, status: Obj | None) -> bool:
    end = terminated(status)
    return end is not None and end.get("exitCode", 0) != 0 and not restarts(pod, spec, end["exitCode"])


def _pending_init(status: Obj | None) -> bool:
    """An init container that has not ended once."""
    state = (status or {}).get("state") or {}
    if "terminated" in state:
        return bool(state["terminated"].get("exitCode", 0) != 0)
    return True


def _pending_sidecar(status: Obj | None) -> bool:
    state = (status or {}).get("state") or {}
    if "running" in state:
        return not (status or {}).get("started")
    return "terminated" not in ((status or {}).get("lastState") or {}) and "terminated" not in state


def _waits_first_time(status: Obj | None) -> bool:
    state = (status or {}).get("state") or {}
    return "waiting" in state and "terminated" not in ((status or {}).get("lastState") or {})
