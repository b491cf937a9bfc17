"""Objects of one kind in its several versions: as the schemas alone make them, or as a webhook does.

What was stored is made to fit the schema it was stored under, gets that schema's defaults, is converted, and
made to fit the schema of the version it is shown in.

Source: docs, "Versions in CustomResourceDefinitions"; "Defaulting".
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from podium.api.admission.webhooks.responses import CallFailed
from podium.api.ask import copied
from podium.api.extensions import reviewing
from podium.api.extensions.fitting import Pruner, default, has_defaults
from podium.api.extensions.nodes import Node
from podium.api.extensions.reviewing import Malformed
from podium.api.schema.walk import Unknown
from podium.api.store.base import Entry
from podium.api.store.entry import DecodedCache
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import Resource

# Sends a review to a webhook (its client configuration, the body, seconds) and gives the decoded answer;
# raises CallFailed.
Call = Callable[[Obj, Obj, int], Awaitable[Any]]
# A key of the store, and one of its revisions.
Revision = tuple[str, int]

SECONDS = 30
# Objects in one review.
TOGETHER = 250
# What objects begin with.
_HEAD = ("apiVersion", "kind", "metadata")
# Objects that are made to fit before others get their turn on the loop: a few milliseconds.
TURN = 50
# Bytes of converted objects that are remembered for watches and lists, of each version.
REMEMBERED = 4 << 20


class Shapes:
    """The schemas of all versions; `nodes` are the roots, by version."""

    def __init__(self, nodes: Mapping[str, Node], pruner: Pruner) -> None:
        self._nodes = nodes
        self._pruner = pruner
        self._filling = {name for name, node in nodes.items() if has_defaults(node)}

    def prune(self, obj: Obj, version: str) -> Obj:
        """In place."""
        node = self._nodes.get(version)
        if node is not None:
            meta = obj.pop("metadata")
            unknown: Unknown = []
            self._pruner.prune(obj, node, None, unknown)
            obj["metadata"] = meta
        return obj

    def complete(self, obj: Obj) -> str:
        """What was read from the store, as it is in the version it was stored in, which is returned."""
        version = str(obj["apiVersion"]).rpartition("/")[2]
        self.prune(obj, version)
        if version in self._filling:
            default(obj, self._nodes[version])
        return version


def _ordered(obj: Obj) -> Obj:
    first: Obj = {key: obj.pop(key) for key in _HEAD if key in obj}
    return {**first, **obj}


class Webhook:
    """Converts by asking. `config` is a definition's spec.conversion.webhook."""

    def __init__(self, config: Obj, call: Call) -> None:
        self._client: Obj = config["clientConfig"]
        known = config.get("conversionReviewVersions") or ()
        self._version = next((each for each in known if each in reviewing.VERSIONS), "")
        self._call = call

    async def convert(self, objs: Sequence[Obj], to: Resource) -> list[Obj]:
        """The objects, all of one kind, as `to` has them. Raises 500 with upstream's messages."""
        made: list[Obj] = []
        for start in range(0, len(objs), TOGETHER):
            made += await self._together(objs[start : start + TOGETHER], to)
        return made

    async def _together(self, objs: Sequence[Obj], to: Resource) -> list[Obj]:
        if not self._version:
            raise _failed("no supported conversion review versions")
        uid = str(uuid.uuid4())
        what = f"conversion webhook for {_named(objs, to)}"
        try:
            body = reviewing.review(objs, to.api_version, uid, self._version)
            answer = await self._call(self._client, body, SECONDS)
            made = reviewing.answered(answer, uid, self._version)
        except (CallFailed, Malformed) as error:
            raise _failed(f"{what} failed: {error}") from None
        if len(made) != len(objs):
            raise _failed(f"{what} returned {len(made)} objects, expected {len(objs)}")
        found: list[Obj] = []
        for index, (original, each) in enumerate(zip(objs, made, strict=True)):
            try:
                found.append(reviewing.converted(original, each, to.api_version))
            except Malformed as error:
                raise _failed(f"{what} {error.told(index, len(objs))}") from None
        return found


def _named(objs: Sequence[Obj], to: Resource) -> str:
    if len(objs) == 1:
        return f"{objs[0]['apiVersion']}, Kind={objs[0]['kind']}"
    return f"{to.api_version}, Kind={to.list_kind_name}"


