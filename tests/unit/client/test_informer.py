from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.errors import expired, unavailable
from podium.api.types.resources import PODS
from podium.api.types.selectors import parse_labels
from podium.client.base import ObjList, WatchEvent
from podium.client.factory import InformerFactory
from podium.client.informer import Informer

from ..clock import FakeClock, settle
from ..frozen import freeze


def pod(
    name: str, version: int, *, namespace: str = "ns", node: str = "", uid: str = "", **labels: str
) -> Obj:
    meta: Obj = {"name": name, "namespace": namespace, "uid": uid or name, "resourceVersion": str(version)}
    if labels:
        meta["labels"] = labels
    found: Obj = freeze({"metadata": meta, "spec": {"nodeName": node}})
    return found


class Script:
    """A server that answers lists and watches as told: each list in turn, each watch from its own queue."""

    def __init__(self, *lists: ObjList | Exception) -> None:
        self.lists = list(lists)
        self.watches: list[str] = []
        self.feed: asyncio.Queue[WatchEvent | Exception | None] = asyncio.Queue()

    async def list(self, *_: Any, **__: Any) -> ObjList:
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(self, *_: Any, resource_version: str, **__: Any) -> AsyncIterator[WatchEvent]:
        self.watches.append(resource_version)
        while (event := await self.feed.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event


Change = tuple[str | None, str | None]


class Recorder:
    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, old: Obj | None, new: Obj | None) -> None:
        self.changes.append((_version(old), _version(new)))


def _version(obj: Obj | None) -> str | None:
    return None if obj is None else f"{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}"


@asynccontextmanager
async def running(informer: Informer) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    informer.add_handler(recorder)
    task = asyncio.ensure_future(informer.run())
    try:
        await settle()
        yield recorder
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def informer_of(script: Script, **options: Any) -> Informer:
    return Informer(script, PODS, **options)  # type: ignore[arg-type]


class Remembered:
    """A holder that counts how often its object was asked for."""

    def __init__(self, obj: Obj) -> None:
        self._obj, self.asked = obj, 0

    @property
    def obj(self) -> Obj:
        self.asked += 1
        return self._obj

    @property
    def labels(self) -> dict[str, str]:
        return self._obj["metadata"].get("labels") or {}


async def test_an_object_with_a_holder_is_left_to_that() -> None:
    holders = [Remembered(pod("a", 1, app="web")), Remembered(pod("b", 2))]
    script = Script(ObjList([holder.obj for holder in holders], "5", holders))
    informer = informer_of(script)
    async with running(informer):
        seen = [holder.asked for holder in holders]
        assert [found["metadata"]["name"] for found in informer.selected(parse_labels("app=web"))] == ["a"]
        assert [holder.asked for holder in holders] == [seen[0] + 1, seen[1]]
        script.feed.put_nowait(WatchEvent("MODIFIED", pod("b", 6), last := Remembered(pod("b", 6))))
        await settle()
        asked = last.asked
        assert informer.get("b", "ns") == pod("b", 6)
        assert last.asked == asked + 1


async def test_lists_then_follows_the_watch_from_the_lists_revision() -> None:
    script = Script(ObjList([pod("a", 1), pod("b", 2)], "5"))
    informer = informer_of(script)
    async with running(informer) as recorder:
        await informer.synced()
        script.feed.put_nowait(WatchEvent("MODIFIED", pod("a", 6)))
        script.feed.put_nowait(WatchEvent("DELETED", pod("b", 7)))
        script.feed.put_nowait(WatchEvent("ADDED", pod("c", 8)))
        await settle()
        assert script.watches == ["5"]
        assert recorder.changes == [
            (None, "a@1"),
            (None, "b@2"),
            ("a@1", "a@6"),
            ("b@7", None),
            (None, "c@8"),
        ]
        assert [obj["metadata"]["name"] for obj in informer.list()] == ["a", "c"]
        assert informer.get("b", "ns") is None


async def test_a_watch_that_ends_is_resumed_where_it_ended_bookmarks_included() -> None:
    script = Script(ObjList([], "5"))
    informer = informer_of(script)
    async with running(informer):
        script.feed.put_nowait(WatchEvent("BOOKMARK", pod("", 40)))
        script.feed.put_nowait(None)
        await settle()
        assert script.watches == ["5", "40"]
        assert informer.list() == []


