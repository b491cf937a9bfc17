from __future__ import annotations

from typing import Any

import pytest

from podium.api.types.resources import ENDPOINT_SLICES, SERVICES
from podium.netd.routes import Peer, entries, peers_of, ways
from podium.netd.rtnl import Neighbour

from .second import NAME, Second, second_node
from .world import Pod, World, run

FAR = Peer("b", "10.42.1.0/24", "198.51.100.3")


def node(name: str, cidr: str = "", address: str = "") -> dict[str, Any]:
    status = {"addresses": [{"type": "Hostname", "address": name}]}
    if address:
        status["addresses"].append({"type": "InternalIP", "address": address})
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr} if cidr else {}, "status": status}


def test_nodes_without_range_or_address_and_the_own_one_are_nobodys_peers() -> None:
    nodes = [
        node("a", "10.42.0.0/24", "192.0.2.2"),
        node("b", *FAR[1:]),
        node("c", "10.42.2.0/24"),
        node("d", address="192.0.2.4"),
        node("e", "fd00::/64", "fd01::1"),
    ]
    assert peers_of(nodes, "a") == [FAR]


@pytest.mark.parametrize(
    ("mode", "near", "tunnel"),
    [("auto", True, False), ("auto", False, True), ("routes", False, False), ("vxlan", True, True)],
)
def test_a_tunnel_is_used_where_no_link_is_shared_unless_the_mode_says_otherwise(
    mode: Any, near: bool, tunnel: bool
) -> None:
    (way,) = ways([FAR], mode, lambda address: near)
    assert way.tunnel is tunnel
    assert way.gateway == ("10.42.1.1" if tunnel else FAR.address)
    mac = "02:50:c6:33:64:03"
    wanted = {Neighbour(mac, "10.42.1.1", False), Neighbour(mac, FAR.address, True)} if tunnel else set()
    assert entries([way]) == wanted


async def serving(second: Second) -> Pod:
    async def make(node: World) -> Pod:
        return await (await node.pod()).serve()

    return await second.do(make)


@pytest.mark.parametrize(
    ("shares_link", "mode", "way"),
    [
        (True, "auto", "10.42.1.0/24 via 192.0.2.3 dev up0"),
        (False, "auto", "10.42.1.0/24 via 10.42.1.1 dev podium-vxlan"),
        (True, "vxlan", "10.42.1.0/24 via 10.42.1.1 dev podium-vxlan"),
    ],
)
async def test_pods_of_two_nodes_meet_with_their_own_addresses(
    world: World, shares_link: bool, mode: Any, way: str
) -> None:
    await world.kill_netd()
    object.__setattr__(world.config, "mode", mode)
    await world.start_netd()
    async with second_node(world, shares_link=shares_link, mode=mode) as second:
        await world.routed(way)
        there = await serving(second)
        here = await (await world.pod()).serve()
        assert await here.ask(there.ip, 8080) == f"{there.uid} {here.ip}"
        assert await second.do(lambda node: there.ask(here.ip, 8080)) == f"{here.uid} {there.ip}"
        tunnel = "vxlan" in way
        own = "10.42.0.1" if tunnel else "192.0.2.2"
        assert await world.ask("", there.ip, 8080) == f"{there.uid} {own}"
        assert f" mtu {1450 if tunnel else 1500} " in run("ip -o link show eth0", here.netns)
        reader, writer = await world.connect(here.netns, there.ip, 8080)
        await reader.readline()
        writer.write(b"x" * 60000 + b"\n")
        assert len(await reader.readexactly(60001)) == 60001
        await world.kill_netd()
        await world.start_netd()
        writer.write(b"still there\n")
        assert await reader.readline() == b"still there\n"
        writer.close()


async def test_a_way_goes_with_its_node_and_the_tunnel_with_the_last_of_them(world: World) -> None:
    await world.node("b", FAR.pod_cidr, FAR.address)
    await world.node("c", "10.42.2.0/24", "198.51.100.4")
    await world.routed("10.42.2.0/24 via 10.42.2.1 dev podium-vxlan")
    assert run("bridge fdb show dev podium-vxlan").count("dst 198.51.100.") == 2
    await world.node("c", "10.42.2.0/24", "198.51.100.5")
    await world.routed("10.42.2.0/24")
    assert "198.51.100.4" not in run("bridge fdb show dev podium-vxlan")
    assert "198.51.100.5" in run("bridge fdb show dev podium-vxlan")
    await world.forget_node("b")
    await world.routed("", without="10.42.1.0/24")
    assert "10.42.1.1" not in run("ip neigh show dev podium-vxlan")
    await world.forget_node("c")
    await world.routed("", without="10.42.2.0/24")
    assert "podium-vxlan" not in run("ip -o link")


