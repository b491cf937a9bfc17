"""What to tell the API server about a pod: a pure function of the pod, what is known about it and the time.

Source: the kubelet's kubelet_pods.go, for what each field says when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from podium.api.types import Obj, meta
from podium.runtime.oci.resources import qos_class
from podium.runtime.pods import rules
from podium.runtime.pods.admission import REJECTED
from podium.runtime.pods.conditions import conditions
from podium.runtime.pods.model import Attempt, Observed, Trouble
from podium.runtime.pods.resize import told_resources, whole_pod

UNKNOWN = "ContainerStatusUnknown"
LOST = "The container could not be located when the pod was terminated"

_ANEW = {
    "reason": "RestartingAllContainers",
    "message": "The container is removed because RestartAllContainers in place",
}

# How long a fresh failure is shown as such before it is shown as a back-off, at most.
_FRESH = timedelta(seconds=5)

_BACKOFFS = {"ErrImagePull": "ImagePullBackOff", "RegistryUnavailable": "ImagePullBackOff"}


def compose(pod: Obj, observed: Observed, now: datetime, *, host_ip: str, untold: Obj | None = None) -> Obj:
    """The whole `status`, with what the API server has of others kept. The phase never goes back. `untold` is
    what was composed last, from which times are kept that the API server may not have heard of yet."""
    old: Obj = pod.get("status") or {}
    untold = untold or {}
    if _refused(observed, old):
        return _rejection(pod, observed, old, now)
    ending = observed.gone or meta.deleting(pod) or observed.failed is not None
    init = _statuses(pod, rules.init_containers(pod), old.get("initContainerStatuses"), observed, now)
    apps = _statuses(pod, rules.app_containers(pod), old.get("containerStatuses"), observed, now)
    added = _statuses(
        pod, rules.ephemeral_containers(pod), old.get("ephemeralContainerStatuses"), observed, now
    )
    if ending and observed.torn_down:
        if _has_initialized(pod, init, apps):
            apps = [_located(each) for each in apps]
        reached = max((number for number, each in enumerate(init) if _has_moved(each)), default=-1)
        init = [_located(each) if number <= reached else each for number, each in enumerate(init)]
        added = [_located(each) for each in added]
    everyone = {each["name"]: each for each in (*init, *apps)}
    phase = _phase(pod, observed, everyone, old.get("phase", ""), ending=ending)
    status = {name: value for name, value in old.items() if name not in _OWNED}
    status["phase"] = phase
    status.update(_reason(observed, old, phase))
    status["startTime"] = old.get("startTime") or untold.get("startTime") or meta.timestamp(now)
    status.update(_addresses(pod, observed, old, host_ip))
    status["qosClass"] = old.get("qosClass") or qos_class(pod)
    if init:
        status["initContainerStatuses"] = init
    status["containerStatuses"] = apps
    if added:
        status["ephemeralContainerStatuses"] = [_unprobed(each) for each in added]
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    status["conditions"] = conditions(
        pod,
        everyone,
        phase=phase,
        sandbox=bool(observed.sandbox),
        old=old.get("conditions") or [],
        untold=untold.get("conditions") or [],
        now=meta.timestamp(now),
        passing=_passing(observed, old, phase),
        anew=_anew(pod, observed, phase),
    )
    running = phase == "Running"
    status.update(whole_pod(pod, observed.resizing.settled, running=running))
    return status


_OWNED = (
    "phase", "reason", "message", "startTime", "hostIP", "hostIPs", "podIP", "podIPs", "qosClass",
    "conditions", "initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses",
    "observedGeneration", "resources", "allocatedResources",
)  # fmt: skip


def _anew(pod: Obj, observed: Observed, phase: str) -> bool | None:
    """Whether all containers are being ended to begin again; None where no rule says that they may."""
    everyone = (*rules.init_containers(pod), *rules.app_containers(pod))
    named = (rule.get("action") for each in everyone for rule in each.get("restartPolicyRules") or ())
    if "RestartAllContainers" not in named:
        return None
    return phase not in rules.TERMINAL and rules.restarting_all(pod, observed)


def _passing(observed: Observed, old: Obj, phase: str) -> list[Obj]:
    """The conditions of a resize, and of a disruption that nobody has told of yet."""
    made = [] if phase in rules.TERMINAL else observed.resizing.conditions()
    told = {each["type"] for each in old.get("conditions") or () if each.get("status") == "True"}
    delayed = observed.failed is not None and phase not in rules.TERMINAL
    if observed.disruption is not None and observed.disruption["type"] not in told and not delayed:
        made.append(observed.disruption)
    return made


def _refused(observed: Observed, old: Obj) -> bool:
    why = observed.failed[1] if observed.failed else str(old.get("message") or "")
    return why.startswith(REJECTED) and not observed.attempts and not old.get("containerStatuses")


def _rejection(pod: Obj, observed: Observed, old: Obj, now: datetime) -> Obj:
    """A pod that the node did not take never had anything here: no address, no containers."""
    status = {**old, "phase": "Failed", **_reason(observed, old, "Failed")}
    status["startTime"] = old.get("startTime") or meta.timestamp(now)
    status["qosClass"] = old.get("qosClass") or qos_class(pod)
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    return status


def _phase(pod: Obj, observed: Observed, statuses: Mapping[str, Obj], before: str, *, ending: bool) -> str:
    if before in rules.TERMINAL:
        return before
    if observed.failed is not None:
        # Who waits for the end takes it for the end of all processes.
        return (before or "Pending") if observed.alive() else "Failed"
    has_started = rules.initialized(pod, observed)
    if not ending and rules.beginning_anew(pod, observed):
        return before or "Pending"
    if not ending and any(attempts[-1].again for attempts in observed.attempts.values() if attempts):
        return "Running"
    phase = rules.phase(pod, statuses, ending=ending and not observed.alive(), has_started=has_started)
    if ending and observed.torn_down and phase not in rules.TERMINAL:
        return "Failed"
    return "Running" if before == "Running" and phase == "Pending" and has_started else phase


def _reason(observed: Observed, old: Obj, phase: str) -> Obj:
    if observed.failed is not None and phase == "Failed":
        return {"reason": observed.failed[0], "message": observed.failed[1]}
    if phase == old.get("phase"):
        return {name: old[name] for name in ("reason", "message") if old.get(name)}
    return {}


def _addresses(pod: Obj, observed: Observed, old: Obj, host_ip: str) -> Obj:
    """The pod's addresses stay in its status when the pod has ended."""
    made: Obj = {"hostIP": host_ip, "hostIPs": [{"ip": host_ip}]}
    ips = [host_ip] if pod["spec"].get("hostNetwork") else list(observed.ips)
    if ips:
        made.update(podIP=ips[0], podIPs=[{"ip": each} for each in ips])
    elif old.get("podIP"):
        made.update(podIP=old["podIP"], podIPs=old.get("podIPs") or [{"ip": old["podIP"]}])
    return made


