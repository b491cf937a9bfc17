"""Who a container's process runs as: numbers from the pod, or names that the image's own passwd and group
files know."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from podium.api.types import Obj
from podium.runtime.oci.errors import CREATE_ERROR, ConfigError


class User(NamedTuple):
    """A process's identity."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class Accounts(NamedTuple):
    """The lines of an image's passwd and group files."""

    passwd: tuple[tuple[str, ...], ...] = ()
    group: tuple[tuple[str, ...], ...] = ()


def read_accounts(layers: Sequence[str]) -> Accounts:
    """Reads both files from the directories of an overlay, the topmost first, without mounting it."""
    return Accounts(_lines(layers, "etc/passwd", 4), _lines(layers, "etc/group", 3))


def _lines(layers: Sequence[str], name: str, least: int) -> tuple[tuple[str, ...], ...]:
    for layer in layers:
        path = Path(layer) / name
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        # A character device is overlayfs' mark of a deleted file; a link could lead out of the image.
        text = path.read_text(errors="replace") if stat.S_ISREG(mode) else ""
        return tuple(tuple(line.split(":")) for line in text.splitlines() if line.count(":") >= least - 1)
    return ()


def resolve(pod: Obj, container: Obj, image_user: str, accounts: Accounts) -> User:
    """Raises ConfigError for a name that the image does not know, and for root where the pod forbids it."""
    asked = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    uid, gid = own.get("runAsUser", asked.get("runAsUser")), own.get("runAsGroup", asked.get("runAsGroup"))
    name, _, group = image_user.partition(":")
    _forbid_root(pod, container, uid, name)
    if uid is None:
        uid, primary = _account(name or "0", accounts)
        if gid is None and group:
            gid = _group(group, accounts)
    else:
        uid, primary = int(uid), _primary(int(uid), accounts)
    chosen = int(primary if gid is None else gid)
    merged = asked.get("supplementalGroupsPolicy", "Merge") == "Merge"
    extra = list(_memberships(uid, accounts)) if merged else []
    if asked.get("fsGroup") is not None:
        extra.append(int(asked["fsGroup"]))
    extra += [int(each) for each in asked.get("supplementalGroups") or ()]
    return User(uid, chosen, tuple(dict.fromkeys((chosen, *extra))))


def _forbid_root(pod: Obj, container: Obj, uid: int | None, name: str) -> None:
    asked, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    if not own.get("runAsNonRoot", asked.get("runAsNonRoot")):
        return
    meta = pod["metadata"]
    where = (
        f'(pod: "{meta["name"]}_{meta.get("namespace", "")}({meta["uid"]})", container: {container["name"]})'
    )
    if uid == 0:
        raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
    if uid is None and name and not name.isdigit():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root {where}"
        )
    if uid is None and int(name or 0) == 0:
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")


def _account(name: str, accounts: Accounts) -> tuple[int, int]:
    if name.isdigit():
        return int(name), _primary(int(name), accounts)
    for fields in accounts.passwd:
        if fields[0] == name:
            return int(fields[2]), int(fields[3])
    raise ConfigError(f"unable to find user {name}: no matching entries in passwd file", CREATE_ERROR)


def _primary(uid: int, accounts: Accounts) -> int:
    return next((int(fields[3]) for fields in accounts.passwd if fields[2] == str(uid)), 0)


def _group(name: str, accounts: Accounts) -> int:
    if name.isdigit():
        return int(name)
    for fields in accounts.group:
        if fields[0] == name:
            return int(fields[2])
    raise ConfigError(f"unable to find group {name}: no matching entries in group file", CREATE_ERROR)


def _memberships(uid: int, accounts: Accounts) -> Iterable[int]:
    """Groups that list the user as a member."""
    names = {fields[0] for fields in accounts.passwd if fields[2] == str(uid)}
    for fields in accounts.group:
        if len(fields) > 3 and names & set(fields[3].split(",")):
            yield int(fields[2])
