"""What confines a container beyond its capabilities: a seccomp profile of this machine, AppArmor, SELinux.
What a pod says, by container, in fields and in the annotations that came before them.

Source: KEP-24 (AppArmor) and its annotation; the API reference on seLinuxOptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from podium.api.types import Obj

APP_ARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"

# What a label says where a pod does not: user, role, type and level of containers in the reference policy.
_LABEL = ("system_u", "system_r", "container_t", "s0")
_FILE_TYPE = "container_file_t"


class Confinement(NamedTuple):
    """What this machine adds to a container's spec. `seccomp` is the document of a Localhost profile; the
    others are names that the kernel knows, "" for none."""

    seccomp: Obj | None = None
    apparmor: str = ""
    process_label: str = ""
    mount_label: str = ""


NO_CONFINEMENT = Confinement()


def apparmor(pod: Obj, container: Obj) -> Obj | None:
    """The `appArmorProfile` in force, None when nobody says any."""
    if own := (container.get("securityContext") or {}).get("appArmorProfile"):
        return dict(own)
    note = (pod["metadata"].get("annotations") or {}).get(APP_ARMOR_ANNOTATION + container["name"])
    if note == "unconfined":
        return {"type": "Unconfined"}
    if note is not None and note.startswith("localhost/"):
        return {"type": "Localhost", "localhostProfile": note.removeprefix("localhost/")}
    if note is not None:
        return {"type": "RuntimeDefault"}
    whole = (pod["spec"].get("securityContext") or {}).get("appArmorProfile")
    return dict(whole) if whole else None


def wants_apparmor(pod: Obj) -> bool:
    """Whether a pod must not run where there is none."""
    return any(
        (apparmor(pod, each) or {}).get("type", "Unconfined") != "Unconfined" for each in _everyone(pod)
    )


def _everyone(pod: Obj) -> Iterator[Obj]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod["spec"].get(kind) or ()


def selinux(pod: Obj, container: Obj) -> Obj:
    """The `seLinuxOptions` in force, {} for none."""
    own = (container.get("securityContext") or {}).get("seLinuxOptions")
    whole = (pod["spec"].get("securityContext") or {}).get("seLinuxOptions")
    return dict(own or whole or {})


def selinux_labels(options: Obj) -> tuple[str, str]:
    """(of the process, of its files) where the kernel has SELinux."""
    parts = ("user", "role", "type", "level")
    user, role, kind, level = (options.get(name) or usual for name, usual in zip(parts, _LABEL, strict=True))
    return f"{user}:{role}:{kind}:{level}", f"{user}:object_r:{_FILE_TYPE}:{level}"
