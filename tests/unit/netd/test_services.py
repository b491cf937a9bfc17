from __future__ import annotations

import asyncio

import pytest

from podium.api.types import Obj

from .world import NODE, UPLINK, Pod, World


async def test_every_replica_answers_in_turn_from_the_node_and_from_pods(world: World) -> None:
    pods = [await (await world.pod()).serve() for _ in range(3)]
    client = await world.pod()
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", *pods)
    from_pod = [(await client.ask("10.43.1.1")).split() for _ in range(6)]
    assert sorted(name for name, _ in from_pod[:3]) == sorted(pod.uid for pod in pods)
    assert from_pod[:3] == from_pod[3:]
    assert {source for _, source in from_pod} == {client.ip}
    from_node = [(await world.ask("", "10.43.1.1", 80)).split() for _ in range(3)]
    assert {name for name, _ in from_node} == {pod.uid for pod in pods}
    assert {source for _, source in from_node} == {"10.42.0.1"}


async def test_a_service_without_endpoints_and_an_unknown_port_are_refused_at_once(world: World) -> None:
    client = await world.pod()
    await world.service("web", "10.43.1.1")
    for netns in ("", client.netns):
        with pytest.raises(ConnectionRefusedError):
            await world.ask(netns, "10.43.1.1", 80)
        with pytest.raises(ConnectionRefusedError):
            await world.ask(netns, "10.43.77.7", 80)


async def test_a_connection_lives_through_a_change_of_endpoints_and_new_ones_go_elsewhere(
    world: World,
) -> None:
    old, new = await (await world.pod()).serve(), await (await world.pod()).serve()
    client = await world.pod()
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", old)
    reader, writer = await world.connect(client.netns, "10.43.1.1", 80)
    assert (await reader.readline()).split()[0] == old.uid.encode()
    await world.endpoints("web", new)
    writer.write(b"still there\n")
    assert await reader.readline() == b"still there\n"
    assert (await client.ask("10.43.1.1")).split()[0] == new.uid
    writer.close()


async def test_a_pod_reaches_itself_through_its_service(world: World) -> None:
    pod = await (await world.pod()).serve()
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", pod)
    assert await pod.ask("10.43.1.1") == f"{pod.uid} 10.42.0.1"


async def test_a_node_port_answers_on_every_address_of_the_node(world: World) -> None:
    pod = await (await world.pod()).serve()
    client = await world.pod()
    port = {"port": 80, "protocol": "TCP", "nodePort": 30080}
    await world.service("web", "10.43.1.1", ports=[port], type="NodePort")
    await world.endpoints("web", pod)
    assert await world.ask(world.outside, UPLINK, 30080) == f"{pod.uid} 192.0.2.1"
    assert await world.ask("", UPLINK, 30080) == f"{pod.uid} {UPLINK}"
    assert await world.ask("", "127.0.0.1", 30080) == f"{pod.uid} 10.42.0.1"
    assert await client.ask("10.42.0.1", 30080) == f"{pod.uid} {client.ip}"
    assert await pod.ask(UPLINK, 30080) == f"{pod.uid} 10.42.0.1"


async def test_the_local_policy_keeps_strangers_on_the_node_and_lets_pods_go_anywhere(world: World) -> None:
    pod = await (await world.pod()).serve()
    client = await world.pod()
    await world.serve(world.outside, 8080, "elsewhere")
    elsewhere = {"addresses": ["192.0.2.1"], "nodeName": "node-2", "conditions": {"ready": True}}
    port = {"port": 80, "protocol": "TCP", "nodePort": 30080}
    local = {"type": "NodePort", "externalTrafficPolicy": "Local"}
    await world.service("web", "10.43.1.1", ports=[port], **local)
    await world.endpoints("web", pod, elsewhere)
    assert {await world.ask(world.outside, UPLINK, 30080) for _ in range(3)} == {f"{pod.uid} 192.0.2.1"}
    assert {(await client.ask(UPLINK, 30080)).split()[0] for _ in range(2)} == {pod.uid, "elsewhere"}
    await world.endpoints("web", elsewhere)
    with pytest.raises(ConnectionRefusedError):
        await world.ask(world.outside, UPLINK, 30080)
    assert (await client.ask(UPLINK, 30080)).split()[0] == "elsewhere"


