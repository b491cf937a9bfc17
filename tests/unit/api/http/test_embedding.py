"""The server as a library: several in one process, on several addresses, over a store that outlives it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from podium.api.server import ApiServer, ServerConfig
from podium.api.store.sqlite import SqliteStore
from podium.api.types.resources import CONFIG_MAPS, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES
from tests.unit.api.http.harness import DEFAULT, Http, config_map


async def test_two_servers_in_one_process_know_nothing_of_each_other() -> None:
    one, two = ApiServer(), ApiServer()
    await asyncio.gather(one.start(), two.start())
    try:
        await one.client.create(CONFIG_MAPS, config_map("a"), "default")
        assert (await two.client.list(CONFIG_MAPS, "default")).items == []
        assert one.ca_file.read_bytes() != two.ca_file.read_bytes()
    finally:
        await one.close()
        await two.close()


async def test_one_server_listens_on_several_addresses() -> None:
    server = ApiServer()
    await server.start()
    try:
        for host in ("127.0.0.1", "127.0.0.2"):
            http = Http(server, await server.serve(host), server.admin())
            assert (await http.get(f"{DEFAULT}/configmaps")).code == 200
            await http.close()
    finally:
        await server.close()


async def test_a_port_that_is_taken_is_an_error_of_the_caller() -> None:
    server = ApiServer()
    await server.start()
    try:
        host, port = await server.serve()
        with pytest.raises(OSError, match="in use"):
            await server.serve(host, port)
    finally:
        await server.close()


async def test_the_store_and_the_certificates_outlive_a_server(tmp_path: Path) -> None:
    versions = []
    for _ in range(2):
        store = SqliteStore(tmp_path / "state.db")
        await store.start()
        server = ApiServer(ServerConfig(pki_dir=tmp_path / "pki", advertise=("10.89.0.1", 6443)), store)
        await server.start()
        await server.serve()
        if not versions:
            await server.client.create(CONFIG_MAPS, config_map("a"), "default")
        assert (await server.client.get(CONFIG_MAPS, "a", "default"))["metadata"]["name"] == "a"
        versions.append(
            (store.revision, server.ca_file.read_bytes(), (tmp_path / "pki/apiserver.crt").read_bytes())
        )
        await server.close()
        await store.close()
    assert versions[0] == versions[1]


async def test_the_kubernetes_service_leads_to_where_the_server_is_now() -> None:
    store_of = ApiServer(ServerConfig(advertise=("10.89.0.1", 6443)))
    await store_of.start()
    moved = ApiServer(ServerConfig(advertise=("10.90.0.1", 7443)), store_of.store)
    await moved.start()
    try:
        endpoints = await moved.client.get(ENDPOINTS, "kubernetes", "default")
        assert endpoints["subsets"][0]["addresses"] == [{"ip": "10.90.0.1"}]
        piece = await moved.client.get(ENDPOINT_SLICES, "kubernetes", "default")
        assert (piece["endpoints"][0]["addresses"], piece["ports"][0]["port"]) == (["10.90.0.1"], 7443)
    finally:
        await moved.close()
        await store_of.close()


async def test_what_somebody_made_of_the_first_objects_stays(tmp_path: Path) -> None:
    first = ApiServer()
    await first.start()
    await first.client.patch(NAMESPACES, "default", {"metadata": {"labels": {"mine": "yes"}}})
    second = ApiServer(store=first.store)
    await second.start()
    labels = (await second.client.get(NAMESPACES, "default"))["metadata"]["labels"]
    assert labels["mine"] == "yes"
    await second.close()
    await first.close()


async def test_it_leaves_the_process_alone() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    tasks = asyncio.all_tasks()
    server = ApiServer()
    await server.start()
    http = Http(server, await server.serve(), server.admin())
    assert (await http.get("/readyz")).code == 200
    await http.close()
    await server.close()
    await server.close()
    assert {each: signal.getsignal(each) for each in before} == before
    assert asyncio.all_tasks() - tasks == set()


async def test_requests_at_the_end_are_answered_before_the_connection_goes(tmp_path: Path) -> None:
    server = ApiServer()
    await server.start()
    http = Http(server, await server.serve(), server.admin())
    await http.get("/readyz")
    asked = [asyncio.create_task(http.get(f"{DEFAULT}/configmaps")) for _ in range(5)]
    await asyncio.gather(*asked)
    await server.close()
    assert all(task.result().code == 200 for task in asked)
    await http.close()


async def test_without_tls_it_serves_plain_http_to_nobody(tmp_path: Path) -> None:
    """For a front end that does TLS itself: then everybody needs a token."""
    import aiohttp

    server = ApiServer()
    await server.start()
    try:
        host, port = await server.serve(tls=False)
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/api") as response:
            assert response.status == 401
    finally:
        await server.close()
