"""The client contract, which two transports keep: HTTPS (`podium.client.https`) and the one inside the
server's process (`podium.api.local`, wired in by `podium.cli`). Same semantics; every failure is a
`podium.api.types.errors.StatusError`, or `ConnectionError` when the server could not be reached (over HTTPS
only).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol, TypeAlias

from podium.api.types import Obj
from podium.api.types.resources import Resource
from podium.api.types.results import ObjList, WatchEvent

PatchType = Literal["json", "merge", "strategic", "apply"]
JsonPatch: TypeAlias = list[Obj]

__all__ = ["Client", "JsonPatch", "ObjList", "PatchType", "WatchEvent"]


class Client(Protocol):
    """Requests to one API server. `namespace` is "" for cluster-scoped resources and, in list and watch, for
    all namespaces.

    Objects handed in are not kept or changed; objects handed out are read-only."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj: ...

    async def read(self, path: str) -> Obj:
        """GET of a path as it stands, query included: scales, discovery, the APIs of aggregated servers."""
        ...

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> ObjList: ...

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        """`name` and `subresource` for POSTs to `pods/NAME/binding`, `serviceaccounts/NAME/token`, ...; the
        namespace defaults to the object's."""
        ...

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        """PUT; conflicts when `metadata.resourceVersion` is set and stale."""
        ...

    async def patch(
        self, resource: Resource, name: str, patch: Obj | JsonPatch, namespace: str = "",
        *, kind: PatchType = "merge", subresource: str = "",
    ) -> Obj: ...  # fmt: skip

    async def delete(
        self, resource: Resource, name: str, namespace: str = "", *, grace_seconds: int | None = None,
        uid: str = "", resource_version: str = "", propagation: str = "",
    ) -> None: ...  # fmt: skip

    def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, labels: str = "",
        fields: str = "", bookmarks: bool = True,
    ) -> AsyncIterator[WatchEvent]:  # fmt: skip
        """Events after `resource_version`, until the server ends the watch (the iterator just ends). Raises
        StatusError with code 410 when that revision is no longer there."""
        ...

    async def close(self) -> None: ...