async def test_the_internal_local_policy_uses_this_nodes_endpoints_only(world: World) -> None:
    pod = await (await world.pod()).serve()
    elsewhere = {"addresses": ["192.0.2.1"], "nodeName": "node-2", "conditions": {"ready": True}}
    await world.service("web", "10.43.1.1", internalTrafficPolicy="Local")
    await world.endpoints("web", pod, elsewhere)
    assert {(await world.ask("", "10.43.1.1", 80)).split()[0] for _ in range(3)} == {pod.uid}
    await world.endpoints("web", elsewhere)
    with pytest.raises(ConnectionRefusedError):
        await world.ask("", "10.43.1.1", 80)


async def test_an_endpoint_outside_of_the_cluster_sees_the_nodes_address(world: World) -> None:
    client = await world.pod()
    await world.serve(world.outside, 8080, "elsewhere")
    await world.service("db", "10.43.1.1")
    await world.endpoints("db", {"addresses": ["192.0.2.1"], "conditions": {"ready": True}})
    assert await client.ask("10.43.1.1") == f"elsewhere {UPLINK}"
    assert await world.ask("", "10.43.1.1", 80) == f"elsewhere {UPLINK}"


async def test_a_client_sticks_to_an_endpoint_until_that_is_gone(world: World) -> None:
    pods = [await (await world.pod()).serve() for _ in range(3)]
    client, other = await world.pod(), await world.pod()
    await world.service("web", "10.43.1.1", sessionAffinity="ClientIP")
    await world.endpoints("web", *pods)
    (chosen,) = {(await client.ask("10.43.1.1")).split()[0] for _ in range(4)}
    (others,) = {(await other.ask("10.43.1.1")).split()[0] for _ in range(4)}
    assert chosen != others
    await world.endpoints("web", *(pod for pod in pods if pod.uid != chosen))
    (second,) = {(await client.ask("10.43.1.1")).split()[0] for _ in range(4)}
    assert second != chosen
    assert {(await other.ask("10.43.1.1")).split()[0] for _ in range(4)} == {others}
    await world.service("web", "10.43.1.1")
    assert len({(await client.ask("10.43.1.1")).split()[0] for _ in range(2)}) == 2


async def test_what_serves_while_it_terminates_is_used_when_nothing_is_ready(world: World) -> None:
    leaving, ready = await (await world.pod()).serve(), await (await world.pod()).serve()
    terminating = leaving.endpoint(ready=False, serving=True, terminating=True)
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", terminating, ready)
    assert {(await world.ask("", "10.43.1.1", 80)).split()[0] for _ in range(3)} == {ready.uid}
    await world.endpoints("web", terminating, ready.endpoint(ready=False))
    assert {(await world.ask("", "10.43.1.1", 80)).split()[0] for _ in range(3)} == {leaving.uid}


async def test_an_external_address_leads_to_the_service_or_is_refused(world: World) -> None:
    pod = await (await world.pod()).serve()
    await world.service("web", "10.43.1.1", externalIPs=["198.51.100.7"])
    with pytest.raises(ConnectionRefusedError):
        await world.ask("", "198.51.100.7", 80)
    await world.endpoints("web", pod)
    assert (await world.ask("", "198.51.100.7", 80)).split()[0] == pod.uid


