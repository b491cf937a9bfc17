"""One API that a service answers, as its APIService says it. Pure."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from podium.api.auth.actions import Action
from podium.api.auth.users import User
from podium.api.pki import Pair
from podium.api.types import Obj

_COLLECTION = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}

# What may stand in a header's name as it is; the rest of a key of a user's extra is percent-encoded.
_NAME = "!#$&'*+-.^_`|~"


class Remote(NamedTuple):
    """`ca` is PEM, "" for the machine's own authorities."""

    name: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    ca: str
    insecure: bool

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/{self.version}"

    @property
    def server_name(self) -> str:
        """The name that the service's certificate is for."""
        return f"{self.service}.{self.namespace}.svc"

    def context(self, pair: Pair) -> ssl.SSLContext:
        """TLS to the service, with the certificate that says that user names come from this server. Raises
        ssl.SSLError for a CA bundle that is none."""
        context = ssl.create_default_context(cadata=self.ca or None)
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(pair.cert, pair.key)
        return context


def remote_of(obj: Obj) -> Remote | None:
    """None where the APIService names no service."""
    spec = obj.get("spec") or {}
    service = spec.get("service")
    if not service:
        return None
    try:
        ca = base64.b64decode(spec.get("caBundle") or "").decode()
    except (binascii.Error, ValueError):
        ca = ""
    return Remote(
        obj["metadata"]["name"], spec.get("group", ""), spec.get("version", ""), service.get("namespace", ""),
        service.get("name", ""), int(service.get("port") or 443), ca, bool(spec.get("insecureSkipTLSVerify")),
    )  # fmt: skip


def identity(user: User) -> list[tuple[str, str]]:
    """The headers that tell an API server who asks. Source: kubernetes.io, "Authenticating Proxy"."""
    headers = [("X-Remote-User", user.name)]
    if user.uid:
        headers.append(("X-Remote-Uid", user.uid))
    headers += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        name = f"X-Remote-Extra-{quote(key, safe=_NAME)}"
        headers += [(name, value) for value in values]
    # A line's end in a name must not begin another header.
    return [(name, " ".join(value.splitlines())) for name, value in headers]


def split(path: str) -> tuple[str, str, list[str]]:
    """Group, version and the parts that follow, of a path below /apis/."""
    group, version, *rest = [*path.split("/")[2:], "", ""]
    return group, version, [part for part in rest if part]


def action_of(method: str, path: str, *, watch: bool = False) -> Action:
    """What a request wants to do, told by its path alone."""
    group, _, parts = split(path)
    if not parts:
        return Action("get" if method in ("GET", "HEAD") else method.lower(), path=path)
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    resource, name, subresource = [*parts, "", ""][:3]
    verb = (_OBJECT if name else _COLLECTION).get(method, method.lower())
    if verb == "list" and watch:
        verb = "watch"
    return Action(verb, group, resource, subresource, namespace, name)


def resources_of(document: Obj) -> list[Obj]:
    """The resources of an APIResourceList, as aggregated discovery describes them."""
    group, _, version = str(document.get("groupVersion", "")).rpartition("/")
    found: dict[str, Obj] = {}
    for entry in document.get("resources") or ():
        _check(entry)
        plural, _, subresource = entry["name"].partition("/")
        kind = {
            "group": entry.get("group", group),
            "version": entry.get("version", version),
            "kind": entry["kind"],
        }
        if subresource:
            if plural in found:
                part = {"subresource": subresource, "responseKind": kind, "verbs": entry.get("verbs") or []}
                found[plural].setdefault("subresources", []).append(part)
            continue
        found[plural] = {
            "resource": plural,
            "responseKind": kind,
            "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
            "singularResource": entry.get("singularName", ""),
            "verbs": entry.get("verbs") or [],
            **_given(entry, ("shortNames", "categories")),
        }
    return list(found.values())


def _check(entry: Obj) -> None:
    """Raises ValueError for what clients could not read."""
    for key in ("name", "kind"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise ValueError(f"a resource without {key}")
    for key in ("verbs", "shortNames", "categories"):
        values = entry.get(key)
        if values is not None and not (
            isinstance(values, list) and all(isinstance(each, str) for each in values)
        ):
            raise ValueError(f"{entry['name']}: {key} is no list of names")


def _given(entry: Obj, keys: Iterable[str]) -> Obj:
    return {key: entry[key] for key in keys if entry.get(key)}
