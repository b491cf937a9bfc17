"""The checks of the level baseline: known ways from a container to its node are closed. Pure.

Source: docs, "Pod Security Standards", Baseline."""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.admission.podsecurity.findings import (
    Check,
    Finding,
    containers,
    context,
    in_user_namespace,
    named,
    plural,
    quoted,
    setters,
)
from podium.api.types import Obj

APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
PROFILES = frozenset({"RuntimeDefault", "Localhost"})
CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
_SELINUX = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_SYSCTLS = frozenset({
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
})  # fmt: skip
_SYSCTLS_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29 = _SYSCTLS_27 | {
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
_SYSCTLS_32 = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def app_armor(meta: Obj, spec: Obj) -> Finding | None:
    def bad(part: Obj) -> bool:
        profile = context(part).get("appArmorProfile")
        return profile is not None and profile.get("type") not in PROFILES

    names = [each["name"] for each in containers(spec) if bad(each)]
    parts = [part for part in (spec, *containers(spec)) if bad(part)]
    values = sorted({context(part)["appArmorProfile"].get("type", "") for part in parts})
    noted = sorted(
        f'{key}="{value}"'
        for key, value in (meta.get("annotations") or {}).items()
        if key.startswith(APPARMOR)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    who = [text for text in (setters(bad(spec), names), plural("annotation", noted) if noted else "") if text]
    if not who:
        return None
    values += noted
    what = f"{' and '.join(who)} must not set AppArmor profile type to {quoted(values)}"
    return Finding(plural("forbidden AppArmor profile", values), what)


def capabilities(meta: Obj, spec: Obj) -> Finding | None:
    added = {each["name"]: _added(each) - CAPABILITIES for each in containers(spec)}
    names = [name for name, extra in added.items() if extra]
    if not names:
        return None
    extra = sorted(set[str]().union(*added.values()))
    what = f"{named('container', names)} must not include {quoted(extra)} in securityContext.capabilities.add"
    return Finding("non-default capabilities", what)


def _added(container: Obj) -> set[str]:
    return set((context(container).get("capabilities") or {}).get("add") or ())


def host_namespaces(meta: Obj, spec: Obj) -> Finding | None:
    used = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return Finding("host namespaces", ", ".join(used)) if used else None


def host_paths(meta: Obj, spec: Obj) -> Finding | None:
    names = [volume["name"] for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Finding("hostPath volumes", named("volume", names)) if names else None


def host_ports(meta: Obj, spec: Obj) -> Finding | None:
    used = {
        each["name"]: {str(port["hostPort"]) for port in each.get("ports") or () if port.get("hostPort")}
        for each in containers(spec)
    }
    names = [name for name, ports in used.items() if ports]
    if not names:
        return None
    ports = sorted(set[str]().union(*used.values()))
    uses = "uses" if len(names) == 1 else "use"
    return Finding(
        "hostPort", f"{named('container', names)} {uses} {plural('hostPort', ports)} {', '.join(ports)}"
    )


def host_probes(meta: Obj, spec: Obj) -> Finding | None:
    hosts = {each["name"]: set(_probed(each)) for each in containers(spec)}
    names = sorted(name for name, found in hosts.items() if found)
    if not names:
        return None
    found = sorted(set[str]().union(*hosts.values()))
    uses = "uses" if len(names) == 1 else "use"
    what = f"{named('container', names)} {uses} {named('probe or lifecycle host', found)}"
    return Finding("probe or lifecycle host", what)


def _probed(container: Obj) -> Iterator[str]:
    hooks = container.get("lifecycle") or {}
    asked = [container.get(key) for key in ("livenessProbe", "readinessProbe", "startupProbe")]
    for each in (*asked, hooks.get("postStart"), hooks.get("preStop")):
        for key in ("httpGet", "tcpSocket"):
            if host := ((each or {}).get(key) or {}).get("host"):
                yield host


def privileged(meta: Obj, spec: Obj) -> Finding | None:
    names = [each["name"] for each in containers(spec) if context(each).get("privileged")]
    if not names:
        return None
    return Finding("privileged", f"{named('container', names)} must not set securityContext.privileged=true")


def proc_mount(meta: Obj, spec: Obj) -> Finding | None:
    kinds = {each["name"]: context(each).get("procMount") or "Default" for each in containers(spec)}
    names = [name for name, kind in kinds.items() if kind != "Default"]
    if not names:
        return None
    values = sorted({kinds[name] for name in names})
    what = f"{named('container', names)} must not set securityContext.procMount to {quoted(values)}"
    return Finding("procMount", what)


def proc_mount_unless_own_users(meta: Obj, spec: Obj) -> Finding | None:
    return None if in_user_namespace(spec) else proc_mount(meta, spec)


def seccomp_annotations(meta: Obj, spec: Obj) -> Finding | None:
    annotations = meta.get("annotations") or {}
    keys = [SECCOMP_POD, *(SECCOMP_CONTAINER + each["name"] for each in containers(spec))]
    bad = sorted(
        f'{key}="{value}"'
        for key in keys
        if (value := annotations.get(key)) is not None
        and value not in ("runtime/default", "docker/default")
        and not value.startswith("localhost/")
    )
    return (
        Finding("seccompProfile", f"forbidden {plural('annotation', bad)} {', '.join(bad)}") if bad else None
    )


def seccomp(meta: Obj, spec: Obj) -> Finding | None:
    def bad(part: Obj) -> bool:
        profile = context(part).get("seccompProfile")
        return profile is not None and profile.get("type") not in PROFILES

    names = [each["name"] for each in containers(spec) if bad(each)]
    who = setters(bad(spec), names)
    if not who:
        return None
    parts = [part for part in (spec, *containers(spec)) if bad(part)]
    values = sorted({context(part)["seccompProfile"].get("type", "") for part in parts})
    what = f"{who} must not set securityContext.seccompProfile.type to {quoted(values)}"
    return Finding("seccompProfile", what)


def selinux(types: frozenset[str]) -> Check:
    def check(meta: Obj, spec: Obj) -> Finding | None:
        def bad(part: Obj) -> bool:
            options = context(part).get("seLinuxOptions") or {}
            return options.get("type", "") not in types or bool(options.get("user") or options.get("role"))

        names = [each["name"] for each in containers(spec) if bad(each)]
        who = setters(bad(spec), names)
        if not who:
            return None
        given = [context(part).get("seLinuxOptions") or {} for part in (spec, *containers(spec))]
        values = sorted({entry.get("type", "") for entry in given} - types)
        what = [named("type", values)] if values else []
        what += [f"{key} may not be set" for key in ("user", "role") if any(each.get(key) for each in given)]
        detail = f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}"
        return Finding("seLinuxOptions", detail)

    return check


def sysctls(safe: frozenset[str]) -> Check:
    def check(meta: Obj, spec: Obj) -> Finding | None:
        bad = [entry["name"] for entry in context(spec).get("sysctls") or () if entry["name"] not in safe]
        return Finding("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def host_process(meta: Obj, spec: Obj) -> Finding | None:
    def bad(part: Obj) -> bool:
        return bool((context(part).get("windowsOptions") or {}).get("hostProcess"))

    who = setters(bad(spec), [each["name"] for each in containers(spec) if bad(each)])
    if not who:
        return None
    return Finding("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")


# Name of the check → minor version that it counts from → check, ascending.
BASELINE: dict[str, dict[int, Check]] = {
    "appArmorProfile": {0: app_armor},
    "capabilities_baseline": {0: capabilities},
    "hostNamespaces": {0: host_namespaces},
    "hostPathVolumes": {0: host_paths},
    "hostPorts": {0: host_ports},
    "hostProbesAndHostLifecycle": {34: host_probes},
    "privileged": {0: privileged},
    "procMount": {0: proc_mount, 35: proc_mount_unless_own_users},
    "seLinuxOptions": {0: selinux(_SELINUX), 31: selinux(_SELINUX | {"container_engine_t"})},
    "seccompProfile_baseline": {0: seccomp_annotations, 19: seccomp},
    "sysctls": {0: sysctls(_SYSCTLS), 27: sysctls(_SYSCTLS_27), 29: sysctls(_SYSCTLS_29),
                32: sysctls(_SYSCTLS_32)},
    "windowsHostProcess": {0: host_process},
}  # fmt: skip