async def test_a_host_port_leads_to_its_pod_until_the_pod_is_gone(world: World) -> None:
    ports = [
        {"containerPort": 8080, "hostPort": 9000},
        {"containerPort": 8080, "hostPort": 9001, "hostIP": UPLINK},
    ]
    pod = await (await world.pod(containers=[{"name": "c", "ports": ports}])).serve()
    await world.settled()
    assert await world.ask(world.outside, UPLINK, 9000) == f"{pod.uid} 192.0.2.1"
    assert await world.ask("", "127.0.0.1", 9000) == f"{pod.uid} 10.42.0.1"
    assert await world.ask(world.outside, UPLINK, 9001) == f"{pod.uid} 192.0.2.1"
    with pytest.raises(ConnectionRefusedError):
        await world.ask("", "127.0.0.1", 9001)
    await pod.remove()
    await world.settled()
    with pytest.raises(ConnectionRefusedError):
        await world.ask(world.outside, UPLINK, 9000)


async def test_datagrams_of_one_flow_move_on_when_their_endpoint_is_gone(world: World) -> None:
    old, new = await world.pod(), await world.pod()
    await world.serve_udp(old.netns, 5353, "old")
    await world.serve_udp(new.netns, 5353, "new")
    client = await world.pod()
    port = {"port": 53, "protocol": "UDP"}
    await world.service("dns", "10.43.1.1", ports=[port])
    await world.endpoints("dns", old, port=5353, protocol="UDP")
    flow = await world.flow(client.netns, "10.43.1.1", 53)
    assert await flow.ask() == f"old {client.ip}"
    await world.endpoints("dns", new, port=5353, protocol="UDP")
    assert await flow.ask() == f"new {client.ip}"
    flow.close()


async def test_services_stay_and_connections_live_while_the_daemon_is_killed_and_started(
    world: World,
) -> None:
    pod, client = await (await world.pod()).serve(), await world.pod()
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", pod)
    reader, writer = await world.connect(client.netns, "10.43.1.1", 80)
    await reader.readline()
    await world.kill_netd()
    assert (await client.ask("10.43.1.1")).split()[0] == pod.uid
    await world.start_netd()
    assert (await client.ask("10.43.1.1")).split()[0] == pod.uid
    writer.write(b"still there\n")
    assert await reader.readline() == b"still there\n"
    writer.close()


async def test_services_that_went_while_the_daemon_was_away_are_gone_afterwards(world: World) -> None:
    pod = await (await world.pod()).serve()
    for affinity in ("None", "ClientIP"):
        await world.service("web", "10.43.1.1", sessionAffinity=affinity)
        await world.endpoints("web", pod)
        await world.kill_netd()
        await world.forget("web")
        await world.start_netd()
        with pytest.raises(ConnectionRefusedError):
            await world.ask("", "10.43.1.1", 80)
        assert "svc-" not in world.table()
        assert "sticky" not in world.table()


async def test_a_flushed_ruleset_comes_back(world: World) -> None:
    pod = await (await world.pod()).serve()
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", pod)
    await world.flush_ruleset()
    assert (await world.ask("", "10.43.1.1", 80)).split()[0] == pod.uid


async def test_a_table_of_somebody_elses_making_under_our_name_is_replaced(world: World) -> None:
    pod = await (await world.pod()).serve()
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", pod)
    await world.kill_netd()
    world.nft("delete table ip podium; add table ip podium; add set ip podium services { type mark; }")
    await world.start_netd()
    assert (await world.ask("", "10.43.1.1", 80)).split()[0] == pod.uid


async def test_endpoints_meant_for_the_node_or_its_zone_are_used_while_everybody_has_a_hint(
    world: World,
) -> None:
    near, far = await (await world.pod()).serve(), await (await world.pod()).serve()
    client = await world.pod()
    await world.service("web", "10.43.1.1", trafficDistribution="PreferSameZone")

    def hinted(pod: Pod, **hints: str) -> Obj:
        return {**pod.endpoint(), "hints": {key: [{"name": name}] for key, name in hints.items()}}

    async def answering() -> set[str]:
        return {(await client.ask("10.43.1.1")).split()[0] for _ in range(4)}

    await world.endpoints("web", hinted(near, forZones="a"), hinted(far, forZones="b"))
    assert await answering() == {near.uid, far.uid}
    await world.node(NODE, world.pod_cidr, UPLINK, labels={"topology.kubernetes.io/zone": "a"})
    await world.settled()
    assert await answering() == {near.uid}
    await world.endpoints("web", hinted(near, forZones="a"), far)
    assert await answering() == {near.uid, far.uid}
    await world.endpoints(
        "web", hinted(near, forZones="a", forNodes="other"), hinted(far, forZones="a", forNodes=NODE)
    )
    assert await answering() == {far.uid}


