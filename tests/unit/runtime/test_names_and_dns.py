"""Names of images, and the files by which pods find names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from podium.api.types import Obj
from podium.runtime import dns, references
from podium.runtime.pods.killing import stop_signal
from podium.runtime.probes.tally import Tally
from tests.unit.runtime.making import pod

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("me/app", "docker.io/me/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/me/app", "docker.io/me/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"quay.io/a/b:v1@{DIGEST}", f"quay.io/a/b:v1@{DIGEST}"),
    ],
)
def test_names_are_completed(name: str, full: str) -> None:
    assert str(references.parse(name)) == full


@pytest.mark.parametrize(
    "name", ["", "Foo", "a b", "x:", "x@sha256:12", "a//b", "-a", "x:t@", "host.io/", "a:b/c", "a/B"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(references.InvalidName):
        references.parse(name)


HOST = dns.parse("# comment\nnameserver 192.0.2.53\nsearch example.com\noptions edns0 ndots:2\n")


def resolv(of: Obj) -> str:
    return str(dns.resolver(of, HOST, servers=("10.43.0.10",), domain="cluster.local"))


CLUSTER = (
    "search default.svc.cluster.local svc.cluster.local cluster.local example.com\n"
    "nameserver 10.43.0.10\n"
    "options ndots:5\n"
)
OWN = "search example.com\nnameserver 192.0.2.53\noptions edns0 ndots:2\n"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, CLUSTER),
        ({"dnsPolicy": "Default"}, OWN),
        ({"hostNetwork": True}, OWN),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, CLUSTER),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}, "nameserver 192.0.2.1\n"),
        (
            {
                "dnsPolicy": "Default",
                "dnsConfig": {
                    "nameservers": ["192.0.2.1"],
                    "searches": ["a.b"],
                    "options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}],
                },
            },
            "search example.com a.b\nnameserver 192.0.2.53\nnameserver 192.0.2.1\n"
            "options edns0 ndots:1 rotate\n",
        ),
    ],
)
def test_the_policy_and_the_configuration_make_the_resolver(spec: Obj, text: str) -> None:
    assert resolv(pod(**spec)) == text


def test_more_nameservers_than_resolvers_take_are_cut() -> None:
    config = {"nameservers": [f"192.0.2.{number}" for number in range(5)]}
    assert resolv(pod(dnsPolicy="None", dnsConfig=config)).count("nameserver") == 3


@pytest.mark.parametrize(
    ("spec", "name", "full"),
    [
        ({}, "p", "p"),
        ({"hostname": "h"}, "h", "h"),
        ({"hostname": "h", "subdomain": "s"}, "h", "h.s.default.svc.cluster.local"),
        ({"hostname": "x" * 62 + "-y"}, "x" * 62, "x" * 62),
    ],
)
def test_host_names_fit_the_kernel(spec: Obj, name: str, full: str) -> None:
    assert dns.hostname(pod(**spec)) == name
    assert dns.full_hostname(pod(**spec), "cluster.local") == full


def test_the_hosts_file_names_the_pod_and_its_aliases() -> None:
    aliases = [{"ip": "192.0.2.9", "hostnames": ["one", "two"]}]
    text = dns.hosts(pod(subdomain="s", hostAliases=aliases), ["10.42.0.5"], "cluster.local")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.42.0.5\tp.s.default.svc.cluster.local\tp\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n192.0.2.9\tone\ttwo\n")


def test_a_pod_on_the_host_keeps_the_hosts_hosts_file() -> None:
    text = dns.hosts(pod(), [], "cluster.local", host_file="127.0.0.1 me\n")
    assert text == "# Kubernetes-managed hosts file (host network).\n127.0.0.1 me\n"


@pytest.mark.parametrize(
    ("name", "number"), [("", 15), ("SIGQUIT", 3), ("quit", 3), ("3", 3), ("SIGNONSENSE", 15)]
)
def test_stop_signals_have_names_or_numbers(name: str, number: int) -> None:
    assert stop_signal(name) == number


@pytest.mark.parametrize(
    ("answers", "verdicts"),
    [
        ([True, True], [None, True]),
        ([False, False, False], [None, None, False]),
        ([False, True, False, False, False], [None, None, None, None, False]),
        ([True, True, True, False], [None, True, True, None]),
    ],
)
def test_a_verdict_takes_as_many_equal_answers_as_its_threshold(
    answers: list[bool], verdicts: list[bool | None]
) -> None:
    tally = Tally.of({"successThreshold": 2, "failureThreshold": 3})
    count: Callable[[bool], bool | None] = tally.count
    assert [count(answer) for answer in answers] == verdicts


def test_a_full_name_that_the_kernel_does_not_take_is_refused() -> None:
    named = pod(hostname="h" * 30, subdomain="s" * 40, setHostnameAsFQDN=True)
    with pytest.raises(
        ValueError, match=r"is too long \(64 characters is the max, \d+ characters requested\)"
    ):
        dns.node_name(named, "cluster.local")
