from __future__ import annotations

import asyncio
import errno

import pytest

from podium.netd import namespaces
from podium.netd.addresses import AddressPool, RangeFull, mac_of
from podium.netd.podnet import link_name

from .world import NODE, UPLINK, World, run


async def test_pods_meet_each_other_and_the_node_with_their_own_addresses(world: World) -> None:
    one, two = await (await world.pod()).serve(), await (await world.pod()).serve()
    assert await two.ask(one.ip, 8080) == f"{one.uid} {two.ip}"
    assert await world.ask("", one.ip, 8080) == f"{one.uid} 10.42.0.1"
    await world.serve("", 7000, "node")
    assert await one.ask(UPLINK, 7000) == f"node {one.ip}"
    assert await one.ask("10.42.0.1", 7000) == f"node {one.ip}"


async def test_the_outside_sees_the_node_and_reaches_pods_by_their_address(world: World) -> None:
    pod = await (await world.pod()).serve()
    await world.serve(world.outside, 7000, "outside")
    assert await pod.ask("192.0.2.1", 7000) == f"outside {UPLINK}"
    run(f"ip route add 10.42.0.0/24 via {UPLINK}", world.outside)
    assert await world.ask(world.outside, pod.ip, 8080) == f"{pod.uid} 192.0.2.1"


async def test_an_address_that_nobody_has_is_refused_at_once_and_never_leaves(world: World) -> None:
    client = await world.pod()
    gone = await world.pod()
    await gone.remove()
    for netns, answer in (("", errno.EHOSTUNREACH), (client.netns, errno.ECONNREFUSED)):
        for address in (gone.ip, "10.42.0.200", "10.42.9.9"):
            with pytest.raises(OSError, match=f"Errno {answer}"):
                await world.ask(netns, address, 80)


async def test_the_loopback_of_the_node_is_out_of_reach_for_pods(world: World) -> None:
    client = await world.pod()
    await world.serve("", 7000, "node", address="127.0.0.1")
    run("sysctl -qw net.ipv4.conf.all.route_localnet=1", client.netns)
    run("ip addr del 127.0.0.1/8 dev lo", client.netns)
    run("ip route add 127.0.0.0/8 via 10.42.0.1", client.netns)
    with pytest.raises((OSError, TimeoutError)):
        async with asyncio.timeout(0.3):
            await world.connect(client.netns, "127.0.0.1", 7000, source=client.ip)


async def test_setting_up_twice_changes_nothing(world: World) -> None:
    pod = await (await world.pod()).serve()
    before = world.link_indexes(), run("ip route")
    assert await world.netd.pods.setup({"metadata": {"uid": pod.uid}, "spec": {}}, pod.netns) == [pod.ip]
    assert (world.link_indexes(), run("ip route")) == before


async def test_a_caller_that_is_cancelled_leaves_a_pod_that_can_be_set_up_or_removed(world: World) -> None:
    netns = str(world.tmp / "ns" / "cut")
    pod = {"metadata": {"uid": "cut"}, "spec": {}}
    for again in (True, False):
        first = asyncio.create_task(world.netd.pods.setup(pod, netns))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        if again:
            (ip,) = await world.netd.pods.setup(pod, netns)
            assert await world.netd.pods.known() == {"cut": [ip]}
        await world.netd.pods.teardown("cut", netns)
        assert await world.netd.pods.known() == {}
        assert not namespaces.pinned(netns)


async def test_many_pods_at_once_get_an_address_each(world: World) -> None:
    pods = await asyncio.gather(*(world.pod() for _ in range(20)))
    assert len({pod.ip for pod in pods}) == 20
    assert await world.netd.pods.known() == {pod.uid: [pod.ip] for pod in pods}
    await asyncio.gather(*(pod.remove() for pod in pods))
    assert await world.netd.pods.known() == {}
    assert not any(namespaces.pinned(pod.netns) for pod in pods)
    assert "pod" not in run("ip -o link show type veth").replace("podium0", "")


async def test_an_address_rests_after_its_pod_is_gone(world: World) -> None:
    first = await world.pod()
    await first.remove()
    second = await world.pod()
    assert second.ip != first.ip


