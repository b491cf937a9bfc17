from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSRecord

from podium.api.types import Obj
from podium.netd.dns.forward import Forwarder
from podium.netd.dns.server import Resolver
from podium.netd.dns.zone import Zone


class FixedCluster:
    """A cluster that is a list."""

    def __init__(self, services: Iterable[Obj] = (), slices: Iterable[Obj] = ()) -> None:
        self._services, self._slices = list(services), list(slices)

    def service(self, namespace: str, name: str) -> Obj | None:
        for found in self._services:
            if (found["metadata"]["namespace"], found["metadata"]["name"]) == (namespace, name):
                return found
        return None

    def slices(self, namespace: str, service: str) -> Iterable[Obj]:
        return [
            found
            for found in self._slices
            if found["metadata"]["namespace"] == namespace
            and found["metadata"]["labels"]["kubernetes.io/service-name"] == service
        ]

    def has_namespace(self, namespace: str) -> bool:
        return any(found["metadata"]["namespace"] == namespace for found in self._services)

    def services_at(self, ip: str) -> Iterable[Obj]:
        return [found for found in self._services if found["spec"].get("clusterIP") == ip]

    def slices_at(self, ip: str) -> Iterable[Obj]:
        return [found for found in self._slices if any(ip in one["addresses"] for one in found["endpoints"])]


def service(name: str, ip: str = "", **spec: object) -> Obj:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec},
    }


def slice_of(name: str, *endpoints: Obj) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def endpoint(ip: str, hostname: str = "", ready: bool = True) -> Obj:
    named = {"hostname": hostname} if hostname else {}
    return {"addresses": [ip], "conditions": {"ready": ready}, **named}


CLUSTER = FixedCluster(
    [
        service("web", "10.43.1.1"),
        service("db", "None"),
        service("empty", "None"),
        service("out", type="ExternalName", externalName="www.example.com"),
        service("alias", type="ExternalName", externalName="web.default.svc.cluster.local"),
        service("ring", type="ExternalName", externalName="alias.default.svc.cluster.local"),
    ],
    [
        slice_of("web", endpoint("10.42.0.9")),
        slice_of(
            "db", endpoint("10.42.0.2", "db-0"), endpoint("10.42.0.3"), endpoint("10.42.0.4", "db-2", False)
        ),
    ],
)


def resolver(cluster: FixedCluster = CLUSTER) -> Resolver:
    zone = Zone("cluster.local", ("10.42.0.0/16", "10.43.0.0/16"), cluster)
    return Resolver(zone, Forwarder(list))


def query(name: str, kind: str = "A") -> bytes:
    return bytes(DNSRecord.question(name, kind).pack())


def ask(name: str, kind: str = "A", *, tcp: bool = False) -> DNSRecord:
    """What another implementation understands of our answer."""
    answer = resolver().answer(query(name, kind), tcp=tcp)
    assert answer is not None
    return DNSRecord.parse(answer)


def data(answer: DNSRecord) -> list[str]:
    return [str(record.rdata) for record in answer.rr]


DOMAIN = "default.svc.cluster.local"


def test_a_service_has_its_cluster_address_and_a_short_life() -> None:
    answer = ask(f"web.{DOMAIN}")
    assert data(answer) == ["10.43.1.1"]
    assert answer.rr[0].ttl == 5
    assert answer.header.aa
    assert str(answer.rr[0].rname) == f"web.{DOMAIN}."


def test_spelling_does_not_matter_and_comes_back_as_it_was() -> None:
    answer = ask(f"WeB.{DOMAIN}")
    assert data(answer) == ["10.43.1.1"]
    assert str(answer.q.qname) == f"WeB.{DOMAIN}."


def test_a_headless_service_has_the_addresses_of_its_ready_endpoints() -> None:
    assert sorted(data(ask(f"db.{DOMAIN}"))) == ["10.42.0.2", "10.42.0.3"]


def test_addresses_take_turns_in_coming_first() -> None:
    asked = resolver()
    question = query(f"db.{DOMAIN}")
    first = [data(DNSRecord.parse(asked.answer(question)))[0] for _ in range(4)]
    assert set(first[:2]) == {"10.42.0.2", "10.42.0.3"}
    assert first[:2] == first[2:]


@pytest.mark.parametrize(
    ("name", "ip"), [("db-0.db", "10.42.0.2"), ("10-42-0-3.db", "10.42.0.3"), ("10-42-0-9.web", "10.42.0.9")]
)
def test_an_endpoint_has_a_name_below_its_service(name: str, ip: str) -> None:
    assert data(ask(f"{name}.{DOMAIN}")) == [ip]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"_http._tcp.web.{DOMAIN}", [f"0 100 80 web.{DOMAIN}."]),
        (f"_dns._udp.web.{DOMAIN}", [f"0 100 53 web.{DOMAIN}."]),
        (f"_http._tcp.db.{DOMAIN}", [f"0 100 8080 db-0.db.{DOMAIN}.", f"0 100 8080 10-42-0-3.db.{DOMAIN}."]),
        (f"web.{DOMAIN}", [f"0 100 80 web.{DOMAIN}.", f"0 100 53 web.{DOMAIN}."]),
    ],
)
def test_named_ports_have_srv_records(name: str, expected: list[str]) -> None:
    answer = ask(name, "SRV")
    assert data(answer) == expected
    assert {str(record.rname) for record in answer.ar} <= {line.split()[-1] for line in expected}


