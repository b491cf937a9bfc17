"""What whoever runs the server looks at: health, and how it ends."""

from __future__ import annotations

import asyncio
import json

import pytest

from podium.api.server import ApiServer, ServerConfig
from tests.unit.api.http.harness import DEFAULT, Http, config_map

MAPS = f"{DEFAULT}/configmaps"


async def text(http: Http, path: str) -> tuple[int, str]:
    async with http.session.get(http.base + path) as reply:
        return reply.status, await reply.text()


async def test_health_is_told_by_named_checks(nobody: Http) -> None:
    assert await text(nobody, "/livez") == (200, "ok")
    assert await text(nobody, "/livez?verbose") == (200, "[+]ping ok\n[+]store ok\nlivez check passed\n")
    assert await text(nobody, "/readyz/ping") == (200, "ok")
    _, told = await text(nobody, "/readyz?verbose&exclude=store&exclude=nothing")
    assert "[+]store excluded: ok\n" in told
    assert 'warn: some health checks cannot be excluded: no matches for "nothing"\n' in told
    assert (await text(nobody, "/readyz/nothing"))[0] == 404


async def test_a_check_that_fails_is_named_and_its_reason_withheld(
    server: ApiServer, nobody: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.store, "_fault", "the disk is full")
    code, told = await text(nobody, "/healthz")
    assert (code, told) == (500, "[+]ping ok\n[-]store failed: reason withheld\nhealthz check failed\n")
    assert await text(nobody, "/healthz?exclude=store") == (200, "ok")
    assert (await text(nobody, "/livez/store"))[0] == 500


async def test_a_server_that_ends_is_unready_first_and_ends_its_watches_in_order() -> None:
    server = ApiServer(ServerConfig(shutdown_delay=0.3))
    await server.start()
    http = Http(server, await server.serve(), server.admin())
    try:
        async with http.session.get(f"{http.base}{MAPS}?watch=1") as watch:
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            code, told = await text(http, "/readyz")
            assert code == 500
            assert "[-]shutdown failed: reason withheld\n" in told
            assert (await text(http, "/livez"))[0] == 200
            await http.made(MAPS, config_map("late"))
            # An end that is missing would be a ClientPayloadError.
            lines = (await watch.content.read()).splitlines()
            assert json.loads(lines[-1])["object"]["metadata"]["name"] == "late"
        await closing
    finally:
        await http.close()


async def test_a_request_under_way_is_answered_and_a_new_one_sent_away() -> None:
    server = ApiServer()
    await server.start()
    host, port = await server.serve()
    http = Http(server, (host, port), server.admin())
    try:
        under_way = asyncio.Event()

        async def slowly():  # type: ignore[no-untyped-def]
            body = json.dumps(config_map("slow")).encode()
            yield body[:10]
            await under_way.wait()
            yield body[10:]

        headers = {"Content-Type": "application/json"}
        posted = asyncio.create_task(http.session.post(http.base + MAPS, data=slowly(), headers=headers))
        await text(http, "/livez")
        while not any(each.method == "POST" for each in server._running.open):  # noqa: ASYNC110
            await asyncio.sleep(0)
        async with http.session.get(http.base + "/version") as reply:
            # Its connection goes back to the pool, and serves the next request.
            await reply.read()
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0)
        refused = await http.get(MAPS)
        assert (refused.code, refused.reason) == (429, "TooManyRequests")
        assert refused.headers["Retry-After"] == "5"
        under_way.set()
        assert (await posted).status == 201
        await closing
    finally:
        await http.close()


async def test_a_request_that_takes_too_long_is_answered_so() -> None:
    server = ApiServer(ServerConfig(request_timeout=0.2))
    await server.start()
    http = Http(server, await server.serve(), server.admin())
    try:

        async def never():  # type: ignore[no-untyped-def]
            yield b"{"
            await asyncio.Event().wait()

        headers = {"Content-Type": "application/json"}
        async with http.session.post(http.base + MAPS, data=never(), headers=headers) as reply:
            status = await reply.json()
            assert (reply.status, status["reason"]) == (504, "Timeout")
        # A watch may take as long as it wants.
        async with http.session.get(f"{http.base}{MAPS}?watch=1&timeoutSeconds=1") as watch:
            await watch.content.read()
            assert watch.status == 200
    finally:
        await http.close()
        await server.close()


async def test_a_body_that_is_too_large_is_refused(http: Http) -> None:
    reply = await http("POST", MAPS, b"{" + b" " * (3 << 20), {"Content-Type": "application/json"})
    assert (reply.code, reply.reason) == (413, "RequestEntityTooLarge")


async def test_what_clients_make_up_makes_no_series_of_its_own(http: Http, nobody: Http) -> None:
    for turn in range(3):
        await http("GET", f"{DEFAULT}/pods/a/made-up-{turn}")
        await http("GET", f"/made/up/{turn}")
    _, told = await text(http, "/metrics")
    assert "apiserver_request_total{" in told
    assert "made-up" not in told
    assert "/made" not in told
