"""What is served: /api, /apis, the groups, their versions and resources; as separate documents and
aggregated into one.

Made once, and again when the kinds change, or what aggregated APIs add. Source: API reference,
metav1.APIGroupList, APIResourceList; apidiscovery.k8s.io/v2."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from podium.api.kinds import Kind, Kinds
from podium.api.negotiation import JSON, ranges
from podium.api.types import Obj
from podium.api.types.resources import Resource

AGGREGATED = "apidiscovery.k8s.io"
VERSION = "v2"

# Groups in the order that clients shall prefer them in when a kind is in several.
PREFERENCE = (
    "", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
    "autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy",
)  # fmt: skip

# Of subresources that are another kind than their resource: (group, version, kind).
SUBRESOURCE_KINDS: Mapping[str, tuple[str, str, str]] = {
    "scale": ("autoscaling", "v1", "Scale"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
}
PROXY_KINDS = {"pods": "PodProxyOptions", "services": "ServiceProxyOptions", "nodes": "NodeProxyOptions"}
CONNECT_VERBS = ("create", "get")
SUBRESOURCE_VERBS: Mapping[str, tuple[str, ...]] = {
    "binding": ("create",),
    "eviction": ("create",),
    "token": ("create",),
    "finalize": ("update",),
    "log": ("get",),
    "exec": CONNECT_VERBS,
    "attach": CONNECT_VERBS,
    "portforward": CONNECT_VERBS,
    "proxy": ("create", "delete", "get", "patch", "update"),
}


class Document(NamedTuple):
    body: bytes
    etag: str


class Extra(NamedTuple):
    """A group version that none of the server's own kinds is of. `resources` are as aggregated discovery
    describes them; not `fresh`: nobody could be asked lately. Groups of higher `priority` go first."""

    group: str
    version: str
    priority: int
    resources: Sequence[Obj]
    fresh: bool = True


class Discovery:
    """The documents by path; for /api and /apis the aggregated ones too."""

    def __init__(self, kinds: Kinds, server_address: str) -> None:
        self._kinds = kinds
        self._server_address = server_address
        self._documents: dict[str, bytes] = {}
        self._extras: Sequence[Extra] = ()
        self._extra: dict[str, bytes] = {}
        self._aggregated: dict[str, Document] = {}
        self.refresh()

    def refresh(self) -> None:
        """Makes everything anew, from the kinds that are served now."""
        kinds, groups = self._kinds, _groups(self._kinds)
        documents = {"/api": orjson.dumps(_core_versions(self._server_address))}
        for group, versions in groups.items():
            if group:
                documents[f"/apis/{group}"] = orjson.dumps(
                    {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}
                )
            for version in versions:
                path = f"/apis/{group}/{version}" if group else f"/api/{version}"
                documents[path] = orjson.dumps(_resource_list(kinds.versions[group, version].values()))
        self._documents = documents
        self._aggregated["/api"] = _document(_aggregated(kinds, {"": groups[""]}))
        named = {group: versions for group, versions in groups.items() if group}
        self._groups = [_group(group, versions) for group, versions in named.items()]
        self._described: list[Obj] = _aggregated(kinds, named)["items"]
        self.extend(self._extras)

    def extend(self, extras: Sequence[Extra]) -> None:
        """Puts in what aggregated APIs add, in place of what they added before."""
        self._extras = extras
        by_group: dict[str, list[Extra]] = {}
        for extra in sorted(extras, key=lambda extra: (-extra.priority, extra.group)):
            by_group.setdefault(extra.group, []).append(extra)
        groups, described, documents = [*self._groups], [*self._described], {}
        for name, members in by_group.items():
            group = _group(name, [member.version for member in members])
            documents[f"/apis/{name}"] = orjson.dumps({"kind": "APIGroup", "apiVersion": "v1", **group})
            documents |= {f"/apis/{name}/{member.version}": _extra_list(member) for member in members}
            groups.append(group)
            described.append(_extra_group(name, members))
        listed = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        self._extra = {**documents, "/apis": orjson.dumps(listed)}
        self._aggregated["/apis"] = _document(_aggregated_list(described))

    def find(self, path: str) -> bytes | None:
        """The document at a path, with or without a slash at its end."""
        path = path.rstrip("/")
        return self._documents.get(path) or self._extra.get(path)

    def aggregated(self, path: str, accept: str) -> Document | None:
        """The aggregated document, if there is one there and the client prefers it."""
        document = self._aggregated.get(path.rstrip("/"))
        return document if document and wants_aggregated(accept) else None


AGGREGATED_TYPE = f"application/json;g={AGGREGATED};v={VERSION};as=APIGroupDiscoveryList".encode()


def wants_aggregated(accept: str) -> bool:
    if AGGREGATED not in accept:
        return False
    for entry in ranges(accept):
        if entry.type == JSON:
            asked = entry.parameters
            if not asked.get("as"):
                return False
            if (asked.get("g"), asked.get("v"), asked.get("as")) == (
                AGGREGATED,
                VERSION,
                "APIGroupDiscoveryList",
            ):
                return True
    return False


def _groups(kinds: Kinds) -> dict[str, list[str]]:
    """Group → versions, both in order of preference."""
    found: dict[str, list[str]] = {}
    for group, version in kinds.versions:
        found.setdefault(group, []).append(version)
    rank = {group: index for index, group in enumerate(PREFERENCE)}
    order = sorted(found, key=lambda group: (rank.get(group, len(rank)), group))
    return {group: sorted(found[group], key=version_order) for group in order}


_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def version_order(version: str) -> tuple[Any, ...]:
    """Stable versions first, then betas, then alphas, each with the newest first; any other name at the end.
    Source: docs, "Version priority"."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return 1, 0, 0, 0, version
    level = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return 0, level, -int(match[1]), -int(match[3] or 0), version


