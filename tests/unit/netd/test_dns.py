from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dnslib import CNAME, QTYPE, RCODE, RR, A, DNSRecord

from podium.netd.dns.forward import Forwarder, ResolvConf, Unanswered, nameservers

from .world import World

NAME = "web.default.svc.cluster.local"


class Upstream(asyncio.DatagramProtocol):
    """A resolver that knows one name, and is silent about others."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, received: bytes, addr: Any) -> None:
        question = DNSRecord.parse(received)
        name = str(question.q.qname)
        self.asked.append(name)
        if name == "www.example.com.":
            answer = question.reply()
            answer.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME("host.example.com"), ttl=60))
            answer.add_answer(RR("host.example.com", rdata=A("198.51.100.9"), ttl=60))
            self.transport.sendto(answer.pack(), addr)


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, int]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Upstream, local_addr=("127.0.0.1", 0)
    )
    yield protocol, transport.get_extra_info("sockname")[1]
    transport.close()


@pytest.fixture
async def forwarding(host: Path, upstream: tuple[Upstream, int]) -> AsyncIterator[World]:
    world = World(host, (f"127.0.0.1:{upstream[1]}",))
    try:
        await world.start()
        yield world
    finally:
        await world.close()


async def ask_udp(world: World, netns: str, name: str, kind: str = "A") -> DNSRecord:
    flow = await world.flow(netns, "10.43.0.10", 53)
    try:
        return DNSRecord.parse(await flow.exchange(DNSRecord.question(name, kind).pack()))
    finally:
        flow.close()


async def ask_tcp(world: World, netns: str, *names: str) -> list[DNSRecord]:
    reader, writer = await world.connect(netns, "10.43.0.10", 53)
    found = []
    for name in names:
        question = DNSRecord.question(name).pack()
        writer.write(struct.pack("!H", len(question)) + question)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        found.append(DNSRecord.parse(await reader.readexactly(length)))
    writer.close()
    return found


async def test_pods_and_the_node_resolve_services_by_udp_and_tcp(forwarding: World) -> None:
    client = await forwarding.pod()
    await forwarding.service("web", "10.43.1.1")
    for netns in ("", client.netns):
        assert str((await ask_udp(forwarding, netns, NAME)).rr[0].rdata) == "10.43.1.1"
        for answer in await ask_tcp(forwarding, netns, NAME, NAME):
            assert str(answer.rr[0].rdata) == "10.43.1.1"


async def test_a_service_that_goes_is_forgotten_at_once(forwarding: World) -> None:
    await forwarding.service("web", "10.43.1.1")
    await forwarding.endpoints("web")
    assert (await ask_udp(forwarding, "", NAME)).header.rcode == RCODE.NOERROR
    await forwarding.forget("web")
    assert (await ask_udp(forwarding, "", NAME)).header.rcode == RCODE.NXDOMAIN


async def test_other_names_come_from_upstream_and_cluster_names_never_go_there(
    forwarding: World, upstream: tuple[Upstream, int]
) -> None:
    client = await forwarding.pod()
    answer = await ask_udp(forwarding, client.netns, "www.example.com")
    assert [str(record.rdata) for record in answer.rr] == ["host.example.com.", "198.51.100.9"]
    await ask_udp(forwarding, client.netns, "www.example.com.default.svc.cluster.local")
    assert upstream[0].asked == ["www.example.com."]


async def test_an_external_name_brings_the_addresses_from_upstream(forwarding: World) -> None:
    await forwarding.service("out", "", type="ExternalName", externalName="www.example.com")
    answer = await ask_udp(forwarding, "", "out.default.svc.cluster.local")
    assert [str(record.rdata) for record in answer.rr] == [
        "www.example.com.",
        "host.example.com.",
        "198.51.100.9",
    ]


async def test_without_upstream_other_names_fail_at_once(world: World) -> None:
    assert (await ask_udp(world, "", "www.example.com")).header.rcode == RCODE.SERVFAIL


async def test_the_next_resolver_is_asked_when_one_is_silent_or_not_there(
    upstream: tuple[Upstream, int],
) -> None:
    silent, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    servers = [("127.0.0.1", 1), silent.get_extra_info("sockname"), ("127.0.0.1", upstream[1])]
    forwarder = Forwarder(lambda: servers, seconds=0.05)
    question = DNSRecord.question("www.example.com")
    answer = DNSRecord.parse(await forwarder.ask(question.pack()))
    assert answer.header.id == question.header.id
    assert len(answer.rr) == 2
    with pytest.raises(Unanswered):
        await forwarder.ask(DNSRecord.question("nobody.example.com").pack())
    silent.close()


def test_resolvers_are_those_of_the_machine_without_ourselves(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "# made by hand\nnameserver 10.43.0.10\nnameserver 192.0.2.53\nnameserver fe80::1\noptions x\n"
    )
    assert nameservers(conf.read_text()) == ["10.43.0.10", "192.0.2.53"]
    assert ResolvConf(conf, "10.43.0.10")() == [("192.0.2.53", 53)]


def test_the_stub_of_the_machine_is_passed_over_for_what_it_stands_for(tmp_path: Path) -> None:
    conf, real = tmp_path / "resolv.conf", tmp_path / "real"
    conf.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 192.0.2.53\n")
    assert ResolvConf(conf, "10.43.0.10", real)() == [("192.0.2.53", 53)]


def test_a_machine_without_resolvers_has_none(tmp_path: Path) -> None:
    assert ResolvConf(tmp_path / "missing", "10.43.0.10")() == []
