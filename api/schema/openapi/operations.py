"""What can be asked of each resource: operations, one per path and method, before they take a document
version's form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from podium.api.schema.openapi import parameters as p
from podium.api.schema.openapi.parameters import Parameter
from podium.api.types.resources import NAMESPACES, Resource
from podium.api.verbs.lifecycle import SHOWN_WHEN_DELETED


class Kind(NamedTuple):
    group: str
    version: str
    kind: str


PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
STRATEGIC = "application/strategic-merge-patch+json"


class Operation(NamedTuple):
    """`action` is the API's verb; `body` and `answer` name kinds, None for none and for plain text."""

    path: str
    method: str
    action: str
    id: str
    description: str
    kind: Kind
    parameters: tuple[Parameter, ...]
    path_parameters: tuple[Parameter, ...]
    body: Kind | None
    answer: Kind | None
    created: bool = False
    patches: tuple[str, ...] = PATCH_TYPES


META = ("", "v1")
STATUS = Kind(*META, "Status")
DELETE_OPTIONS = Kind(*META, "DeleteOptions")
SCALE = Kind("autoscaling", "v1", "Scale")

# Subresources that take another kind by POST alone.
POSTED = {
    "binding": Kind("", "v1", "Binding"),
    "eviction": Kind("policy", "v1", "Eviction"),
    "token": Kind("authentication.k8s.io", "v1", "TokenRequest"),
}
# Subresources that are connections, and how the kinds of their options end. They must not bear their
# resource's kind: kubectl asks any PATCH of a kind whether it takes `fieldValidation`.
CONNECTED = {
    "attach": "AttachOptions",
    "exec": "ExecOptions",
    "portforward": "PortForwardOptions",
    "proxy": "ProxyOptions",
}
_READ_WRITE = (("get", "get", "read"), ("put", "put", "replace"), ("patch", "patch", "patch"))


def operations(resource: Resource) -> Iterator[Operation]:
    """All operations of a resource."""
    maker = _Maker(resource)
    yield from maker.collection()
    yield from maker.item()
    for name in resource.subresources:
        yield from maker.subresource(name)


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


class _Maker:
    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.kind = Kind(resource.group, resource.version, resource.kind)
        self.list_kind = self.kind._replace(kind=resource.list_kind_name)
        group = resource.group.removesuffix(".k8s.io") or "core"
        self.tag = "".join(map(_title, group.split("."))) + _title(resource.version)
        self.scope = "Namespaced" if resource.namespaced else ""
        self.in_path = (p.NAMESPACE,) if resource.namespaced else ()
        self.base = resource.path("{namespace}")

    def collection(self) -> Iterator[Operation]:
        verbs, subject = self.resource.verbs, f"{self.scope}{self.kind.kind}"
        if "list" in verbs:
            yield self._make(
                self.base, "get", "list", f"list{self.tag}{subject}", p.LIST, None, self.list_kind
            )
            if self.resource.namespaced:
                everywhere = f"list{self.tag}{self.kind.kind}ForAllNamespaces"
                made = self._make(
                    self.resource.path(), "get", "list", everywhere, p.LIST, None, self.list_kind
                )
                yield made._replace(path_parameters=())
        if "create" in verbs:
            name = f"create{self.tag}{subject}"
            yield self._make(self.base, "post", "post", name, p.WRITE, self.kind, self.kind, created=True)
        if "deletecollection" in verbs:
            name = f"delete{self.tag}Collection{subject}"
            yield self._make(
                self.base, "delete", "deletecollection", name, p.DELETE_COLLECTION, DELETE_OPTIONS, STATUS
            )

    def item(self) -> Iterator[Operation]:
        verbs = self.resource.verbs
        path, subject = f"{self.base}/{{name}}", f"{self.scope}{self.kind.kind}"
        if "get" in verbs:
            yield self._make(path, "get", "get", f"read{self.tag}{subject}", (), None, self.kind)
        if "update" in verbs:
            yield self._make(
                path, "put", "put", f"replace{self.tag}{subject}", p.WRITE, self.kind, self.kind, created=True
            )
        if "patch" in verbs:
            yield self._make(
                path, "patch", "patch", f"patch{self.tag}{subject}", p.PATCH, None, self.kind, created=True
            )
        if "delete" in verbs:
            name = f"delete{self.tag}{subject}"
            answer = self.kind if self.resource in SHOWN_WHEN_DELETED - {NAMESPACES} else STATUS
            yield self._make(path, "delete", "delete", name, p.DELETE, DELETE_OPTIONS, answer)

    def subresource(self, name: str) -> Iterator[Operation]:
        path = f"{self.base}/{{name}}/{name}"
        subject = f"{self.scope}{self.kind.kind}{_title(name)}"
        if name in POSTED:
            kind, verb = POSTED[name], f"create{self.tag}{subject}"
            yield self._make(path, "post", "post", verb, p.WRITE, kind, kind, created=True, kind=kind)
        elif name in CONNECTED:
            yield from self._connect(path, name, subject)
        elif name == "log":
            yield self._make(path, "get", "get", f"read{self.tag}{subject}", p.LOG, None, None)
        else:
            kind = SCALE if name == "scale" else self.kind
            for method, action, word in _READ_WRITE:
                if name == "finalize" and method != "put":
                    continue
                parameters = {"get": (), "put": p.WRITE, "patch": p.PATCH}[method]
                body = kind if method == "put" else None
                yield self._make(
                    path, method, action, f"{word}{self.tag}{subject}", parameters, body, kind, kind=kind
                )

    def _connect(self, path: str, name: str, subject: str) -> Iterator[Operation]:
        methods: Iterable[str] = ("get", "post")
        if name == "proxy":
            methods = ("get", "post", "put", "patch", "delete")
        for method in methods:
            verb = f"connect{self.tag}{_title(method)}{subject}"
            options = Kind("", "v1", f"{self.kind.kind}{CONNECTED[name]}")
            yield self._make(path, method, "connect", verb, p.CONNECT[name], None, None, kind=options)

    def _make(
        self,
        path: str,
        method: str,
        action: str,
        identifier: str,
        parameters: tuple[Parameter, ...],
        body: Kind | None,
        answer: Kind | None,
        *,
        created: bool = False,
        kind: Kind | None = None,
    ) -> Operation:
        in_path = (*self.in_path, p.NAME) if "{name}" in path else self.in_path
        return Operation(
            path,
            method,
            action,
            identifier,
            f"{action} {self.resource.kind}",
            kind or self.kind,
            parameters,
            in_path,
            body,
            answer,
            created,
            tuple(each for each in PATCH_TYPES if self.resource.strategic or each != STRATEGIC),
        )
