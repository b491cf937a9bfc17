"""The runtime spec of one container. Source: opencontainers/runtime-spec config.md; what containerd's CRI
puts into it for the same pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from podium.api.types import Obj
from podium.runtime.images import Image
from podium.runtime.oci import env as environments
from podium.runtime.oci import mounts as tables
from podium.runtime.oci.confinement import NO_CONFINEMENT, Confinement
from podium.runtime.oci.errors import CREATE_ERROR, ConfigError
from podium.runtime.oci.resources import effective, huge_pages, linux_resources, oom_score_adj
from podium.runtime.oci.security import Security, security
from podium.runtime.oci.users import User
from podium.runtime.usernamespaces.ranges import IdRange

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Both must be set for containers to share a shim: containerd 1.6 and 1.7 read the first, older shims the
# second.
GROUP_ANNOTATIONS = ("io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id")


class OwnUsers(NamedTuple):
    """A pod's user namespace: where it is pinned, and which ids of the machine its own are."""

    path: str
    ids: IdRange


@dataclass(frozen=True, slots=True)
class PodPaths:
    """Files and pinned namespaces that a pod's containers share. A namespace is "", and `users` None, where
    the pod uses the host's."""

    network: str
    ipc: str
    uts: str
    pid: str
    shm: str
    hosts: str
    resolv_conf: str
    hostname: str
    users: OwnUsers | None = None


@dataclass(frozen=True, slots=True)
class ContainerInput:
    """Everything a spec is made from. `sources` maps mount paths to (path on this machine, read-only), and
    `mapped` are those of the paths whose files belong to the pod's own users anyway; `devices` are OCI
    `linux.devices`; `page_sizes` are those of huge pages that containers are held to (`2MB`). `confinement`
    is what security modules and profiles on this machine add."""

    pod: Obj
    container: Obj
    image: Image
    env: Mapping[str, str]
    user: User
    paths: PodPaths
    cgroup: str
    sources: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    mapped: frozenset[str] = frozenset()
    termination_log: str = ""
    hostname: str = ""
    devices: tuple[Obj, ...] = ()
    available: frozenset[str] = frozenset()
    memory_capacity: int = 0
    oom_floor: int = -1000
    cgroup_v2: bool = True
    page_sizes: tuple[str, ...] = ()
    confinement: Confinement = NO_CONFINEMENT


def build(given: ContainerInput) -> Obj:
    """Raises ConfigError where the pod asks for what cannot be."""
    limits = security(given.pod, given.container, given.available, given.confinement.seccomp)
    mounts = _mounts(given, limits)
    spec: Obj = {
        "ociVersion": "1.0.2",
        "process": _process(given, limits),
        "root": {"path": "rootfs", "readonly": _read_only(given.container)},
        "mounts": mounts,
        "annotations": _annotations(given),
        "linux": _linux(given, limits),
    }
    if propagation := tables.propagation_of(mounts):
        spec["linux"]["rootfsPropagation"] = propagation
    return spec


def _read_only(container: Obj) -> bool:
    return bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem"))


def _annotations(given: ContainerInput) -> dict[str, str]:
    uid = given.pod["metadata"]["uid"]
    return dict.fromkeys(GROUP_ANNOTATIONS, uid)


def arguments(container: Obj, image: Image, env: Mapping[str, str]) -> list[str]:
    """The command line: the pod's words before the image's; a command of the pod's silences the image's
    arguments."""
    command = [environments.expand(word, env.get) for word in container.get("command") or ()]
    rest = [environments.expand(word, env.get) for word in container.get("args") or ()]
    if not command:
        command = list(image.entrypoint)
        rest = rest or list(image.command)
    line = [*command, *rest]
    if not line:
        raise ConfigError("no command specified", CREATE_ERROR)
    return line


def process_env(given: ContainerInput) -> list[str]:
    """The image's variables overlaid with the pod's."""
    made = {"PATH": DEFAULT_PATH}
    if given.hostname:
        made["HOSTNAME"] = given.hostname
    if given.container.get("tty"):
        made["TERM"] = "xterm"
    for pair in given.image.env:
        name, _, value = pair.partition("=")
        made[name] = value
    made.update(given.env)
    return [f"{name}={value}" for name, value in made.items()]