BALANCED = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]}


async def test_a_load_balancer_answers_at_its_address_without_a_node_port_to_the_ranges_it_is_for(
    world: World,
) -> None:
    pod = await (await world.pod()).serve()
    await world.service("web", "10.43.1.1", addresses=[UPLINK], **BALANCED)
    await world.endpoints("web", pod)
    assert await world.ask(world.outside, UPLINK, 80) == f"{pod.uid} 192.0.2.1"
    assert (await world.ask("", UPLINK, 80)).split()[0] == pod.uid
    ranges = ["192.0.2.0/25", "192.0.2.0/24", "2001:db8::/32"]
    await world.service("web", "10.43.1.1", addresses=[UPLINK], loadBalancerSourceRanges=ranges, **BALANCED)
    assert await world.ask(world.outside, UPLINK, 80) == f"{pod.uid} 192.0.2.1"
    await world.service(
        "web", "10.43.1.1", addresses=[UPLINK], loadBalancerSourceRanges=["198.51.100.0/24"], **BALANCED
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await world.ask(world.outside, UPLINK, 80)
    assert (await world.ask("", "10.43.1.1", 80)).split()[0] == pod.uid


async def test_a_local_load_balancer_without_an_endpoint_here_answers_nobody_and_says_so(
    world: World,
) -> None:
    pod = await (await world.pod()).serve()
    await world.serve("", 80, "something else on the node")
    elsewhere = {"addresses": ["192.0.2.1"], "nodeName": "node-2", "conditions": {"ready": True}}
    local = {**BALANCED, "externalTrafficPolicy": "Local", "healthCheckNodePort": 31999}
    await world.service("web", "10.43.1.1", addresses=[UPLINK], **local)
    await world.endpoints("web", elsewhere)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await world.ask(world.outside, UPLINK, 80)
    status, headers, body = await world.probe(UPLINK, 31999)
    assert (status, headers["X-Load-Balancing-Endpoint-Weight"]) == (503, "0")
    assert body["localEndpoints"] == 0
    await world.endpoints("web", pod, elsewhere)
    assert {await world.ask(world.outside, UPLINK, 80) for _ in range(3)} == {f"{pod.uid} 192.0.2.1"}
    status, headers, body = await world.probe(UPLINK, 31999)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body == {
        "service": {"namespace": "default", "name": "web"},
        "localEndpoints": 1,
        "serviceProxyHealthy": True,
    }
    await world.forget("web")
    await world.settled()
    with pytest.raises(ConnectionRefusedError):
        await world.probe(UPLINK, 31999)


async def test_a_pod_is_withdrawn_once_no_service_sends_it_new_connections(world: World) -> None:
    pod, other = await (await world.pod()).serve(), await (await world.pod()).serve()
    client = await world.pod()
    await world.netd.pods.withdrawn(pod.uid)
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", pod, other)
    waiting = asyncio.create_task(world.netd.pods.withdrawn(pod.uid))
    await world.endpoints("web", pod, other, name="changed")
    assert not waiting.done()
    going = {"ready": False, "serving": True, "terminating": True}
    await world.endpoints("web", pod.endpoint(**going), other)
    async with asyncio.timeout(1):
        await waiting
    assert {(await client.ask("10.43.1.1")).split()[0] for _ in range(4)} == {other.uid}
