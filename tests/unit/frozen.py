"""Objects that raise when somebody changes them, as every object out of a cache ought to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

from podium.api.types import Obj
from podium.client.base import Client, ObjList, WatchEvent


class Frozen(AssertionError):
    """Somebody tried to change a read-only object."""


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise Frozen(f"change of a read-only object: {self!r}")


class FrozenDict(dict[str, Any]):
    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {key: thaw(value) for key, value in self.items()}

    def copy(self) -> dict[str, Any]:
        return dict(self)


class FrozenList(list[Any]):
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse  # type: ignore[assignment]
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [thaw(value) for value in self]

    def copy(self) -> list[Any]:
        return list(self)


def freeze(value: Any) -> Any:
    """A frozen copy, all the way down."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(entry) for key, entry in value.items()})
    if isinstance(value, list):
        return FrozenList(freeze(entry) for entry in value)
    return value


def thaw(value: Any) -> Any:
    """A plain copy, all the way down."""
    if isinstance(value, dict):
        return {key: thaw(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [thaw(entry) for entry in value]
    return value


class FrozenClient:
    """A client whose every answer is frozen."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self, *args: Any, **kwargs: Any) -> ObjList:
        found = await self._client.list(*args, **kwargs)
        return ObjList([freeze(item) for item in found.items], found.resource_version)

    async def watch(self, *args: Any, **kwargs: Any) -> AsyncIterator[WatchEvent]:
        async for event in self._client.watch(*args, **kwargs):
            yield WatchEvent(event.type, freeze(event.object))

    async def read(self, path: str) -> Obj:
        return freeze(await self._client.read(path))  # type: ignore[no-any-return]

    async def get(self, *args: Any, **kwargs: Any) -> Obj:
        return freeze(await self._client.get(*args, **kwargs))  # type: ignore[no-any-return]

    async def create(self, *args: Any, **kwargs: Any) -> Obj:
        return freeze(await self._client.create(*args, **kwargs))  # type: ignore[no-any-return]

    async def update(self, *args: Any, **kwargs: Any) -> Obj:
        return freeze(await self._client.update(*args, **kwargs))  # type: ignore[no-any-return]

    async def patch(self, *args: Any, **kwargs: Any) -> Obj:
        return freeze(await self._client.patch(*args, **kwargs))  # type: ignore[no-any-return]

    async def delete(self, *args: Any, **kwargs: Any) -> None:
        await self._client.delete(*args, **kwargs)

    async def close(self) -> None:
        await self._client.close()
