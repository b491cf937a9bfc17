"""Pods whose volumes could not be mounted, and what may change that."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from podium.api.types import Obj, meta


class Waiting:
    """`retry` is told the uid of a pod that may try again before its time."""

    def __init__(self) -> None:
        self.retry: Callable[[str], None] | None = None
        self._pods: dict[str, frozenset[tuple[str, str]]] = {}

    def add(self, uid: str, claims: Iterable[tuple[str, str]]) -> None:
        """A pod, and the claims (namespace, name) that it names."""
        self._pods[uid] = frozenset(claims)

    def forget(self, uid: str) -> None:
        self._pods.pop(uid, None)

    def tell(self, uid: str) -> None:
        """Something that the pod waits for has changed."""
        if uid in self._pods and self.retry is not None:
            self.retry(uid)

    def claim_changed(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's handler."""
        if new is not None:
            key = (meta.namespace_of(new), meta.name_of(new))
            self._tell_all(uid for uid, claims in self._pods.items() if key in claims)

    def retry_all(self) -> None:
        self._tell_all(uid for uid, claims in self._pods.items() if claims)

    def _tell_all(self, uids: Iterable[str]) -> None:
        for uid in list(uids):
            self.tell(uid)
