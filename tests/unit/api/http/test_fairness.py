"""Priority and fairness as clients and administrators see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from podium.api.fairness.keeping import judged, restored
from podium.api.fairness.objects import AUTOUPDATE, LEVELS, SCHEMAS, flow_schema, priority_level
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from podium.api.types.resources import CONFIG_MAPS, SERVICE_ACCOUNTS
from tests.unit.api.http.harness import DEFAULT, Http, config_map

FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
SCHEMA_PATH, LEVEL_PATH = f"{FLOW}/flowschemas", f"{FLOW}/prioritylevelconfigurations"
MAPS = f"{DEFAULT}/configmaps"


def schema(name: str, level: str, **spec: object) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": 50, **spec},
    }


def everything_of(user: str) -> list[Obj]:
    return [
        {
            "subjects": [{"kind": "User", "user": {"name": user}}],
            "resourceRules": [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]},
            ],
        }
    ]


async def token(server: ApiServer, name: str) -> str:
    await server.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": name}}, "default")
    made = await server.client.create(
        SERVICE_ACCOUNTS, {"spec": {}}, "default", name=name, subresource="token"
    )
    return str(made["status"]["token"])


@pytest.fixture
async def flooded() -> AsyncIterator[tuple[ApiServer, Http]]:
    """A server with few seats."""
    server = ApiServer(ServerConfig(max_requests_inflight=20, max_mutating_requests_inflight=10))
    await server.start()
    http = Http(server, await server.serve(), server.admin())
    try:
        yield server, http
    finally:
        await http.close()
        await server.close()


async def test_every_cluster_has_its_levels_and_schemas(http: Http) -> None:
    assert set((await http.get(LEVEL_PATH)).names) == set(LEVELS)
    found = (await http.get(SCHEMA_PATH)).obj["items"]
    assert {obj["metadata"]["name"] for obj in found} == set(SCHEMAS)
    assert all(obj["metadata"]["annotations"][AUTOUPDATE] == "true" for obj in found)
    conditions = [obj["status"]["conditions"][0] for obj in found]
    assert {(each["type"], each["status"], each["reason"]) for each in conditions} == {
        ("Dangling", "False", "Found")
    }


async def event(http: Http, path: str, version: str, holds: Callable[[Obj], bool]) -> Obj:
    """The first object that is as wished, from `version` on."""
    async with asyncio.timeout(10), http.watch(path, resourceVersion=version) as events:
        while True:
            obj: Obj = (await events.next())["object"]
            if holds(obj):
                return obj


def dangling(name: str, status: str) -> Callable[[Obj], bool]:
    def holds(obj: Obj) -> bool:
        conditions = (obj.get("status") or {}).get("conditions") or [{}]
        return obj["metadata"]["name"] == name and conditions[0].get("status") == status

    return holds


async def test_a_schema_says_whether_its_level_is_there(http: Http) -> None:
    made = await http.made(SCHEMA_PATH, schema("lost", "nowhere"))
    version = made["metadata"]["resourceVersion"]
    found = await event(http, SCHEMA_PATH, version, dangling("lost", "True"))
    [condition] = found["status"]["conditions"]
    assert condition["message"] == (
        'This FlowSchema references the PriorityLevelConfiguration object named "nowhere" but there is no '
        "such object"
    )
    level = {"metadata": {"name": "nowhere"}, "spec": priority_level("system")["spec"]}
    await http.made(LEVEL_PATH, level)
    await event(http, SCHEMA_PATH, version, dangling("lost", "False"))


async def test_what_nobody_can_do_without_comes_back(http: Http) -> None:
    version = (await http.get(SCHEMA_PATH)).version
    assert (await http.delete(f"{SCHEMA_PATH}/catch-all")).code == 200
    await event(http, SCHEMA_PATH, version, dangling("catch-all", "False"))


def test_who_takes_an_object_into_his_own_hands_keeps_what_he_wrote() -> None:
    wanted = priority_level("system")
    changed = priority_level("system")
    changed["spec"]["limited"]["nominalConcurrencyShares"] = 1
    changed["metadata"]["annotations"][AUTOUPDATE] = "true"
    assert restored(changed, wanted)["spec"] == wanted["spec"]
    changed["metadata"]["annotations"][AUTOUPDATE] = "false"
    assert restored(changed, wanted) is changed
    mandatory = priority_level("catch-all")
    mandatory["spec"]["limited"]["nominalConcurrencyShares"] = 500
    mandatory["metadata"]["annotations"][AUTOUPDATE] = "false"
    assert restored(mandatory, priority_level("catch-all"))["spec"] == priority_level("catch-all")["spec"]


def test_a_condition_that_stays_keeps_its_time() -> None:
    first = judged(flow_schema("probes"), {"exempt"}, "then")
    assert judged(first, {"exempt"}, "now") is first
    lost = judged(first, set(), "now")["status"]["conditions"]
    assert [each["lastTransitionTime"] for each in lost] == ["now"]


async def test_an_answer_names_its_schema_and_its_level(http: Http) -> None:
    reply = await http.get(MAPS)
    exempt = (await http.get(f"{SCHEMA_PATH}/exempt")).obj["metadata"]["uid"]
    level = (await http.get(f"{LEVEL_PATH}/exempt")).obj["metadata"]["uid"]
    assert reply.headers["X-Kubernetes-PF-FlowSchema-UID"] == exempt
    assert reply.headers["X-Kubernetes-PF-PriorityLevel-UID"] == level
    assert "X-Kubernetes-PF-FlowSchema-UID" in (await http.get("/version")).headers


async def test_a_new_schema_counts_for_the_requests_behind_it(server: ApiServer, http: Http) -> None:
    secret = await token(server, "app")
    user = "system:serviceaccount:default:app"
    mine = await http.made(SCHEMA_PATH, schema("mine", "workload-high", rules=everything_of(user)))
    await event(http, SCHEMA_PATH, mine["metadata"]["resourceVersion"], dangling("mine", "False"))
    reply = await http("GET", MAPS, headers={"Authorization": f"Bearer {secret}"})
    # The certificate is the administrator's, and comes first.
    assert reply.headers["X-Kubernetes-PF-FlowSchema-UID"] != mine["metadata"]["uid"]
    host, port = await server.serve(tls=False)
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}) as session,
        session.get(f"http://{host}:{port}{MAPS}") as answer,
    ):
        assert answer.headers["X-Kubernetes-PF-FlowSchema-UID"] == mine["metadata"]["uid"]


async def test_a_flood_neither_starves_others_nor_grows_without_bound(
    flooded: tuple[ApiServer, Http],
) -> None:
    server, http = flooded
    limited = {"limited": {"limitResponse": {"queuing": {"queueLengthLimit": 10}}}}
    mine = {"metadata": {"annotations": {AUTOUPDATE: "false"}}, "spec": limited}
    assert (await http.patch(f"{LEVEL_PATH}/workload-low", mine)).code == 200
    for number in range(200):
        await server.client.create(CONFIG_MAPS, config_map(f"m{number}", a="x" * 500), "default")
    noisy, quiet = await token(server, "noisy"), await token(server, "quiet")
    host, port = await server.serve(tls=False)
    url, codes, stop = f"http://{host}:{port}{MAPS}", list[int](), False

    async def flood(session: aiohttp.ClientSession) -> None:
        while not stop:
            async with session.get(url, headers={"Authorization": f"Bearer {noisy}"}) as reply:
                await reply.read()
                codes.append(reply.status)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        floods = [asyncio.create_task(flood(session)) for _ in range(120)]
        while not codes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for _ in range(10):
            async with session.get(f"{url}/m1", headers={"Authorization": f"Bearer {quiet}"}) as reply:
                assert reply.status == 200
            # An administrator waits for nobody.
            assert (await http.get(f"{MAPS}/m1")).code == 200
        stop = True
        await asyncio.gather(*floods)
    assert set(codes) <= {200, 429}
    assert 429 in codes
    text = (await http.get("/metrics")).text
    labels = 'flow_schema="service-accounts",priority_level="workload-low"'
    assert f"apiserver_flowcontrol_current_executing_requests{{{labels}}} 0.0" in text
    assert f"apiserver_flowcontrol_current_inqueue_requests{{{labels}}} 0.0" in text
    assert 'apiserver_flowcontrol_rejected_requests_total{flow_schema="service-accounts"' in text


async def test_a_watch_holds_its_seat_only_until_it_has_begun(flooded: tuple[ApiServer, Http]) -> None:
    server, _ = flooded
    host, port = await server.serve(tls=False)
    headers = {"Authorization": f"Bearer {await token(server, 'watcher')}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        url = f"http://{host}:{port}{MAPS}?watch=1"
        watches = await asyncio.gather(*(session.get(url) for _ in range(100)))
        assert {watch.status for watch in watches} == {200}
        async with session.get(f"http://{host}:{port}{MAPS}") as reply:
            assert reply.status == 200
        for watch in watches:
            watch.close()