def _statuses(
    pod: Obj, containers: Sequence[Obj], old: Sequence[Obj] | None, observed: Observed, now: datetime
) -> list[Obj]:
    before = {each["name"]: each for each in old or ()}
    return [_status(pod, each, before.get(each["name"]), observed, now) for each in containers]


def _status(pod: Obj, container: Obj, old: Obj | None, observed: Observed, now: datetime) -> Obj:
    name = container["name"]
    attempts = observed.attempts.get(name) or []
    made: Obj = {"name": name}
    if attempts:
        made.update(_of_attempts(pod, container, attempts, old))
    else:
        made.update(_never_made(pod, container, old))
    _wait(pod, container, observed, now, made)
    once = container in rules.init_containers(pod) and not rules.is_sidecar(container)
    _readiness(made, observed, attempts[-1].id if attempts else "", once=once)
    if mounts := container.get("volumeMounts"):
        made["volumeMounts"] = [_mount(each) for each in mounts]
    return made


def _of_attempts(pod: Obj, container: Obj, attempts: Sequence[Attempt], old: Obj | None) -> Obj:
    latest = attempts[-1]
    made: Obj = {
        "state": {"waiting": _not_yet(pod)} if latest.state == "created" else _state(latest),
        "lastState": _state(attempts[-2]) if len(attempts) > 1 else _remembered(latest, old),
        "restartCount": latest.number,
        "image": latest.image,
        "imageID": latest.image_id,
        "containerID": f"containerd://{latest.id}",
        "resources": told_resources(container, latest.resources if latest.state == "running" else None),
    }
    if requests := (container.get("resources") or {}).get("requests"):
        made["allocatedResources"] = requests
    if latest.user is not None:
        uid, gid, groups = latest.user
        linux: Obj = {"uid": uid, "gid": gid}
        if groups:
            linux["supplementalGroups"] = list(groups)
        made["user"] = {"linux": linux}
    return made