def _process(given: ContainerInput, limits: Security) -> Obj:
    user: Obj = {"uid": given.user.uid, "gid": given.user.gid}
    if given.user.groups:
        user["additionalGids"] = list(given.user.groups)
    made: Obj = {
        "terminal": bool(given.container.get("tty")),
        "user": user,
        "args": arguments(given.container, given.image, given.env),
        "env": process_env(given),
        "cwd": given.container.get("workingDir") or given.image.working_dir or "/",
        "capabilities": limits.capabilities,
        "noNewPrivileges": limits.no_new_privileges,
        "oomScoreAdj": oom_score_adj(
            given.pod, given.container, given.memory_capacity, floor=given.oom_floor
        ),
    }
    if given.confinement.apparmor:
        made["apparmorProfile"] = given.confinement.apparmor
    if given.confinement.process_label:
        made["selinuxLabel"] = given.confinement.process_label
    return made


def _mounts(given: ContainerInput, limits: Security) -> list[Obj]:
    own = tables.volume_mounts(given.container, given.sources)
    taken = {mount["destination"].rstrip("/") for mount in own}
    access = "ro" if _read_only(given.container) else "rw"
    shared = [
        (given.paths.hosts, "/etc/hosts", "rw"),
        (given.paths.resolv_conf, "/etc/resolv.conf", access),
        (given.paths.hostname, "/etc/hostname", access),
        (given.paths.shm, "/dev/shm", "rw"),
        (given.termination_log, given.container.get("terminationMessagePath", "/dev/termination-log"), "rw"),
    ]
    bound = [
        *(
            tables.bind(source, target, "rprivate", mode)
            for source, target, mode in shared
            if source and target and target.rstrip("/") not in taken
        ),
        *own,
    ]
    if given.paths.users is not None:
        ids = given.paths.users.ids
        bound = [each if each["source"] in given.mapped else tables.mapped(each, ids) for each in bound]
    return [*tables.system_mounts(privileged=limits.privileged), *bound]


def _linux(given: ContainerInput, limits: Security) -> Obj:
    whole = {"resources": effective(given.pod, given.container)}
    resources = linux_resources(whole, cgroup_v2=given.cgroup_v2)
    if pages := huge_pages(given.container, given.page_sizes):
        resources["hugepageLimits"] = pages
    resources["devices"] = _device_rules(given, limits)
    linux: Obj = {
        "resources": resources,
        "cgroupsPath": given.cgroup,
        "namespaces": _namespaces(given, limits),
        "maskedPaths": list(limits.masked),
        "readonlyPaths": list(limits.readonly),
    }
    if given.paths.users is not None:
        ids = given.paths.users.ids.mappings()
        linux.update(uidMappings=ids, gidMappings=ids)
    if given.devices:
        linux["devices"] = list(given.devices)
    if limits.seccomp:
        linux["seccomp"] = limits.seccomp
    if given.confinement.mount_label:
        linux["mountLabel"] = given.confinement.mount_label
    asked = (given.pod["spec"].get("securityContext") or {}).get("sysctls") or ()
    if asked:
        linux["sysctl"] = {sysctl_name(each["name"]): each["value"] for each in asked}
    return linux


def sysctl_name(name: str) -> str:
    """A sysctl's name with dots between its parts. One whose first separator is a slash has dots and slashes
    the other way round (`net/ipv4/conf/eth0.100/forwarding`). Source: sysctl.d(5)."""
    first = next((each for each in name if each in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def _device_rules(given: ContainerInput, limits: Security) -> list[Obj]:
    if limits.privileged:
        return [{"allow": True, "access": "rwm"}]
    allowed = [
        {
            "allow": True,
            "type": each["type"],
            "major": each["major"],
            "minor": each["minor"],
            # Root may write to what nobody may: the rule has to say it too.
            "access": "rwm" if each["fileMode"] & 0o222 else "rm",
        }
        for each in given.devices
    ]
    return [{"allow": False, "access": "rwm"}, *allowed]


def _namespaces(given: ContainerInput, limits: Security) -> list[Obj]:
    """Pinned namespaces are joined by path; a missing entry means the host's."""
    made: list[Obj] = [{"type": "mount"}]
    pinned = (("network", given.paths.network), ("ipc", given.paths.ipc), ("uts", given.paths.uts))
    made += [{"type": kind, "path": path} for kind, path in pinned if path]
    if given.paths.users is not None:
        made.append({"type": "user", "path": given.paths.users.path})
    if given.paths.pid:
        made.append({"type": "pid", "path": given.paths.pid})
    elif not given.pod["spec"].get("hostPID"):
        made.append({"type": "pid"})
    if given.cgroup_v2 and not limits.privileged:
        made.append({"type": "cgroup"})
    return made
