from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.api.metering import collector
from podium.api.metering.samples import Key, Reading, parse, use
from podium.api.server import ApiServer
from tests.unit.api.http.harness import DEFAULT, TABLE, Http, pod
from tests.unit.api.http.node import Node

API = "/apis/metrics.k8s.io/v1beta1"
TEXT = """\
# HELP node_cpu_usage_seconds_total Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 100.5 1700000000000
node_memory_working_set_bytes 1.048576e+06 1700000000000
pod_cpu_usage_seconds_total{namespace="default",pod="a"} 7 1700000000000
container_cpu_usage_seconds_total{container="main",namespace="default",pod="a"} 5 1700000000000
container_memory_working_set_bytes{container="main",namespace="default",pod="a"} 2048 1700000000000
container_start_time_seconds{container="main",namespace="default",pod="a"} 1699999990
scrape_error 0
"""
MAIN = Key("default", "a", "main")


def test_a_nodes_metrics_are_read() -> None:
    sample = parse(TEXT, 0.0)
    assert sample.at == 1.7e9
    assert sample.readings[Key()] == Reading(1.7e9, 100.5, 1048576.0)
    assert sample.readings[MAIN] == Reading(1.7e9, 5.0, 2048.0, 1699999990.0)
    assert len(sample.readings) == 2


def test_times_that_a_node_does_not_tell_are_those_of_the_reading() -> None:
    assert parse("node_cpu_usage_seconds_total 1\nnode_memory_working_set_bytes 1\n", 42.0).at == 42.0


@pytest.mark.parametrize(
    ("last", "before", "expected"),
    [
        (Reading(110, 5, 7), Reading(100, 3, 7), (10, 0.2)),
        # A container that is new since: from its start.
        (Reading(110, 5, 7, 100), None, (10, 0.5)),
        # One that was started again meanwhile.
        (Reading(110, 1, 7, 108), Reading(100, 30, 7, 50), (2, 0.5)),
        (Reading(110, 5, 7), None, None),
        (Reading(110, 5, 7, 109.95), None, None),
    ],
)
def test_a_rate_is_told_over_what_is_known(last: Reading, before: Reading | None, expected: Any) -> None:
    found = use(last, before)
    assert (found and (found.window, pytest.approx(found.cpu))) == expected


class Metered(Node):
    """A node that has used one more core-second each time it is asked, 0.1 s after the last."""

    def tick(self) -> None:
        self.count = getattr(self, "count", 0) + 1
        at = int(time.time() * 1000)
        container = 'container="main",namespace="default",pod="a"'
        self.body = (
            f"node_cpu_usage_seconds_total {self.count} {at}\nnode_memory_working_set_bytes 1048576 {at}\n"
            f"container_cpu_usage_seconds_total{{{container}}} {self.count / 2} {at}\n"
            f"container_memory_working_set_bytes{{{container}}} 2048 {at}\n"
        ).encode()

    async def _serve(self, reader: Any, writer: Any) -> None:
        self.tick()
        await super()._serve(reader, writer)


@pytest.fixture
async def node(server: ApiServer, http: Http, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Metered]:
    monkeypatch.setattr(collector, "FIRST_WINDOW", 0.1)
    node = Metered(server)
    await node.start(http)
    await http.made(f"{DEFAULT}/pods", pod("a", node="one", app="web"))
    await http.made(f"{DEFAULT}/pods", pod("b", node="one"))
    yield node
    node.stop_listening()


async def test_nobody_is_asked_before_somebody_asks(http: Http, node: Metered) -> None:
    assert node.requests == []
    reply = await http.get(f"{API}/nodes")
    assert len(node.requests) == 2
    assert "GET /metrics/resource " in node.requests[0]
    [item] = reply.obj["items"]
    assert item["metadata"]["name"] == "one"
    assert item["usage"]["memory"] == "1024Ki"
    assert int(item["usage"]["cpu"].removesuffix("n")) > 10**9
    await http.get(f"{API}/pods")
    assert len(node.requests) == 2  # what was learnt is still fresh


async def test_pods_are_chosen_by_labels(http: Http, node: Metered) -> None:
    listed = await http.get(f"{API}/namespaces/default/pods", labelSelector="app=web")
    assert listed.names == ["a"]
    assert listed.obj["items"][0]["metadata"]["labels"] == {"app": "web"}
    assert listed.obj["items"][0]["containers"][0]["name"] == "main"
    assert (await http.get(f"{API}/pods", labelSelector="app=other")).names == []
    assert (await http.get(f"{API}/pods", labelSelector="!!")).code == 400


async def test_one_pod_is_got_by_name(http: Http, node: Metered) -> None:
    got = await http.get(f"{API}/namespaces/default/pods/a")
    assert (got.obj["kind"], got.obj["apiVersion"]) == ("PodMetrics", "metrics.k8s.io/v1beta1")
    # It runs no container that the node knows of.
    assert (await http.get(f"{API}/namespaces/default/pods/b")).code == 404
    assert (await http.get(f"{API}/namespaces/default/pods/c")).code == 404


async def test_a_table_shows_what_is_used(http: Http, node: Metered) -> None:
    reply = await http("GET", f"{API}/nodes", headers={"Accept": TABLE})
    assert [column["name"] for column in reply.obj["columnDefinitions"]] == [
        "Name",
        "cpu",
        "memory",
        "Window",
    ]
    assert reply.obj["rows"][0]["cells"][0] == "one"


async def test_a_node_that_does_not_answer_is_left_out(http: Http, node: Metered) -> None:
    node.status = "500 Oops"
    assert (await http.get(f"{API}/nodes")).obj["items"] == []


async def test_metrics_are_only_read(http: Http, node: Metered) -> None:
    assert (await http.post(f"{API}/nodes", {})).code == 405
    assert (await http.get(f"{API}/nodes", watch="true")).code == 405
    assert (await http.get(f"{API}/volumes")).code == 404
    assert (await http.get(API)).obj["resources"][1]["kind"] == "PodMetrics"
