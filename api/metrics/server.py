"""What the server as a whole has to tell: its objects, its store, its version."""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.kinds import Kinds
from podium.api.metrics.exposition import Family
from podium.api.store.base import Store


def of_server(store: Store, kinds: Kinds, version: dict[str, str]) -> Iterator[Family]:
    """`version` is what /version says."""
    counts = [
        (kind.resource.group, kind.resource.plural, store.count(kind.prefix))
        for by_plural in kinds.versions.values()
        for kind in by_plural.values()
        if kind.stored == kind.resource
    ]
    kept = sorted(set(counts))
    yield Family(
        "apiserver_storage_objects", "gauge", "Objects by resource.", ("resource",),
        [((f"{plural}.{group}" if group else plural,), count) for group, plural, count in kept],
    )  # fmt: skip
    yield Family(
        "apiserver_resource_objects", "gauge", "Objects by group and resource.", ("group", "resource"),
        [((group, plural), count) for group, plural, count in kept],
    )  # fmt: skip
    yield Family("podium_store_revision", "gauge", "The newest revision.", (), [((), store.revision)])
    yield Family(
        "podium_store_compacted_revision", "gauge", "History reaches back to this revision.", (),
        [((), store.compacted)],
    )  # fmt: skip
    named = {"major": "major", "minor": "minor", "git_version": "gitVersion", "platform": "platform"}
    yield Family(
        "kubernetes_build_info", "gauge", "What is running.", tuple(named),
        [([version[key] for key in named.values()], 1)],
    )  # fmt: skip