def _failed(message: str) -> StatusError:
    return StatusError(500, "", message)


def relabelled(objs: Sequence[Obj], to: Resource) -> list[Obj]:
    """Without a webhook, only the version is another."""
    return [{**obj, "apiVersion": to.api_version} for obj in objs]


class Translator:
    """One version of a kind: what the verbs ask between the store and the request, which sees its own version
    only."""

    def __init__(self, resource: Resource, kept: Resource, shapes: Shapes, webhook: Webhook | None) -> None:
        self._resource, self._kept = resource, kept
        self._shapes = shapes
        self._webhook = webhook
        self._known: OrderedDict[Revision, Entry] = OrderedDict()
        self._held = 0
        self._decoded = DecodedCache()
        self._under_way: dict[Revision, asyncio.Future[None]] = {}

    async def read(self, objs: Sequence[Obj]) -> list[Obj]:
        """Stored objects in this version. Raises 500."""
        fresh: list[Obj] = []
        other: list[int] = []
        for index, obj in enumerate(objs):
            if index and not index % TURN:
                await asyncio.sleep(0)
            fresh.append(copied(obj))
            if self._shapes.complete(fresh[index]) != self._resource.version:
                other.append(index)
        if other:
            made = await self._convert([fresh[index] for index in other], self._resource)
            for index, obj in zip(other, made, strict=True):
                fresh[index] = self._shapes.prune(obj, self._resource.version)
        return [_ordered(obj) for obj in fresh]

    async def _convert(self, objs: Sequence[Obj], to: Resource) -> list[Obj]:
        return relabelled(objs, to) if self._webhook is None else await self._webhook.convert(objs, to)

    async def into(self, obj: Obj, version: str) -> Obj:
        """An object of any version in any other. Raises 500."""
        to = self._resource._replace(version=version)
        if obj["apiVersion"] == to.api_version:
            return obj
        [made] = await self._convert([copied(obj)], to)
        return _ordered(self._shapes.prune(made, version))

    async def as_(self, obj: Obj, to: Resource) -> Obj:
        """An object of this version in another one. Raises 500."""
        return obj if to.version == self._resource.version else await self.into(obj, to.version)

    async def write(self, obj: Obj) -> Obj:
        """An object of this version as it is stored. Raises 500."""
        return await self.as_(obj, self._kept)

    async def view(self, entries: Sequence[Entry]) -> list[Entry]:
        """The store's entries in this version, each converted once for all lists and watches. Raises 500."""
        have: dict[Revision, Entry] = {}
        while True:
            missing: dict[Revision, Entry] = {}
            for entry in entries:
                key = (entry.key, entry.revision)
                known = have.get(key) or self._remembered(key)
                if known is None:
                    missing[key] = entry
                else:
                    have[key] = known
            if not missing:
                return [have[entry.key, entry.revision] for entry in entries]
            if under_way := {self._under_way[key] for key in missing if key in self._under_way}:
                await asyncio.gather(*map(asyncio.shield, under_way))
            else:
                have |= await self._converted(missing)

    async def _converted(self, missing: Mapping[Revision, Entry]) -> dict[Revision, Entry]:
        """What waits for the same objects meanwhile shares the outcome, a failure too."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way |= dict.fromkeys(missing, done)
        try:
            objs = await self.read([entry.obj for entry in missing.values()])
            made: dict[Revision, Entry] = {}
            for (key, entry), obj in zip(missing.items(), objs, strict=True):
                same = obj == entry.obj
                made[key] = entry if same else self._entry(entry, obj)
            self._remember(made)
            return made
        except StatusError as error:
            done.set_exception(error)
            # Nobody may be waiting.
            done.exception()
            raise
        finally:
            for key in missing:
                del self._under_way[key]
            if not done.done():
                done.set_result(None)

    def _entry(self, entry: Entry, obj: Obj) -> Entry:
        return Entry(entry.key, orjson.dumps(obj), entry.revision, self._decoded)

    def _remembered(self, key: Revision) -> Entry | None:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def _remember(self, made: Mapping[Revision, Entry]) -> None:
        self._known.update(made)
        self._held += sum(len(entry.value) for entry in made.values())
        while self._held > REMEMBERED:
            _, oldest = self._known.popitem(last=False)
            self._held -= len(oldest.value)
