from __future__ import annotations

import asyncio

import pytest

from podium.api import watching
from podium.api.server import ApiServer
from tests.unit.api.http.harness import DEFAULT, METADATA, TABLE, Http, config_map, pod

MAPS = f"{DEFAULT}/configmaps"


async def test_events_come_as_they_happen(http: Http) -> None:
    async with http.watch(MAPS, resourceVersion=(await http.get(MAPS)).version) as events:
        await http.made(MAPS, config_map("a"))
        await http.patch(f"{MAPS}/a", {"data": {"x": "y"}})
        await http.delete(f"{MAPS}/a")
        assert await events.take(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_without_a_revision_begins_with_what_is_there(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    for version in ({}, {"resourceVersion": "0"}):
        async with http.watch(MAPS, **version) as events:
            assert await events.take(1) == [("ADDED", "a")]
            await http.patch(f"{MAPS}/a", {"data": {"x": str(version)}})
            assert await events.take(1) == [("MODIFIED", "a")]


async def test_a_watch_resumes_from_any_revision_that_is_still_there(http: Http) -> None:
    first = await http.made(MAPS, config_map("a"))
    await http.made(MAPS, config_map("b"))
    await http.made(MAPS, config_map("c"))
    async with http.watch(MAPS, resourceVersion=first["metadata"]["resourceVersion"]) as events:
        assert await events.take(2) == [("ADDED", "b"), ("ADDED", "c")]


async def test_a_revision_that_is_gone_is_an_error_event(http: Http, server: ApiServer) -> None:
    first = await http.made(MAPS, config_map("a"))
    await http.made(MAPS, config_map("b"))
    await http.made(MAPS, config_map("c"))
    await server.store.compact(server.store.revision)
    async with http.watch(MAPS, resourceVersion=first["metadata"]["resourceVersion"]) as events:
        event = await events.next()
        assert event["type"] == "ERROR"
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
        with pytest.raises(StopAsyncIteration):
            await events.next()


async def test_a_selector_turns_changes_into_coming_and_going(http: Http) -> None:
    async with http.watch(
        MAPS, labelSelector="color=red", resourceVersion=(await http.get(MAPS)).version
    ) as events:
        await http.made(MAPS, config_map("a", {"color": "blue"}))
        await http.patch(f"{MAPS}/a", {"metadata": {"labels": {"color": "red"}}})
        await http.patch(f"{MAPS}/a", {"data": {"x": "y"}})
        gone = await http.patch(f"{MAPS}/a", {"metadata": {"labels": {"color": "blue"}}, "data": {"x": "z"}})
        await http.made(MAPS, config_map("b", {"color": "red"}))
        assert await events.take(2) == [("ADDED", "a"), ("MODIFIED", "a")]
        last = await events.next()
        assert last["type"] == "DELETED"
        assert last["object"]["metadata"]["labels"] == {"color": "red"}
        assert last["object"]["data"] == {"x": "y"}
        assert last["object"]["metadata"]["resourceVersion"] == gone.version
        assert await events.take(1) == [("ADDED", "b")]


async def test_a_node_sees_its_own_pods_only(http: Http) -> None:
    pods = f"{DEFAULT}/pods"
    async with http.watch(pods, fieldSelector="spec.nodeName=one") as events:
        await http.made(pods, pod("a", node="two"))
        await http.made(pods, pod("b"))
        bound = {"target": {"kind": "Node", "name": "one"}, "metadata": {"name": "b"}}
        await http.made(f"{pods}/b/binding", bound)
        assert await events.take(1) == [("ADDED", "b")]


async def test_initial_events_end_with_a_bookmark_that_says_so(http: Http, server: ApiServer) -> None:
    await http.made(MAPS, config_map("a"))
    await http.made(MAPS, config_map("b"))
    options = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    async with http.watch(MAPS, **options) as events:
        assert await events.take(2) == [("ADDED", "a"), ("ADDED", "b")]
        mark = await events.next()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["kind"] == "ConfigMap"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert mark["object"]["metadata"]["resourceVersion"] == str(server.store.revision)
        await http.made(MAPS, config_map("c"))
        assert await events.take(1) == [("ADDED", "c")]


async def test_bookmarks_tell_how_far_a_quiet_watch_has_come(
    http: Http, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_EVERY", 0.01)
    await http.made(f"{DEFAULT}/secrets", {"metadata": {"name": "elsewhere"}})
    async with http.watch(MAPS, resourceVersion="1", allowWatchBookmarks="true") as events:
        mark = await events.next()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["resourceVersion"] == str(server.store.revision)


async def test_a_watch_ends_with_its_timeout(http: Http) -> None:
    async with http.watch(MAPS, timeoutSeconds=1) as events:
        with pytest.raises(StopAsyncIteration):
            await events.next()


async def test_a_watch_of_one_name_sees_that_one(http: Http) -> None:
    async with http.watch(MAPS, fieldSelector="metadata.name=b", resourceVersion="1") as events:
        await http.made(MAPS, config_map("a"))
        await http.made(MAPS, config_map("b"))
        assert await events.take(1) == [("ADDED", "b")]


async def test_tables_tell_their_columns_once(http: Http) -> None:
    async with http.watch(MAPS, headers={"Accept": TABLE}) as events:
        await http.made(MAPS, config_map("a"))
        await http.made(MAPS, config_map("b"))
        first, second = await events.next(), await events.next()
        assert first["object"]["kind"] == "Table"
        assert [column["name"] for column in first["object"]["columnDefinitions"]][:1] == ["Name"]
        assert second["object"]["columnDefinitions"] is None
        assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_metadata_can_be_watched_alone(http: Http) -> None:
    async with http.watch(MAPS, headers={"Accept": METADATA}) as events:
        await http.made(MAPS, config_map("a", key="value"))
        event = await events.next()
        assert event["object"]["kind"] == "PartialObjectMetadata"
        assert "data" not in event["object"]


async def test_what_is_written_once_is_seen_alike_by_many(http: Http) -> None:
    async def see() -> list[tuple[str, str]]:
        async with http.watch(MAPS, resourceVersion="1") as events:
            return await events.take(20)

    watchers = [asyncio.create_task(see()) for _ in range(10)]
    for index in range(20):
        await http.made(MAPS, config_map(f"map-{index:02}"))
    seen = await asyncio.gather(*watchers)
    assert all(each == [("ADDED", f"map-{index:02}") for index in range(20)] for each in seen)


async def test_closing_the_server_ends_watches_in_order(http: Http, server: ApiServer) -> None:
    async with http.watch(MAPS, resourceVersion="1") as events:
        await http.made(MAPS, config_map("a"))
        closing = asyncio.create_task(server.close())
        assert [event["type"] for event in await events.rest()] == ["ADDED"]
        await closing


async def test_the_older_form_of_a_watch(http: Http) -> None:
    await http.made(MAPS, config_map("a"))
    await http.made(MAPS, config_map("b"))
    older = MAPS.replace("/api/v1/", "/api/v1/watch/")
    async with http.watch(older, watch="false") as events:
        assert await events.take(2) == [("ADDED", "a"), ("ADDED", "b")]
    async with http.watch(f"{older}/b") as events:
        assert await events.take(1) == [("ADDED", "b")]
        await http.patch(f"{MAPS}/a", {"data": {"x": "y"}})
        await http.delete(f"{MAPS}/b")
        assert await events.take(1) == [("DELETED", "b")]
    async with http.watch("/api/v1/watch/namespaces/default") as events:
        assert await events.take(1) == [("ADDED", "default")]
    async with http.watch("/apis/apps/v1/watch/deployments", timeoutSeconds=1) as events:
        assert await events.rest() == []
    for odd in ("/api/v1/watch", "/api/v1/watch/", f"{older}/a/b", "/api/v1/watch/nopes", "/apis/watch/x"):
        assert (await http.get(odd)).code == 404, odd
    assert (await http.delete(f"{older}/a")).code in (404, 405)
    namespace = {"metadata": {"name": "watch"}}
    await http.made("/api/v1/namespaces", namespace)
    assert (await http.get("/api/v1/namespaces/watch/configmaps")).code == 200
