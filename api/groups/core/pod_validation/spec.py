"""A PodSpec as a whole: its containers and volumes, and the fields that are about neither."""

from __future__ import annotations

from collections.abc import Mapping

from podium.api.groups.core import pod_annotations
from podium.api.groups.core.pod_validation import (
    claims,
    containers,
    podlevel,
    resources,
    scheduling,
    security,
    volumes,
    windows,
)
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values

MAX_INT32 = 2**31 - 1
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_NAMED = (
    ("serviceAccountName", names.dns_subdomain), ("nodeName", names.dns_subdomain),
    ("hostname", names.dns_label), ("subdomain", names.dns_label), ("priorityClassName", names.dns_subdomain),
    ("runtimeClassName", names.dns_subdomain),
)  # fmt: skip
MAX_HOSTNAME = 64
MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_TEXT = 3, 32, 2048


def check_pod(pod: Obj) -> list[Cause]:
    """The faults of a Pod outside its metadata."""
    spec = pod["spec"]
    found = check_spec(spec, "spec", pod["metadata"])
    if not spec.get("serviceAccountName"):
        found += _tokens(spec)
    for key in ("containers", "initContainers"):
        for index, entry in enumerate(spec.get(key) or ()):
            found += containers.check_image(entry, f"spec.{key}[{index}]")
    return found


