from __future__ import annotations

import re
from pathlib import Path

import pytest

from podium.api.types.resources import NETWORK_POLICIES
from podium.netd import host as net_host
from podium.netd.config import NetConfig

from .world import UPLINK, World, run

DOCKER_LIKE = """
table ip filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        ct state established,related counter accept;
    }
    chain FORWARD { type filter hook forward priority filter; policy drop; }
}
"""


def picture() -> tuple[str, ...]:
    return tuple(
        run(command)
        for command in ("ip -o link", "ip -o -4 addr", "ip -4 route show table all", "nft list ruleset")
    )


@pytest.mark.usefixtures("host")
def test_the_ranges_are_refused_before_anything_else_is_there(tmp_path: Path) -> None:
    net_host.claim_ranges(NetConfig("n", UPLINK, state_dir=tmp_path))
    for cidr in ("10.42.0.0/16", "10.43.0.0/16"):
        assert f"unreachable {cidr}" in run("ip route")
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"


async def test_teardown_leaves_the_machine_as_it_was_and_may_be_repeated(world: World) -> None:
    await world.kill_netd()
    net_host.teardown(world.config)
    world.nft(DOCKER_LIKE)
    run("ip route add 10.42.200.0/24 dev lo")
    before = picture()
    await world.start_netd()
    net_host.ensure_node_bridge("10.89.0.1", "podium-nodes")
    pod = await (await world.pod()).serve()
    await world.service("web", "10.43.1.1", sessionAffinity="ClientIP")
    await world.endpoints("web", pod)
    await world.node("far", "10.42.9.0/24", "198.51.100.9")
    await world.routed("10.42.9.0/24 via 10.42.9.1 dev podium-vxlan")
    await world.client.put(NETWORK_POLICIES, {"metadata": {"name": "p", "namespace": "default"}, "spec": {}})
    await world.settled()
    assert "podium-policy" in run("nft list tables")
    assert picture() != before
    await world.kill_netd()
    for _ in range(2):
        net_host.teardown(world.config, netns_dir=world.tmp / "ns")
        assert without_counters(picture()) == without_counters(before)


def without_counters(picture: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(re.sub(r"packets \d+ bytes \d+", "", part) for part in picture)


async def test_packets_pass_a_firewall_that_drops_everything_else(world: World) -> None:
    await world.admitted(lambda: world.nft(DOCKER_LIKE))
    one, two = await (await world.pod()).serve(), await (await world.pod()).serve()
    await world.service("web", "10.43.1.1", ports=[{"port": 80, "nodePort": 30080}], type="NodePort")
    await world.endpoints("web", one)
    assert (await two.ask("10.43.1.1")).split()[0] == one.uid
    assert (await world.ask(world.outside, UPLINK, 30080)).split()[0] == one.uid
    await world.serve("", 7000, "node")
    assert (await one.ask(UPLINK, 7000)).split()[0] == "node"


async def test_a_firewall_is_changed_once_and_keeps_its_own_rules(world: World) -> None:
    await world.admitted(lambda: world.nft(DOCKER_LIKE))
    rules = run("nft list table ip filter")
    assert rules.count("podium: from podium0") == 2
    assert rules.count("podium: to podium0") == 1
    net_host.admit(world.config)
    assert run("nft list table ip filter").count("podium: ") == 5


@pytest.mark.usefixtures("host")
def test_the_node_bridge_has_the_machines_address_and_is_made_once() -> None:
    for _ in range(2):
        net_host.ensure_node_bridge("10.89.0.1", "podium-nodes")
    assert run("ip -o -4 addr show dev podium-nodes").count("10.89.0.1/24") == 1
    assert run("nft list table ip podium-nodes").count("masquerade\n") == 1


async def test_the_pod_bridge_has_the_mtu_of_the_uplink(world: World) -> None:
    await world.kill_netd()
    net_host.teardown(world.config)
    run("ip link set up0 mtu 1400")
    await world.start_netd()
    pod = await world.pod()
    assert " mtu 1400 " in run("ip -o link show podium0")
    assert " mtu 1400 " in run("ip -o link show eth0", pod.netns)


@pytest.mark.parametrize("bridged_frames", ["0", "1"])
async def test_services_work_whether_bridged_frames_are_filtered_or_not(
    world: World, bridged_frames: str
) -> None:
    if not world.filter_bridged_frames(bridged_frames):
        pytest.skip("no bridge netfilter on this kernel")
    one, two = await (await world.pod()).serve(), await (await world.pod()).serve()
    await world.service("web", "10.43.1.1")
    await world.endpoints("web", one)
    assert await two.ask("10.43.1.1") == f"{one.uid} {two.ip}"
    assert await one.ask("10.43.1.1") == f"{one.uid} 10.42.0.1"
    assert await two.ask(one.ip, 8080) == f"{one.uid} {two.ip}"


async def test_pods_of_other_nodes_are_routed_by_way_of_these(world: World) -> None:
    await world.node("node-2", "10.42.1.0/24", "192.0.2.1")
    await world.routed("10.42.1.0/24 via 192.0.2.1 dev up0")
    await world.node("node-2", "10.42.1.0/24", "192.0.2.77")
    await world.routed("10.42.1.0/24 via 192.0.2.77 dev up0")
    await world.forget_node("node-2")
    await world.routed("", without="10.42.1.0/24")