def _remembered(latest: Attempt, old: Obj | None) -> Obj:
    """The last state of a container whose earlier attempts only the API server remembers."""
    if old is None or latest.number == 0:
        return {}
    state = old.get("state") or {}
    if old.get("containerID") != f"containerd://{latest.id}" and "terminated" in state:
        return {"terminated": state["terminated"]}
    last: Obj = old.get("lastState") or {}
    return last


def _never_made(pod: Obj, container: Obj, old: Obj | None) -> Obj:
    """A container of which nothing is on the machine: it waits, or it ended and its remains are gone."""
    made: Obj = {
        "state": {"waiting": _not_yet(pod)},
        "lastState": {},
        "restartCount": 0,
        "image": container.get("image", ""),
        "imageID": "",
    }
    if old is None:
        return made
    if "running" in (old.get("state") or {}) and not rules.restarts(pod, container, 137):
        made.update(restartCount=old.get("restartCount", 0), state={"terminated": _lost(LOST)})
        return made
    if "terminated" in (old.get("state") or {}):
        return {**made, **{field: value for field, value in old.items() if field not in ("ready", "started")}}
    made.update(restartCount=old.get("restartCount", 0), lastState=old.get("lastState") or {})
    if "running" in (old.get("state") or {}) and not made["lastState"]:
        made["lastState"] = {"terminated": _lost(LOST)}
    return made


def _not_yet(pod: Obj) -> Obj:
    """Why a container waits that nothing has gone wrong with."""
    return {"reason": "PodInitializing" if rules.init_containers(pod) else "ContainerCreating"}


def _lost(message: str) -> Obj:
    return {"exitCode": 137, "reason": UNKNOWN, "message": message, "startedAt": None, "finishedAt": None}


def _has_moved(status: Obj) -> bool:
    """Whether there has ever been a process."""
    return "waiting" not in status["state"] or bool((status.get("lastState") or {}).get("terminated"))


def _has_initialized(pod: Obj, init: Sequence[Obj], apps: Sequence[Obj]) -> bool:
    """Whether the containers proper were to run: one that was not waits, also when the pod has ended."""
    if not init or any(_has_moved(each) for each in apps):
        return True
    last, spec = init[-1], rules.init_containers(pod)[-1]
    if rules.is_sidecar(spec):
        return "running" in last["state"] and bool(last.get("started"))
    ends = (rules.terminated(last), (last.get("lastState") or {}).get("terminated"))
    return any(end is not None and end.get("exitCode") == 0 for end in ends)


def _located(status: Obj) -> Obj:
    """The status of a container once nothing of the pod runs any more."""
    state = status["state"]
    if "terminated" in state:
        return status
    last = (status.get("lastState") or {}).get("terminated")
    made = {**status, "state": {"terminated": last or _lost(LOST)}, "ready": False, "started": False}
    return {**made, "lastState": {}} if last else made


def _state(attempt: Attempt) -> Obj:
    if attempt.state == "running":
        return {"running": {"startedAt": meta.timestamp(attempt.started_at)}}
    ended: Obj = {"exitCode": attempt.exit_code, "reason": attempt.reason}
    if attempt.message:
        ended["message"] = attempt.message
    ended["startedAt"] = meta.timestamp(attempt.started_at)
    ended["finishedAt"] = meta.timestamp(attempt.finished_at)
    ended["containerID"] = f"containerd://{attempt.id}"
    return {"terminated": ended}


