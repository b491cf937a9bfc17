"""Nodes in namespaces of their own on one machine's bridge."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podium.netd import host as net_host
from podium.netd import namespaces, nodelinks
from podium.netd.nodelinks import NodeLink

from .world import run

RANGES = ("10.42.0.0/16", "10.43.0.0/16")


@pytest.fixture
def link(host: Path) -> Iterator[NodeLink]:
    net_host.ensure_node_bridge("10.89.0.1/24", "podium-nodes")
    made = NodeLink("second", host / "net", "podium-nodes", "10.89.0.2/24", "10.89.0.1")
    attach(made)
    try:
        yield made
    finally:
        nodelinks.detach(made)


def attach(link: NodeLink) -> None:
    """In a thread of its own, in the test's network namespace."""
    thread = threading.Thread(target=nodelinks.attach, args=(link, RANGES))
    thread.start()
    thread.join()


def inside(link: NodeLink, command: str) -> str:
    return subprocess.check_output(["nsenter", f"--net={link.pin}", *command.split()], text=True)


@contextmanager
def listening(host: str) -> Iterator[int]:
    with socket.socket() as server:
        server.bind((host, 0))
        server.listen()
        yield server.getsockname()[1]


def reached(link: NodeLink, port: int) -> bool:
    script = f"import socket; socket.create_connection(('10.89.0.1', {port}), 0.5)"
    command = ["nsenter", f"--net={link.pin}", "python3", "-c", script]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def links(told: str) -> list[tuple[object, ...]]:
    """What a link is; whether a carrier is there the kernel notes a moment later."""
    return [tuple(each[key] for key in ("ifindex", "ifname", "address", "mtu")) for each in json.loads(told)]


def test_a_node_is_plugged_in_once(link: NodeLink) -> None:
    def seen() -> tuple[object, str, object]:
        return links(inside(link, "ip -j link")), inside(link, "ip route"), links(run("ip -j link"))

    before = seen()
    attach(link)
    assert seen() == before
    for cidr in RANGES:
        assert f"unreachable {cidr}" in before[1]
    assert "default via 10.89.0.1" in before[1]
    assert link.alias in run(f"ip -d link show {link.name}")


def test_a_cable_is_cut_and_mended(link: NodeLink) -> None:
    with listening("10.89.0.1") as port:
        assert reached(link, port)
        nodelinks.cut(link)
        assert not reached(link, port)
        nodelinks.mend(link)
        assert reached(link, port)


def test_a_server_on_the_loopback_is_reached_where_that_is_wanted(link: NodeLink) -> None:
    with listening("127.0.0.1") as port, listening("127.0.0.1") as other:
        assert not reached(link, port)
        for _ in range(2):
            nodelinks.lead_to_loopback("podium-nodes", "10.89.0.1", [port])
        assert reached(link, port)
        assert not reached(link, other)


def test_nothing_is_left_of_a_node_that_is_unplugged(link: NodeLink) -> None:
    for _ in range(2):
        nodelinks.detach(link)
    assert link.name not in run("ip link")
    assert not namespaces.pinned(str(link.pin))
    with pytest.raises(OSError, match="No such device"):
        nodelinks.cut(link)


def test_a_pin_that_outlived_its_namespace_is_no_namespace(link: NodeLink) -> None:
    nodelinks.detach(link)
    link.pin.touch()
    attach(link)
    assert "10.89.0.2/24" in inside(link, "ip -4 address")
