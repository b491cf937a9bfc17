from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import NAMESPACES, NETWORK_POLICIES, PODS
from podium.netd.policies.plan import ruleset
from podium.netd.policies.pods import PodView, view
from podium.netd.policies.ruleset import Ruleset, changes

from .world import NODE, UPLINK, Pod, World, run

CLOSED = {"ingress": [], "policyTypes": ["Ingress"]}


def policy(name: str = "p", namespace: str = "default", **spec: Any) -> Obj:
    types = [kind for kind in ("Ingress", "Egress") if kind.lower() in spec] or ["Ingress"]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": types, **spec},
    }


def apps(*names: str) -> Obj:
    return {"matchExpressions": [{"key": "app", "operator": "In", "values": list(names)}]}


class Town:
    """Pods with labels, known to the API and connected."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def space(self, name: str, **labels: str) -> None:
        await self.world.client.put(NAMESPACES, {"metadata": {"name": name, "labels": labels}})

    async def pod(self, app: str, namespace: str = "default") -> Pod:
        made = await self.world.pod()
        meta = {"name": made.uid, "namespace": namespace, "uid": made.uid, "labels": {"app": app}}
        ports = [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]
        spec = {"nodeName": NODE, "containers": [{"name": "c", "ports": ports}]}
        await self.world.client.put(
            PODS, {"metadata": meta, "spec": spec, "status": {"podIP": made.ip, "phase": "Running"}}
        )
        return await made.serve()

    async def rule(self, *policies: Obj) -> None:
        for one in policies:
            await self.world.client.put(NETWORK_POLICIES, one)
        await self.world.netd.policies.settled()

    async def lift(self, name: str) -> None:
        await self.world.client.remove(NETWORK_POLICIES, name, "default")
        await self.world.netd.policies.settled()

    async def meets(self, client: Pod | str, server: Pod, port: int = 8080) -> bool:
        netns = client.netns if isinstance(client, Pod) else client
        try:
            async with asyncio.timeout(0.3):
                await self.world.ask(netns, server.ip, port)
        except TimeoutError:
            return False
        return True


@pytest.fixture
async def town(world: World) -> Town:
    made = Town(world)
    await made.space("default", team="here")
    await made.space("other", team="there")
    return made


async def test_pods_are_open_until_a_policy_selects_them_and_again_when_it_goes(town: Town) -> None:
    web, client = await town.pod("web"), await town.pod("client")
    assert await town.meets(client, web)
    assert "podium-policy" not in run("nft list tables")
    await town.rule(policy(podSelector=apps("web"), **CLOSED))
    assert not await town.meets(client, web)
    assert await town.meets(web, client)
    assert await town.meets(web, web)
    assert await town.meets("", web), "probes come from the node"
    await town.lift("p")
    assert await town.meets(client, web)
    assert "podium-policy" not in run("nft list tables")


async def test_who_may_come_in_is_said_by_pod_by_namespace_and_by_address(town: Town) -> None:
    web = await town.pod("web")
    friend, stranger = await town.pod("friend"), await town.pod("stranger")
    far = await town.pod("friend", "other")

    async def allowed(*peers: Obj) -> list[bool]:
        await town.rule(policy(podSelector=apps("web"), ingress=[{"from": list(peers)}]))
        return [await town.meets(one, web) for one in (friend, stranger, far)]

    there = {"matchLabels": {"team": "there"}}
    assert await allowed({"podSelector": apps("friend")}) == [True, False, False]
    assert await allowed({"namespaceSelector": there}) == [False, False, True]
    assert await allowed({"namespaceSelector": {}, "podSelector": apps("friend")}) == [True, False, True]
    block = {"cidr": "10.42.0.0/16", "except": [f"{stranger.ip}/32"]}
    assert await allowed({"ipBlock": block}) == [True, False, True]
    everybody = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.42.0.0/16"]}}
    assert await allowed(everybody, {"podSelector": apps("stranger")}) == [False, True, False]
    await town.rule(policy(podSelector=apps("web"), ingress=[{}]))
    assert await town.meets(stranger, web)


async def test_ports_are_numbers_ranges_and_names(town: Town) -> None:
    web, client = await town.pod("web"), await town.pod("client")
    await web.serve(9000)

    async def allowed(*ports: Obj) -> list[bool]:
        await town.rule(policy(podSelector=apps("web"), ingress=[{"ports": list(ports)}]))
        return [await town.meets(client, web, port) for port in (8080, 9000)]

    tcp = {"protocol": "TCP"}
    assert await allowed({**tcp, "port": 8080}) == [True, False]
    ranges = ({**tcp, "port": 8000, "endPort": 8090}, {**tcp, "port": 8050, "endPort": 9000})
    assert await allowed(*ranges) == [True, True]
    assert await allowed({**tcp, "port": "web"}) == [True, False]
    assert await allowed({"protocol": "UDP", "port": 9000}) == [False, False]
    assert await allowed(tcp) == [True, True]


async def test_who_may_be_called_is_said_too_and_both_ends_must_agree(town: Town) -> None:
    client, web, db = await town.pod("client"), await town.pod("web"), await town.pod("db")
    await town.world.serve(town.world.outside, 7000, "outside")
    egress = [{"to": [{"podSelector": apps("web")}], "ports": [{"protocol": "TCP", "port": "web"}]}]
    await town.rule(policy(podSelector=apps("client"), egress=egress, policyTypes=["Egress"]))
    assert await town.meets(client, web)
    assert not await town.meets(client, db)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await client.ask("192.0.2.1", 7000)
    await town.rule(policy("closed", podSelector=apps("web"), **CLOSED))
    assert not await town.meets(client, web)
    assert not await town.meets(db, web)
    await town.rule(policy("open", podSelector=apps("web"), ingress=[{"from": [{"podSelector": {}}]}]))
    assert await town.meets(client, web)


async def test_a_service_leads_only_where_the_policies_of_its_pods_let(town: Town) -> None:
    web, friend, stranger = [await town.pod(app) for app in ("web", "friend", "stranger")]
    await town.world.service("web", "10.43.1.1", ports=[{"port": 80, "nodePort": 30080}], type="NodePort")
    await town.world.endpoints("web", web)
    await town.rule(policy(podSelector=apps("web"), ingress=[{"from": [{"podSelector": apps("friend")}]}]))
    assert await friend.ask("10.43.1.1") == f"{web.uid} {friend.ip}"
    for netns, ip, port in ((stranger.netns, "10.43.1.1", 80), (town.world.outside, UPLINK, 30080)):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await town.world.ask(netns, ip, port)


async def test_what_is_established_goes_on_through_policies_and_restarts(town: Town) -> None:
    web, client = await town.pod("web"), await town.pod("client")
    reader, writer = await town.world.connect(client.netns, web.ip, 8080)
    await reader.readline()
    await town.rule(policy(podSelector=apps("web"), **CLOSED))
    for step in (b"one\n", b"two\n"):
        writer.write(step)
        assert await reader.readline() == step
        await town.world.kill_netd()
        assert not await town.meets(client, web)
        await town.world.start_netd()
        assert not await town.meets(client, web)
    writer.close()
    await town.world.flush_ruleset()
    assert not await town.meets(client, web)


async def test_a_pod_starts_with_its_rules_and_a_changed_label_changes_one_element(town: Town) -> None:
    await town.rule(policy(**CLOSED))
    await town.pod("first")
    meta = {"uid": "new", "namespace": "default", "name": "new", "labels": {}}
    netns = str(town.world.tmp / "ns" / "new")
    (ip,) = await town.world.netd.pods.setup({"metadata": meta, "spec": {"containers": []}}, netns)
    assert f"{ip} : goto" in run("nft list map ip podium-policy pods-ingress")
    await town.world.netd.pods.teardown("new", netns)
    await town.world.netd.policies.settled()
    assert ip not in run("nft list map ip podium-policy pods-ingress")


def pod_view(name: str, ip: str, **labels: str) -> PodView:
    return PodView(name, "default", tuple(labels.items()), ip, NODE, ())


def test_a_pod_that_comes_changes_elements_and_no_rule() -> None:
    rules = [policy(podSelector=apps("web"), ingress=[{"from": [{"podSelector": apps("friend")}]}])]
    pods = [pod_view("a", "10.42.0.2", app="web"), pod_view("b", "10.42.0.3", app="friend")]
    before = ruleset(rules, pods, {"default": {}}, NODE)
    after = ruleset(rules, [*pods, pod_view("c", "10.42.0.4", app="friend")], {"default": {}}, NODE)
    (line,) = changes("t", before, after).splitlines()
    assert line.startswith("add element ip t peers-")
    assert line.endswith("{ 10.42.0.4 }")
    assert changes("t", after, after) == ""
    assert "delete set" in changes("t", after, Ruleset())


def test_pods_of_other_nodes_are_peers_and_not_guarded_here() -> None:
    rules = [policy(**CLOSED)]
    elsewhere = pod_view("a", "10.42.1.2")._replace(node="other")
    assert ruleset(rules, [elsewhere], {}, NODE) == Ruleset()


@pytest.mark.parametrize(
    "pod",
    [
        {"spec": {"hostNetwork": True}, "status": {"podIP": UPLINK}},
        {"spec": {}, "status": {}},
        {"spec": {}, "status": {"podIP": "fd00::1"}},
        {"spec": {}, "status": {"podIP": "10.42.0.2", "phase": "Failed"}},
    ],
)
def test_pods_without_an_address_of_their_own_concern_nobody(pod: Obj) -> None:
    assert view({"metadata": {"uid": "a"}, **pod}) is None