def test_srv_answers_bring_the_addresses_along() -> None:
    extra = ask(f"_http._tcp.db.{DOMAIN}", "SRV").ar
    assert [str(record.rdata) for record in extra] == ["10.42.0.2", "10.42.0.3"]


def test_an_external_name_is_an_alias_and_its_target_is_for_upstream() -> None:
    assert data(ask(f"out.{DOMAIN}", "CNAME")) == ["www.example.com."]
    assert resolver().answer(query(f"out.{DOMAIN}")) is None


def test_an_external_name_within_the_cluster_is_answered_in_full() -> None:
    assert data(ask(f"alias.{DOMAIN}")) == [f"web.{DOMAIN}.", "10.43.1.1"]


def test_aliases_of_aliases_are_not_followed() -> None:
    assert data(ask(f"ring.{DOMAIN}")) == [f"alias.{DOMAIN}."]


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("10.43.1.1", f"web.{DOMAIN}."),
        ("10.42.0.2", f"db-0.db.{DOMAIN}."),
        ("10.42.0.3", f"10-42-0-3.db.{DOMAIN}."),
    ],
)
def test_addresses_lead_back_to_names(ip: str, name: str) -> None:
    assert data(ask(ipaddress.ip_address(ip).reverse_pointer, "PTR")) == [name]


def test_the_address_in_a_pods_name_is_its_address() -> None:
    assert data(ask("10-42-0-9.default.pod.cluster.local")) == ["10.42.0.9"]


def test_the_version_of_the_specification_is_told() -> None:
    assert data(ask("dns-version.cluster.local", "TXT")) == ['"1.1.0"']


@pytest.mark.parametrize(
    "name",
    [
        f"nobody.{DOMAIN}",
        f"_nothing._tcp.web.{DOMAIN}",
        f"db-2.db.{DOMAIN}",
        f"empty.{DOMAIN}",
        "web.other.svc.cluster.local",
        "other.svc.cluster.local",
        "www.example.com.cluster.local",
        "not-an-address.default.pod.cluster.local",
        "77.0.42.10.in-addr.arpa",
    ],
)
def test_what_is_not_there_is_denied_for_a_short_time(name: str) -> None:
    answer = ask(name)
    assert RCODE[answer.header.rcode] == "NXDOMAIN"
    assert [QTYPE[record.rtype] for record in answer.auth] == ["SOA"]
    assert answer.auth[0].ttl == 5


@pytest.mark.parametrize("name", [f"web.{DOMAIN}", DOMAIN, "svc.cluster.local", "cluster.local"])
def test_a_name_without_such_records_exists_all_the_same(name: str) -> None:
    answer = ask(name, "AAAA")
    assert RCODE[answer.header.rcode] == "NOERROR"
    assert not answer.rr
    assert [QTYPE[record.rtype] for record in answer.auth] == ["SOA"]


@pytest.mark.parametrize(
    "name", ["www.example.com", "localhost", "1.2.0.192.in-addr.arpa", "notcluster.local"]
)
def test_other_names_are_for_upstream(name: str) -> None:
    assert resolver().answer(query(name)) is None


def test_an_answer_is_kept_until_something_changes() -> None:
    cluster = FixedCluster()
    asked = resolver(cluster)
    question = query(f"web.{DOMAIN}")
    assert DNSRecord.parse(asked.answer(question)).header.rcode == RCODE.NXDOMAIN
    cluster._services.append(service("web", "10.43.1.1"))
    assert DNSRecord.parse(asked.answer(question)).header.rcode == RCODE.NXDOMAIN
    asked.forget()
    assert data(DNSRecord.parse(asked.answer(question))) == ["10.43.1.1"]


def many() -> Resolver:
    endpoints = [endpoint(f"10.42.0.{last}") for last in range(2, 202)]
    return resolver(FixedCluster([service("big", "None")], [slice_of("big", *endpoints)]))


def test_an_answer_that_does_not_fit_says_so_and_comes_whole_over_tcp() -> None:
    question = query(f"big.{DOMAIN}")
    short = many().answer(question)
    assert short is not None
    assert len(short) <= 512
    assert DNSRecord.parse(short).header.tc
    whole = DNSRecord.parse(many().answer(question, tcp=True))
    assert len(whole.rr) == 200
    assert not whole.header.tc


def test_a_client_that_takes_more_gets_more() -> None:
    question = DNSRecord.question(f"big.{DOMAIN}")
    question.add_ar(EDNS0(udp_len=4096))
    answer = many().answer(bytes(question.pack()))
    assert answer is not None
    assert 512 < len(answer) <= 1232
    assert QTYPE[DNSRecord.parse(answer).ar[0].rtype] == "OPT"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00" * 11,
        b"\x12\x34\x01\x00\x00\x01" + bytes(6),
        bytes(12),
        b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\xc0\x0c\x00\x01\x00\x01",
    ],
)
def test_garbage_is_answered_with_a_format_error_or_not_at_all(message: bytes) -> None:
    answer = resolver().answer(message)
    assert answer is not None
    if answer:
        assert answer[:2] == message[:2]
        assert answer[3] & 0xF == 1


def test_answers_are_never_answered() -> None:
    question = DNSRecord.question(f"web.{DOMAIN}")
    assert resolver().answer(bytes(question.reply().pack())) == b""