async def test_routes_that_went_with_their_link_come_back_with_it(world: World) -> None:
    await world.node("b", FAR.pod_cidr, "192.0.2.7")
    await world.routed("10.42.1.0/24 via 192.0.2.7")
    run("ip link set up0 down")
    assert "192.0.2.7" not in run("ip route")
    async with world.routes_applied():
        run("ip link set up0 up")
    await world.routed("10.42.1.0/24 via 192.0.2.7")


async def service_on(second: Second, name: str, obj: Any, slices: Any) -> None:
    async def tell(node: World) -> None:
        await node.client.put(SERVICES, obj)
        await node.client.put(ENDPOINT_SLICES, slices)
        await node.settled()

    await second.do(tell)


@pytest.mark.parametrize("shares_link", [True, False])
async def test_a_service_answers_the_same_from_every_node_and_by_every_nodes_port(
    world: World, shares_link: bool
) -> None:
    async with second_node(world, shares_link=shares_link) as second:
        there = await serving(second)
        here = await world.pod()
        endpoint = {"addresses": [there.ip], "nodeName": NAME, "conditions": {"ready": True}}
        port = {"port": 80, "protocol": "TCP", "nodePort": 30080}
        await world.service("web", "10.43.1.1", ports=[port], type="NodePort")
        await world.endpoints("web", endpoint)
        objects = [(await world.client.list(resource)).items[0] for resource in (SERVICES, ENDPOINT_SLICES)]
        await service_on(second, "web", *objects)
        far = second.node.config.node_address
        assert await here.ask("10.43.1.1") == f"{there.uid} {here.ip}"
        assert (await world.ask("", "10.43.1.1", 80)).split()[0] == there.uid
        assert (await second.do(lambda node: node.ask("", "10.43.1.1", 80))).split()[0] == there.uid
        assert await second.do(lambda node: there.ask("10.43.1.1")) == f"{there.uid} 10.42.1.1"
        for address in ("192.0.2.2", far, "10.42.0.1"):
            assert (await here.ask(address, 30080)).split()[0] == there.uid
            assert (await world.ask("", address, 30080)).split()[0] == there.uid
        assert (await world.ask("", "127.0.0.1", 30080)).split()[0] == there.uid
        for address in ("192.0.2.2", far):
            assert (await world.ask(world.outside, address, 30080)).split()[0] == there.uid
            assert (await second.do(lambda _, to=address: there.ask(to, 30080))).split()[0] == there.uid


async def test_a_node_on_the_same_link_sees_a_pods_own_address_and_others_see_the_nodes(world: World) -> None:
    await world.serve(world.outside, 7000, "outside")
    pod = await world.pod()
    async with second_node(world, shares_link=True) as second:
        await second.do(lambda node: node.serve("", 7000, "host"))
        assert await pod.ask("192.0.2.3", 7000) == f"host {pod.ip}"
        assert await pod.ask("192.0.2.1", 7000) == "outside 192.0.2.2"


async def test_pods_of_other_nodes_are_strangers_to_the_local_policy_and_keep_their_address(
    world: World,
) -> None:
    async with second_node(world, shares_link=True) as second:
        there = await serving(second)
        here = await (await world.pod()).serve()
        port = {"port": 80, "protocol": "TCP", "nodePort": 30080}
        local = {"type": "NodePort", "externalTrafficPolicy": "Local"}
        await world.service("web", "10.43.1.1", ports=[port], **local)
        elsewhere = {"addresses": [there.ip], "nodeName": NAME, "conditions": {"ready": True}}
        await world.endpoints("web", elsewhere)
        with pytest.raises(ConnectionRefusedError):
            await second.do(lambda _: there.ask("192.0.2.2", 30080))
        await world.endpoints("web", here, elsewhere)
        for _ in range(2):
            answer = await second.do(lambda _: there.ask("192.0.2.2", 30080))
            assert answer == f"{here.uid} {there.ip}"