def check_new_pod(pod: Obj) -> list[Cause]:
    """What a pod cannot have from the start."""
    spec, found = pod["spec"], []
    if spec.get("ephemeralContainers"):
        found.append(causes.forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        found.append(causes.forbidden("spec.nodeName", detail))
    return found


def check_template(template: Obj, path: str) -> list[Cause]:
    """The faults of a PodTemplateSpec."""
    meta = template.get("metadata") or {}
    found = metadata.check_labels(meta.get("labels"), f"{path}.labels")
    found += metadata.check_annotations(meta.get("annotations"), f"{path}.annotations")
    found += pod_annotations.check({**template, "metadata": meta}, f"{path}.annotations")
    found += check_spec(template["spec"], f"{path}.spec")
    if template["spec"].get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        found.append(causes.forbidden(f"{path}.spec.ephemeralContainers", detail))
    return found


def check_spec(spec: Obj, path: str, meta: Obj | None = None) -> list[Cause]:
    """`meta` is the pod's metadata; a template's has no part in this."""
    is_pod = meta is not None
    found, known = volumes.check(spec.get("volumes") or (), f"{path}.volumes", (meta or {}).get("name", ""))
    if spec.get("resourceClaims"):
        found += claims.check(spec["resourceClaims"], f"{path}.resourceClaims", meta or {})
    found += containers.check(spec, known, path)
    found += podlevel.check(spec, path)
    if spec.get("hostNetwork"):
        found += _host_ports(spec, path, is_pod)
    found += values.one_of(spec.get("restartPolicy"), f"{path}.restartPolicy", RESTART_POLICIES)
    found += values.one_of(spec.get("dnsPolicy"), f"{path}.dnsPolicy", DNS_POLICIES)
    found += metadata.check_labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    found += security.check_pod(spec, path)
    found += scheduling.check(spec, path)
    if spec.get("dnsConfig") is not None or spec.get("dnsPolicy") == "None":
        found += _dns(spec, f"{path}.dnsConfig")
    for key, rule in _NAMED:
        if value := spec.get(key):
            found += values.named(value, f"{path}.{key}", rule)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= MAX_INT32:
        detail = values.in_range(1, MAX_INT32)
        found.append(causes.invalid(f"{path}.activeDeadlineSeconds", deadline, detail))
    found += _hosts(spec, path)
    if spec.get("hostnameOverride") is not None:
        found += _hostname_override(spec, f"{path}.hostnameOverride")
    policy = spec.get("preemptionPolicy")
    found += values.optional_one_of(policy, f"{path}.preemptionPolicy", PREEMPTION_POLICIES)
    if spec.get("overhead"):
        found += resources.check({"limits": spec["overhead"]}, f"{path}.overhead")
    found += windows.check_host_process(spec, path) + windows.check_system(spec, path)
    if spec.get("hostUsers") is False:
        found += _own_users(spec, path)
    return found + _files(spec, path)


def _own_users(spec: Obj, path: str) -> list[Cause]:
    """What a pod with a user namespace of its own cannot have."""
    detail = "when `hostUsers` is false"
    keys = (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
    found = [causes.forbidden(f"{path}.{shown}", detail) for key, shown in keys if spec.get(key)]
    return found + [
        causes.forbidden(f"{where}.volumeDevices", detail)
        for entry, where in windows.containers_of(spec, path)
        if entry.get("volumeDevices")
    ]


def _files(spec: Obj, path: str) -> list[Cause]:
    """Environment variables from files: their volumes are the pod's own and empty at first."""
    found: list[Cause] = []
    for entry, where in windows.containers_of(spec, path):
        for index, variable in enumerate(entry.get("env") or ()):
            file = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if file is not None:
                known = {volume.get("name"): volume for volume in spec.get("volumes") or ()}
                place = f"{where}.env[{index}].valueFrom.fileKeyRef.volumeName"
                found += _file_volume(file.get("volumeName", ""), known, place)
    return found


def _file_volume(name: str, known: Mapping[str | None, Obj], path: str) -> list[Cause]:
    if name not in known:
        return [causes.not_found(path, name)]
    if known[name].get("emptyDir") is None:
        return [causes.invalid(path, name, "referenced volume must be of type emptyDir")]
    return []


def _tokens(spec: Obj) -> list[Cause]:
    detail = "must not be specified when serviceAccountName is not set"
    return [
        causes.forbidden(f"spec.volumes[{number}].projected.sources[{index}].serviceAccountToken", detail)
        for number, volume in enumerate(spec.get("volumes") or ())
        for index, source in enumerate((volume.get("projected") or {}).get("sources") or ())
        if source.get("serviceAccountToken") is not None
    ]


def _host_ports(spec: Obj, path: str, is_pod: bool) -> list[Cause]:
    found = []
    for number, container in enumerate(spec.get("containers") or ()):
        for index, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort", 0)
            if (is_pod or host) and host != port.get("containerPort"):
                where = f"{path}.containers[{number}].ports[{index}].hostPort"
                detail = "must match `containerPort` when `hostNetwork` is true"
                found.append(causes.invalid(where, host, detail))
    return found


def _dns(spec: Obj, path: str) -> list[Cause]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            return [causes.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [causes.required(f"{path}.nameservers", detail)]
    config = config or {}
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    found = []
    if len(servers) > MAX_NAMESERVERS:
        detail = f"must not have more than {MAX_NAMESERVERS} nameservers"
        found.append(causes.invalid(f"{path}.nameservers", servers, detail))
    for index, server in enumerate(servers):
        found += values.address(server, f"{path}.nameservers[{index}]")
    if len(searches) > MAX_SEARCHES:
        detail = f"must not have more than {MAX_SEARCHES} search paths"
        found.append(causes.invalid(f"{path}.searches", searches, detail))
    for index, search in enumerate(searches):
        if search != ".":
            rule = names.underscored_subdomain
            found += values.named(search.removesuffix("."), f"{path}.searches[{index}]", rule)
    if len(" ".join(searches)) > MAX_SEARCH_TEXT:
        detail = f"must not have more than {MAX_SEARCH_TEXT} characters (including spaces) in the search list"
        found.append(causes.invalid(f"{path}.searches", searches, detail))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.append(causes.required(f"{path}.options[{index}]", "must not be empty"))
    return found


def _hostname_override(spec: Obj, path: str) -> list[Cause]:
    name = spec["hostnameOverride"]
    found = [
        causes.forbidden(path, f"may not be specified when {key} is true")
        for key in ("setHostnameAsFQDN", "hostNetwork")
        if spec.get(key)
    ]
    if len(name) > MAX_HOSTNAME:
        found.append(causes.too_long(path, MAX_HOSTNAME))
    return found + values.named(name, path, names.dns_subdomain)


def _hosts(spec: Obj, path: str) -> list[Cause]:
    found = []
    for number, alias in enumerate(spec.get("hostAliases") or ()):
        found += values.address(alias.get("ip", ""), f"{path}.hostAliases[{number}].ip")
        for index, name in enumerate(alias.get("hostnames") or ()):
            where = f"{path}.hostAliases[{number}].hostnames[{index}]"
            found += values.named(name, where, names.dns_subdomain)
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if secret.keys() - {"name"}:
            found.append(causes.invalid(f"{path}.imagePullSecrets[{index}]", secret, "only name may be set"))
    return found