async def test_removing_twice_and_removing_what_never_was_is_fine(world: World) -> None:
    pod = await world.pod()
    await pod.remove()
    await pod.remove()
    await world.netd.pods.teardown("nobody", str(world.tmp / "ns" / "nobody"))


async def test_a_restarted_daemon_knows_its_pods_and_does_not_give_their_addresses_away(world: World) -> None:
    pod = await (await world.pod()).serve()
    await world.kill_netd()
    await world.start_netd()
    assert await world.netd.pods.known() == {pod.uid: [pod.ip]}
    other = await world.pod()
    assert other.ip != pod.ip
    assert await other.ask(pod.ip, 8080) == f"{pod.uid} {other.ip}"


async def test_a_pod_that_was_half_made_when_the_daemon_died_is_made_again(world: World) -> None:
    pod = await world.pod()
    (name,) = [line.split()[1].split("@")[0] for line in run("ip -o link show master podium0").splitlines()]
    await world.kill_netd()
    world.clear_alias(name)
    await world.start_netd()
    assert await world.netd.pods.known() == {}
    (ip,) = await world.netd.pods.setup({"metadata": {"uid": pod.uid}, "spec": {}}, pod.netns)
    await world.serve(pod.netns, 8080, "again")
    assert (await world.ask("", ip, 8080)).startswith("again")


async def test_a_route_to_a_pod_whose_link_is_gone_goes_with_the_next_daemon(world: World) -> None:
    stays, leaves = await (await world.pod()).serve(), await world.pod()
    run(f"ip link delete {link_name(leaves.uid)}")
    assert f"{leaves.ip} dev" in run("ip route")
    await world.kill_netd()
    await world.start_netd()
    assert f"{leaves.ip} dev" not in run("ip route")
    assert await world.ask("", stays.ip, 8080) == f"{stays.uid} 10.42.0.1"


async def test_a_node_that_is_given_another_range_uses_it_for_new_pods_and_keeps_the_others(
    world: World,
) -> None:
    old = await (await world.pod()).serve()
    opened, open_ = asyncio.Event(), world.netd.pods.open

    async def open_and_tell(cidr: str) -> None:
        await open_(cidr)
        opened.set()

    world.netd.pods.open = open_and_tell  # type: ignore[method-assign]
    await world.node(NODE, "10.42.5.0/24", UPLINK)
    async with asyncio.timeout(5):
        await opened.wait()
    new = await (await world.pod()).serve()
    assert new.ip == "10.42.5.2"
    assert await new.ask(old.ip, 8080) == f"{old.uid} {new.ip}"
    assert await old.ask(new.ip, 8080) == f"{new.uid} {old.ip}"
    assert (await world.ask("", old.ip, 8080)).split()[0] == old.uid


async def test_a_namespace_that_was_lost_is_made_again_with_the_same_address(world: World) -> None:
    pod = await world.pod()
    namespaces.unpin(pod.netns)
    assert await world.netd.pods.setup({"metadata": {"uid": pod.uid}, "spec": {}}, pod.netns) == [pod.ip]
    await pod.serve()
    assert (await world.ask("", pod.ip, 8080)).startswith(pod.uid)


def test_addresses_are_handed_out_in_turn_and_skip_the_gateway_and_the_broadcast_address() -> None:
    pool = AddressPool("10.42.0.0/29")
    assert [pool.take() for _ in range(5)] == [f"10.42.0.{last}" for last in range(2, 7)]
    with pytest.raises(RangeFull):
        pool.take()
    pool.release("10.42.0.4")
    assert pool.take() == "10.42.0.4"


def test_addresses_in_use_are_never_handed_out_and_the_next_one_is_behind_them() -> None:
    pool = AddressPool("10.42.0.0/29")
    pool.claim("10.42.0.3")
    assert [pool.take() for _ in range(4)] == ["10.42.0.4", "10.42.0.5", "10.42.0.6", "10.42.0.2"]


def test_the_mac_follows_from_the_address() -> None:
    assert mac_of("10.42.0.5") == "02:50:0a:2a:00:05"