async def test_a_revision_that_is_gone_is_listed_afresh_and_the_difference_is_told() -> None:
    script = Script(
        ObjList([pod("a", 1), pod("b", 2), pod("d", 3)], "5"),
        ObjList([pod("b", 9), pod("c", 8), pod("d", 3)], "9"),
    )
    async with running(informer_of(script)) as recorder:
        recorder.changes.clear()
        script.feed.put_nowait(expired("too old"))
        await settle()
        assert recorder.changes == [("a@1", None), ("b@2", "b@9"), (None, "c@8")]
        assert script.watches == ["5", "9"]


async def test_an_object_made_again_under_its_name_is_a_deletion_and_a_creation() -> None:
    script = Script(ObjList([pod("a", 1, uid="u1")], "5"), ObjList([pod("a", 9, uid="u2")], "9"))
    async with running(informer_of(script)) as recorder:
        script.feed.put_nowait(expired("too old"))
        await settle()
        assert recorder.changes == [(None, "a@1"), ("a@1", None), (None, "a@9")]


@pytest.mark.parametrize("failure", [ConnectionError("refused"), unavailable("starting")])
async def test_a_server_that_is_away_is_asked_again_after_growing_pauses(failure: Exception) -> None:
    clock = FakeClock()
    script = Script(failure, failure, ObjList([pod("a", 1)], "5"))
    informer = informer_of(script, clock=clock)
    async with running(informer):
        assert 0.1 <= clock.pending[0] <= 0.2
        clock.advance(0.2)
        await settle()
        assert 0.2 <= clock.pending[0] <= 0.4
        assert not informer.has_synced
        clock.advance(0.4)
        await settle()
        assert informer.has_synced


async def test_a_failing_watch_keeps_the_cache_and_resumes() -> None:
    clock = FakeClock()
    script = Script(ObjList([pod("a", 1)], "5"))
    informer = informer_of(script, clock=clock)
    async with running(informer):
        script.feed.put_nowait(ConnectionError("cut"))
        await settle()
        assert informer.get("a", "ns") is not None
        clock.advance(1)
        await settle()
        assert script.watches == ["5", "5"]


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_tight_loop() -> None:
    clock = FakeClock()
    script = Script(ObjList([], "5"))
    async with running(informer_of(script, clock=clock)):
        for _ in range(20):
            script.feed.put_nowait(None)
        await settle()
        assert len(script.watches) == 1
        assert len(clock.pending) == 1


async def test_indexes_follow_every_change() -> None:
    script = Script(ObjList([pod("a", 1), pod("b", 2, node="n1")], "5"))
    informer = informer_of(script, indexers={"node": lambda obj: [obj["spec"]["nodeName"]]})
    async with running(informer):
        script.feed.put_nowait(WatchEvent("MODIFIED", pod("a", 6, node="n1")))
        await settle()
        assert [obj["metadata"]["name"] for obj in informer.by_index("node", "n1")] == ["b", "a"]
        assert informer.by_index("node", "") == []
        script.feed.put_nowait(WatchEvent("DELETED", pod("a", 7, node="n1")))
        await settle()
        assert [obj["metadata"]["name"] for obj in informer.by_index("node", "n1")] == ["b"]
        informer.add_indexer("name", lambda obj: [obj["metadata"]["name"]])
        assert len(informer.by_index("name", "b")) == 1


async def test_a_namespace_is_listed_alone() -> None:
    script = Script(ObjList([pod("a", 1), pod("a", 2, namespace="other")], "5"))
    informer = informer_of(script)
    async with running(informer):
        assert [obj["metadata"]["resourceVersion"] for obj in informer.list("other")] == ["2"]
        assert informer.list("none") == []


async def test_a_handler_that_comes_late_is_told_what_is_there() -> None:
    script = Script(ObjList([pod("a", 1)], "5"))
    informer = informer_of(script)
    async with running(informer):
        late = Recorder()
        informer.add_handler(late)
        assert late.changes == [(None, "a@1")]


async def test_a_handler_that_fails_costs_nobody_else_the_event() -> None:
    script = Script(ObjList([pod("a", 1)], "5"))
    informer = informer_of(script)

    def broken(old: Obj | None, new: Obj | None) -> None:
        raise RuntimeError("broken")

    informer.add_handler(broken)
    async with running(informer) as recorder:
        assert recorder.changes == [(None, "a@1")]


async def test_a_factory_shares_one_informer_per_resource() -> None:
    script = Script(ObjList([pod("a", 1)], "5"))
    factory = InformerFactory(script)  # type: ignore[arg-type]
    informer = factory.informer(PODS)
    factory.start()
    await factory.synced()
    assert factory.informer(PODS, {"name": lambda obj: [obj["metadata"]["name"]]}) is informer
    assert len(informer.by_index("name", "a")) == 1
    await factory.stop()
