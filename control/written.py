"""What a controller wrote and its cache does not show yet, for controllers that must not plan from a stale
cache.

Where names are made by the server, a plan made before the last creation is visible would create the same
again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from podium.api.types import Obj
from podium.client.informer import Informer

TIMEOUT = 30.0  # seconds after which a write whose event was missed no longer blocks


class Written:
    """By controller key: the objects of one informer that were written, and the versions to be seen."""

    def __init__(self, informer: Informer, now: Callable[[], float] = time.monotonic) -> None:
        self._informer, self._now = informer, now
        self._awaited: dict[str, dict[tuple[str, str], tuple[int, float]]] = {}

    def record(self, key: str, obj: Obj) -> None:
        """`obj` is what the server answered to a create or update."""
        meta = obj["metadata"]
        identity = (meta.get("namespace", ""), meta["name"])
        self._awaited.setdefault(key, {})[identity] = (int(meta["resourceVersion"]), self._now())

    def seen(self, key: str, old: Obj | None, new: Obj | None) -> None:
        """The informer's event for an object of `key`. A deletion ends the waiting for any version."""
        awaited = self._awaited.get(key)
        meta = ((new or old) or {}).get("metadata") or {}
        identity = (meta.get("namespace", ""), meta.get("name", ""))
        if awaited and identity in awaited:
            if new is None or int(meta["resourceVersion"]) >= awaited[identity][0]:
                del awaited[identity]
            if not awaited:
                del self._awaited[key]

    def visible(self, key: str) -> bool:
        """Whether the cache shows everything written for `key`."""
        awaited = self._awaited.get(key)
        if not awaited:
            return True
        for identity, (version, since) in list(awaited.items()):
            cached = self._informer.get(identity[1], identity[0])
            shown = cached is not None and int(cached["metadata"]["resourceVersion"]) >= version
            if shown or self._now() - since > TIMEOUT:
                del awaited[identity]
        return not awaited

    def forget(self, key: str) -> None:
        self._awaited.pop(key, None)
