"""The kernel's security modules on this machine, and the profiles that lie here. Blocks briefly: call it in
threads."""

from __future__ import annotations

import subprocess
from pathlib import Path

from podium.api.types import Obj
from podium.runtime.oci import seccomp
from podium.runtime.oci.confinement import Confinement, apparmor, selinux, selinux_labels
from podium.runtime.oci.errors import CREATE_ERROR, ConfigError

_APP_ARMOR = Path("/sys/module/apparmor/parameters/enabled")
_APP_ARMOR_LOADED = Path("/sys/kernel/security/apparmor/profiles")
_SE_LINUX = Path("/sys/fs/selinux/enforce")

DEFAULT_PROFILE = "podium-default"
# A container may use files, capabilities and the network as its other limits let it, but not the kernel's
# knobs.
_DEFAULT = f"""
profile {DEFAULT_PROFILE} flags=(attach_disconnected,mediate_deleted) {{
  network,
  capability,
  file,
  umount,
  signal (receive) peer=unconfined,
  signal (send,receive) peer={DEFAULT_PROFILE},
  ptrace (trace,read,tracedby,readby) peer={DEFAULT_PROFILE},
  deny mount,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/{{kcore,kmem,mem}} rwklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


def has_apparmor() -> bool:
    return _APP_ARMOR.is_file() and _APP_ARMOR.read_text().strip() == "Y"


def has_selinux() -> bool:
    return _SE_LINUX.exists()


def confinement(pod: Obj, container: Obj, profiles: Path) -> Confinement:
    """What a container is to be confined by; `profiles` is the folder of seccomp profiles. Raises ConfigError
    for what is not there."""
    if (container.get("securityContext") or {}).get("privileged"):
        return Confinement()
    asked, local = seccomp.asked(pod, container), None
    if asked["type"] == "Localhost":
        local = seccomp.read(profiles, asked.get("localhostProfile") or "")
    process = files = ""
    if has_selinux():
        process, files = selinux_labels(selinux(pod, container))
    return Confinement(local, _apparmor(apparmor(pod, container)), process, files)


def _apparmor(profile: Obj | None) -> str:
    """The name of a profile that the kernel has loaded, "" for none."""
    if not has_apparmor() or (profile or {}).get("type") == "Unconfined":
        return ""
    name = (profile or {}).get("localhostProfile") or DEFAULT_PROFILE
    if name in _loaded():
        return name
    if name != DEFAULT_PROFILE:
        raise ConfigError(f"apparmor profile not found {name}", CREATE_ERROR)
    try:
        command = ["apparmor_parser", "-Kr"]
        subprocess.run(command, input=_DEFAULT, text=True, capture_output=True, check=True, timeout=30)
    except FileNotFoundError:
        # Without the tool nobody can load a profile; who insists on one is told.
        if profile is None:
            return ""
        raise ConfigError(f"cannot load AppArmor profile {name}: no apparmor_parser", CREATE_ERROR) from None
    except subprocess.SubprocessError as error:
        raise ConfigError(f"cannot load AppArmor profile {name}: {error}", CREATE_ERROR) from error
    return name


def _loaded() -> set[str]:
    """The names of loaded profiles; each line is `NAME (MODE)`."""
    try:
        return {line.rpartition(" (")[0] for line in _APP_ARMOR_LOADED.read_text().splitlines()}
    except OSError:
        return set()
