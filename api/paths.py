"""What a request's path names. Source: API concepts, "Resource URIs"."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.kinds import Kind, Kinds


class Target(NamedTuple):
    """A resource's collection or object, or a subresource of it. `rest` is what follows a subresource: the
    path of a proxied request, with its leading slash."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


def find(kinds: Kinds, path: str) -> Target | None:
    """None where the path names no resource that is served."""
    parts = path.split("/")
    if parts[1] == "api":
        group, version, parts = "", parts[2] if len(parts) > 2 else "", parts[3:]
    elif parts[1] == "apis" and len(parts) > 3:
        group, version, parts = parts[2], parts[3], parts[4:]
    else:
        return None
    namespace, scoped = "", False
    # /namespaces/NAME/status is a subresource of the namespace, not a resource in it.
    if (
        len(parts) > 2
        and parts[0] == "namespaces"
        and not (len(parts) == 3 and parts[2] in ("status", "finalize"))
    ):
        namespace, scoped, parts = parts[1], True, parts[2:]
    if parts and parts[-1] == "" and len(parts) < 3:
        parts.pop()
    if not parts:
        return None
    kind = kinds.find(group, version, parts[0])
    if kind is None:
        return None
    return _target(kind, namespace, scoped, parts)


def _target(kind: Kind, namespace: str, scoped: bool, parts: list[str]) -> Target | None:
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 else ""
    rest = "/" + "/".join(parts[3:]) if len(parts) > 3 else ""
    if kind.resource.namespaced:
        if (scoped and not namespace) or (name and not scoped):
            return None
    elif scoped:
        return None
    if rest and subresource != "proxy":
        return None
    return Target(kind, namespace, name, subresource, rest)


def watched(path: str) -> tuple[str, str] | None:
    """The older form of a watch, `.../VERSION/watch/...`: the path of what is watched, and the name where it
    is one object. None for any other path."""
    parts = path.split("/")
    at = 3 if parts[1] == "api" else 4 if parts[1] == "apis" else 0
    if not at or len(parts) <= at + 1 or parts[at] != "watch":
        return None
    before, what = parts[:at], [part for part in parts[at + 1 :] if part]
    length = 3 if what[:1] == ["namespaces"] and len(what) > 2 else 1
    if not length <= len(what) <= length + 1:
        return None
    return "/".join([*before, *what[:length]]), "".join(what[length:])