def _core_versions(server_address: str) -> Obj:
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def _group(group: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(kinds: Iterable[Kind]) -> Obj:
    entries: list[Obj] = []
    api_version = ""
    for kind in sorted(kinds, key=lambda kind: kind.resource.plural):
        api_version = kind.resource.api_version
        entries += [_resource(kind.resource, kind.stored), *_subresources(kind.resource)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}


def _resource(resource: Resource, stored: Resource) -> Obj:
    entry: Obj = {
        "name": resource.plural,
        "singularName": resource.singular_name,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    digest = hashlib.sha256(f"{stored.group}/{stored.version}/{stored.kind}".encode()).digest()
    entry["storageVersionHash"] = base64.b64encode(digest[:8]).decode()
    return entry


def _subresources(resource: Resource) -> Iterable[Obj]:
    for name in resource.subresources:
        group, version, kind = subresource_kind(resource, name)
        entry: Obj = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
        }
        if (group, version) != (resource.group, resource.version):
            entry["group"], entry["version"] = group, version
            if not group:
                del entry["group"]
        yield {**entry, "kind": kind, "verbs": list(subresource_verbs(name))}


def subresource_kind(resource: Resource, name: str) -> tuple[str, str, str]:
    """(group, version, kind) of what a subresource takes and gives."""
    if name == "proxy":
        return resource.group, resource.version, PROXY_KINDS[resource.plural]
    return SUBRESOURCE_KINDS.get(name, (resource.group, resource.version, resource.kind))


def subresource_verbs(name: str) -> tuple[str, ...]:
    return SUBRESOURCE_VERBS.get(name, ("get", "patch", "update"))


def _aggregated(kinds: Kinds, groups: Mapping[str, list[str]]) -> Obj:
    items = []
    for group, versions in groups.items():
        listed = [
            {
                "version": version,
                "resources": [
                    _described(kind.resource)
                    for kind in sorted(
                        kinds.versions[group, version].values(), key=lambda kind: kind.resource.plural
                    )
                ],
                "freshness": "Current",
            }
            for version in versions
        ]
        meta: Obj = {"creationTimestamp": None}
        if group:
            meta["name"] = group
        items.append({"metadata": meta, "versions": listed})
    return _aggregated_list(items)


def _aggregated_list(items: Sequence[Obj]) -> Obj:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"{AGGREGATED}/{VERSION}",
        "metadata": {},
        "items": items,
    }


def _described(resource: Resource) -> Obj:
    entry: Obj = {
        "resource": resource.plural,
        "responseKind": _response_kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular_name,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": _response_kind(*subresource_kind(resource, name)),
                "verbs": list(subresource_verbs(name)),
            }
            for name in resource.subresources
        ]
    return entry


def _extra_group(name: str, members: Sequence[Extra]) -> Obj:
    versions = [
        {
            "version": member.version,
            "resources": list(member.resources),
            "freshness": "Current" if member.fresh else "Stale",
        }
        for member in members
    ]
    return {"metadata": {"name": name, "creationTimestamp": None}, "versions": versions}


def _extra_list(extra: Extra) -> bytes:
    """The APIResourceList of resources in their aggregated form."""
    entries: list[Obj] = []
    for resource in extra.resources:
        scoped = resource["scope"] == "Namespaced"
        entry: Obj = {
            "name": resource["resource"],
            "singularName": resource.get("singularResource", ""),
            "namespaced": scoped,
            "kind": resource["responseKind"]["kind"],
            "verbs": resource["verbs"],
        }
        entries.append(
            entry | {key: resource[key] for key in ("shortNames", "categories") if key in resource}
        )
    document = {"kind": "APIResourceList", "apiVersion": "v1"}
    return orjson.dumps({**document, "groupVersion": f"{extra.group}/{extra.version}", "resources": entries})


def _response_kind(group: str, version: str, kind: str) -> Obj:
    return {"group": group, "version": version, "kind": kind}


def _document(obj: Obj) -> Document:
    body = orjson.dumps(obj)
    return Document(body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
