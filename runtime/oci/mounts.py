"""What a container sees below its root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from podium.api.types import Obj
from podium.runtime.oci.errors import ConfigError
from podium.runtime.usernamespaces.ranges import IdRange

_SYSTEM: tuple[Obj, ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
        "destination": "/dev/mqueue",
        "type": "mqueue",
        "source": "mqueue",
        "options": ["nosuid", "noexec", "nodev"],
    },
)

_PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}


def bind(source: str, destination: str, *options: str) -> Obj:
    return {
        "destination": destination,
        "type": "bind",
        "source": source,
        "options": ["rbind", *(options or ("rprivate", "rw"))],
    }


def mapped(mount: Obj, ids: IdRange) -> Obj:
    """The same for a pod whose ids are others on this machine: whoever owns a file outside does inside, and
    the other way round."""
    made = ids.mappings()
    return {**mount, "options": [*mount["options"], "idmap"], "uidMappings": made, "gidMappings": made}


def system_mounts(*, privileged: bool) -> list[Obj]:
    """What every container has, before anything of the pod's."""
    access = "rw" if privileged else "ro"
    guarded = ["nosuid", "noexec", "nodev", access]
    return [
        *_SYSTEM,
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": guarded},
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": ["relatime", *guarded],
        },
    ]


def volume_mounts(container: Obj, sources: Mapping[str, tuple[str, bool]]) -> list[Obj]:
    """The container's own mounts. `sources` gives, by mount path, where its volume lies and whether it is
    read-only by itself. Parents come before what is mounted in them."""
    made = []
    for mount in sorted(
        container.get("volumeMounts") or (), key=lambda each: str(each["mountPath"]).count("/")
    ):
        path = mount["mountPath"]
        if path not in sources:
            name = mount["name"]
            raise ConfigError(f'cannot find volume "{name}" to mount into container "{container["name"]}"')
        source, read_only = sources[path]
        propagation = _PROPAGATION[mount.get("mountPropagation", "None")]
        access = "ro" if mount.get("readOnly") or read_only else "rw"
        if access == "ro" and mount.get("recursiveReadOnly") in ("Enabled", "IfPossible"):
            access = "rro"
        destination = path if path.startswith("/") else f"/{path}"
        made.append(bind(source, destination, propagation, access))
    return made


def propagation_of(mounts: Iterable[Obj]) -> str:
    """The propagation that the container's root must have for its mounts' to work, "" for the default."""
    options = {option for mount in mounts for option in mount.get("options") or ()}
    return next((each for each in ("rshared", "rslave") if each in options), "")