def _wait(pod: Obj, container: Obj, observed: Observed, now: datetime, made: Obj) -> None:
    """A container that is to run but cannot yet waits, for a reason; how it ended moves to `lastState`."""
    if "running" in made["state"] or observed.gone or meta.deleting(pod) or observed.failed is not None:
        return
    latest = observed.latest(container["name"])
    anew = rules.beginning_anew(pod, observed) and container not in rules.ephemeral_containers(pod)
    if latest is not None and latest.state == "exited":
        if not anew and not latest.again and not rules.restarts(pod, container, latest.exit_code):
            return
    elif latest is not None:
        return
    trouble = observed.troubles.get(container["name"])
    trouble = trouble if trouble and trouble.concerns(container) else None
    trouble = trouble or _volume_trouble(pod, container, observed)
    waiting = _waiting(pod, container, latest, trouble, now)
    if waiting is None and anew and latest is not None:
        waiting = dict(_ANEW)
    if waiting is None:
        if latest is None or not latest.again:
            return
        # Nobody is to take this end for the last one.
        waiting = {"reason": "ContainerCreating"}
    if "terminated" in made["state"]:
        made["lastState"] = made["state"]
    made["state"] = {"waiting": waiting}


def _waiting(
    pod: Obj, container: Obj, latest: Attempt | None, trouble: Trouble | None, now: datetime
) -> Obj | None:
    if trouble is not None and not (latest and trouble.at < latest.finished_at):
        fresh = trouble.at + min(_FRESH, (trouble.retry_at - trouble.at) / 2)
        if trouble.reason in _BACKOFFS and now >= fresh:
            image = trouble.image or container.get("image", "")
            message = f'Back-off pulling image "{image}": {trouble.reason}: {trouble.message}'
            return {"reason": _BACKOFFS[trouble.reason], "message": message}
        if trouble.reason != "RunContainerError" or now < fresh:
            return {"reason": trouble.reason, "message": trouble.message}
    if latest is not None and rules.restart_at(latest) > now:
        message = (
            f"back-off {_duration(latest.backoff)} restarting failed "
            f"container={container['name']} pod={rules.full_name(pod)}"
        )
        return {"reason": "CrashLoopBackOff", "message": message}
    return None


def _volume_trouble(pod: Obj, container: Obj, observed: Observed) -> Trouble | None:
    """That the image of a volume that the container mounts cannot be had."""
    trouble = observed.volume_trouble
    if trouble is None or not trouble.image:
        return None
    volumes = {
        each["name"]
        for each in pod["spec"].get("volumes") or ()
        if (each.get("image") or {}).get("reference") == trouble.image
    }
    mounts = container.get("volumeMounts") or ()
    return trouble if any(mount["name"] in volumes for mount in mounts) else None


def shown_until(trouble: Trouble) -> datetime:
    """When a fresh failure begins to be shown as a back-off."""
    return trouble.at + min(_FRESH, (trouble.retry_at - trouble.at) / 2)


def _duration(seconds: int) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _readiness(made: Obj, observed: Observed, container_id: str, *, once: bool) -> None:
    """`once`: an init container that is to end, whose readiness is having ended well."""
    running = "running" in made["state"]
    if once:
        ended = made["state"].get("terminated")
        made["ready"] = bool(ended and ended.get("exitCode") == 0)
        made["started"] = running
        return
    made["started"] = running and container_id in observed.started
    made["ready"] = made["started"] and container_id in observed.ready


def _unprobed(status: Obj) -> Obj:
    """The status of an ephemeral container: no probe says that it has started, and it never is ready."""
    return {**{name: value for name, value in status.items() if name != "started"}, "ready": False}


def _mount(mount: Obj) -> Obj:
    made = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        wanted = mount.get("recursiveReadOnly") in ("Enabled", "IfPossible")
        made.update(readOnly=True, recursiveReadOnly="Enabled" if wanted else "Disabled")
    return made
