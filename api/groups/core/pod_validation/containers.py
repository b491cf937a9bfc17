"""Containers, init containers and ephemeral containers: names, images, ports, mounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from podium.api.groups.core.pod_validation import env, mounts, probes, resources, restarts, security
from podium.api.groups.core.pod_validation.mounts import Volumes
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_ONLY_SIDECARS = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = (
    "ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe",
    "readinessProbe", "startupProbe", "lifecycle",
)  # fmt: skip
_NOT_FOR_EPHEMERAL = "cannot be set for an Ephemeral Container"


class _Pod(NamedTuple):
    """What a container's rules look at in its pod: well-formed volumes by name, names of resource claims,
    whether it shares the host's users, how it is restarted."""

    volumes: Volumes
    claims: frozenset[str]
    host_users: bool
    restarts: str
    grace: int | None


def check(spec: Obj, volumes: Volumes, path: str) -> list[Cause]:
    """All containers of a PodSpec; `volumes` are its well-formed volumes by name."""
    main = spec.get("containers") or ()
    taken: set[str] = set()
    claims = frozenset(claim.get("name", "") for claim in spec.get("resourceClaims") or ())
    pod = _Pod(
        volumes, claims, spec.get("hostUsers") is not False, spec.get("restartPolicy", ""),
        spec.get("terminationGracePeriodSeconds"),
    )  # fmt: skip
    found = []
    if not main:
        found.append(causes.required(f"{path}.containers"))
    host_ports: set[str] = set()
    for index, entry in enumerate(main):
        where = f"{path}.containers[{index}]"
        found += _common(entry, pod, where) + _unique(entry, taken, where)
        found += probes.check(entry, pod.grace, where)
        if entry.keys() & {"restartPolicy", "restartPolicyRules"}:
            found += restarts.check(entry, where)
        found += _host_ports(entry, host_ports, where)
    for index, entry in enumerate(spec.get("initContainers") or ()):
        where = f"{path}.initContainers[{index}]"
        found += _common(entry, pod, where) + restarts.check(entry, where) + _unique(entry, taken, where)
        # Upstream numbers the ports of the container as if it was the first.
        found += _host_ports(entry, set(), f"{path}.initContainers[0]") + _init(entry, pod.grace, where)
    others = frozenset(taken)
    for index, entry in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{path}.ephemeralContainers[{index}]"
        found += _common(entry, pod, where) + check_image(entry, where)
        found += _unique(entry, taken, where) + _ephemeral(entry, others, where)
    return found


def check_image(entry: Obj, path: str) -> list[Cause]:
    image = entry.get("image", "")
    if image == image.strip():
        return []
    return [causes.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")]


def _unique(entry: Obj, taken: set[str], path: str) -> list[Cause]:
    name = entry.get("name", "")
    if name in taken:
        return [causes.duplicate(f"{path}.name", name)]
    if name:
        taken.add(name)
    return []


def _common(entry: Obj, pod: _Pod, path: str) -> list[Cause]:
    found = []
    if name := entry.get("name"):
        found += values.named(name, f"{path}.name", names.dns_label)
    else:
        found.append(causes.required(f"{path}.name"))
    if not entry.get("image"):
        found.append(causes.required(f"{path}.image"))
    message = entry.get("terminationMessagePolicy")
    found += values.one_of(message, f"{path}.terminationMessagePolicy", MESSAGE_POLICIES)
    if ports := entry.get("ports"):
        found += _ports(ports, f"{path}.ports")
    if entry.get("env"):
        found += env.check(entry["env"], f"{path}.env")
    if entry.get("envFrom"):
        found += env.check_from(entry["envFrom"], f"{path}.envFrom")
    if entry.get("volumeMounts") or entry.get("volumeDevices"):
        found += mounts.check(entry, pod.volumes, path)
    found += values.one_of(entry.get("imagePullPolicy"), f"{path}.imagePullPolicy", PULL_POLICIES)
    if entry.get("resources"):
        found += resources.check(entry["resources"], f"{path}.resources", pod.claims)
    if policies := entry.get("resizePolicy"):
        found += restarts.check_resize(policies, f"{path}.resizePolicy", pod.restarts)
    if entry.get("securityContext"):
        found += security.check_container(entry["securityContext"], f"{path}.securityContext", pod.host_users)
    return found


def _init(entry: Obj, grace: int | None, path: str) -> list[Cause]:
    if entry.get("restartPolicy") == "Always":
        return probes.check(entry, grace, path)
    detail = "may not be set for init containers without restartPolicy=Always"
    found = [
        causes.forbidden(f"{path}.{key}", detail) for key in _ONLY_SIDECARS if entry.get(key) is not None
    ]
    detail = "must not be set to 'RestartContainer' for non-sidecar initContainers"
    for index, policy in enumerate(entry.get("resizePolicy") or ()):
        if policy.get("restartPolicy") == "RestartContainer":
            where = f"{path}.resizePolicy[{index}].restartPolicy"
            found.append(causes.invalid(where, "RestartContainer", detail))
    return found


def _ephemeral(entry: Obj, others: frozenset[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    target = entry.get("targetContainerName")
    if target and target not in others:
        found.append(causes.not_found(f"{path}.targetContainerName", target))
    found += [
        causes.forbidden(f"{path}.{key}", _NOT_FOR_EPHEMERAL) for key in _NOT_EPHEMERAL if entry.get(key)
    ]
    for index, mount in enumerate(entry.get("volumeMounts") or ()):
        found += [
            causes.forbidden(f"{path}.volumeMounts[{index}].{key}", _NOT_FOR_EPHEMERAL)
            for key in ("subPath", "subPathExpr")
            if mount.get(key)
        ]
    return found


def _ports(ports: Sequence[Obj], path: str) -> list[Cause]:
    found: list[Cause] = []
    taken: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        if name := port.get("name"):
            wrong = values.named(name, f"{where}.name", names.port_name)
            if not wrong and name in taken:
                wrong = [causes.duplicate(f"{where}.name", name)]
            taken.add(name)
            found += wrong
        if not port.get("containerPort"):
            found.append(causes.required(f"{where}.containerPort"))
        else:
            found += values.port(port["containerPort"], f"{where}.containerPort")
        if port.get("hostPort"):
            found += values.port(port["hostPort"], f"{where}.hostPort")
        found += values.one_of(port.get("protocol"), f"{where}.protocol", values.PROTOCOLS)
    return found


def _host_ports(entry: Obj, taken: set[str], path: str) -> list[Cause]:
    found = []
    for index, port in enumerate(entry.get("ports") or ()):
        if not port.get("hostPort"):
            continue
        claim = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
        if claim in taken:
            found.append(causes.duplicate(f"{path}.ports[{index}].hostPort", claim))
        taken.add(claim)
    return found
