"""Containers, init containers and ephemeral containers: names, images, ports, mounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from podium.api.groups.core.pod_validation import env, probes, resources, security
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
_ONLY_SIDECARS = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")

Volumes = Mapping[str, Obj]


def check(spec: Obj, volumes: Volumes, path: str) -> list[Cause]:
    """All containers of a PodSpec; `volumes` are its well-formed volumes by name."""
    main = spec.get("containers") or ()
    taken: set[str] = set()
    grace = spec.get("terminationGracePeriodSeconds")
    found = []
    if not main:
        found.append(causes.required(f"{path}.containers"))
    host_ports: set[str] = set()
    for index, entry in enumerate(main):
        where = f"{path}.containers[{index}]"
        found += _common(entry, volumes, where) + _unique(entry, taken, where)
        found += probes.check(entry, grace, where)
        found += _restart_policy(entry, where)
        found += _host_ports(entry, host_ports, where)
    for index, entry in enumerate(spec.get("initContainers") or ()):
        where = f"{path}.initContainers[{index}]"
        found += _common(entry, volumes, where) + _init(entry, grace, where) + _unique(entry, taken, where)
        found += _host_ports(entry, set(), where)
    for index, entry in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{path}.ephemeralContainers[{index}]"
        found += (
            _common(entry, volumes, where) + _ephemeral(entry, main, where) + _unique(entry, taken, where)
        )
    return found


def _unique(entry: Obj, taken: set[str], path: str) -> list[Cause]:
    name = entry.get("name", "")
    if name in taken:
        return [causes.duplicate(f"{path}.name", name)]
    if name:
        taken.add(name)
    return []


def _common(entry: Obj, volumes: Volumes, path: str) -> list[Cause]:
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
        found += _mounts(entry, volumes, f"{path}.volumeMounts")
        found += _devices(entry, volumes, f"{path}.volumeDevices")
    found += values.one_of(entry.get("imagePullPolicy"), f"{path}.imagePullPolicy", PULL_POLICIES)
    if entry.get("resources"):
        found += resources.check(entry["resources"], f"{path}.resources")
    if entry.get("securityContext"):
        found += security.check_container(entry["securityContext"], f"{path}.securityContext")
    return found


def _restart_policy(entry: Obj, path: str) -> list[Cause]:
    policy = entry.get("restartPolicy")
    if policy is None and entry.get("restartPolicyRules"):
        detail = "must specify restartPolicy when restart rules are used"
        return [causes.required(f"{path}.restartPolicy", detail)]
    return values.optional_one_of(policy, f"{path}.restartPolicy", RESTART_POLICIES)


def _init(entry: Obj, grace: int | None, path: str) -> list[Cause]:
    found = _restart_policy(entry, path)
    if entry.get("restartPolicy") == "Always":
        return found + probes.check(entry, grace, path)
    detail = "may not be set for init containers without restartPolicy=Always"
    return found + [
        causes.forbidden(f"{path}.{key}", detail) for key in _ONLY_SIDECARS if entry.get(key) is not None
    ]


def _ephemeral(entry: Obj, main: Sequence[Obj], path: str) -> list[Cause]:
    found = [
        causes.forbidden(f"{path}.{key}", "cannot be set for an Ephemeral Container")
        for key in _NOT_EPHEMERAL
        if entry.get(key)
    ]
    if entry.get("resources"):
        found.append(causes.forbidden(f"{path}.resources", "cannot be set for an Ephemeral Container"))
    target = entry.get("targetContainerName")
    if target and target not in {other.get("name") for other in main}:
        found.append(causes.not_found(f"{path}.targetContainerName", target))
    for index, mount in enumerate(entry.get("volumeMounts") or ()):
        found += [
            causes.forbidden(
                f"{path}.volumeMounts[{index}].{key}", "cannot be set for an Ephemeral Container"
            )
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


def _mounts(entry: Obj, volumes: Volumes, path: str) -> list[Cause]:
    found: list[Cause] = []
    devices = entry.get("volumeDevices") or ()
    device_names = {device.get("name") for device in devices}
    taken: set[str] = set()
    for index, mount in enumerate(entry.get("volumeMounts") or ()):
        where = f"{path}[{index}]"
        name, target = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(causes.required(f"{where}.name"))
        if name not in volumes:
            found.append(causes.not_found(f"{where}.name", name))
        if not target:
            found.append(causes.required(f"{where}.mountPath"))
        if target in taken:
            found.append(causes.invalid(f"{where}.mountPath", target, "must be unique"))
        taken.add(target)
        if name in device_names:
            detail = "must not already exist in volumeDevices"
            found.append(causes.invalid(f"{where}.name", name, detail))
        if mount.keys() & {"subPath", "subPathExpr", "mountPropagation"}:
            found += _mount_options(mount, entry, where, path)
    return found


def _mount_options(mount: Obj, entry: Obj, where: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    if mount.get("subPath"):
        found += values.descending(mount["subPath"], f"{path}.subPath")
    if expression := mount.get("subPathExpr"):
        if mount.get("subPath"):
            detail = "subPathExpr and subPath are mutually exclusive"
            found.append(causes.invalid(f"{where}.subPathExpr", expression, detail))
        found += values.descending(expression, f"{path}.subPathExpr")
    propagation = mount.get("mountPropagation")
    found += values.optional_one_of(propagation, f"{path}.mountPropagation", PROPAGATIONS)
    if propagation == "Bidirectional" and not (entry.get("securityContext") or {}).get("privileged"):
        detail = "Bidirectional mount propagation is available only to privileged containers"
        found.append(causes.forbidden(f"{path}.mountPropagation", detail))
    return found


def _devices(entry: Obj, volumes: Volumes, path: str) -> list[Cause]:
    found: list[Cause] = []
    taken: set[str] = set()
    for index, device in enumerate(entry.get("volumeDevices") or ()):
        where = f"{path}[{index}]"
        name, target = device.get("name", ""), device.get("devicePath", "")
        if not name:
            found.append(causes.required(f"{where}.name"))
        if name not in volumes:
            found.append(causes.not_found(f"{where}.name", name))
        elif not volumes[name].keys() & {"persistentVolumeClaim", "ephemeral"}:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            found.append(causes.invalid(f"{where}.name", name, detail))
        if not target:
            found.append(causes.required(f"{where}.devicePath"))
        elif ".." in target.split("/"):
            found.append(causes.invalid(f"{where}.devicePath", target, "can not contain backsteps ('..')"))
        if target in taken:
            found.append(causes.invalid(f"{where}.devicePath", target, "must be unique"))
        taken.add(target)
    return found
