from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import DEPLOYMENTS, EVENTS, NODES, PODS, SERVICES
from podium.control.balancers.assign import EXCLUDED, Refused, assign, host_ports_of, own_ports

from .cluster import TestCluster
from .objects import deployment, pod


def balancer(name: str = "web", port: int = 80, **spec: Any) -> Obj:
    ports = [{"port": port, "protocol": "TCP", "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "test", "uid": name, "creationTimestamp": name},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": ports, **spec},
    }


def node(name: str, address: str, *, ready: bool = True, **meta: Any) -> Obj:
    return {
        "metadata": {"name": name, **meta},
        "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    }


NODES_3 = [
    node("c", "10.0.0.10"),
    node("b", "10.0.0.9"),
    node("down", "10.0.0.3", ready=False),
    node("left-out", "10.0.0.4", labels={EXCLUDED: ""}),
]


def addresses(service: Obj, *others: Obj, **seen: Any) -> list[str]:
    def claiming(port: str) -> list[Obj]:
        return [other for other in others if f"{other['spec']['ports'][0]['port']}/TCP" == port]

    given: dict[str, Any] = {"serving": set(), "reserved": set(), "busy": lambda port, node: False}
    found = assign(service, NODES_3, claiming=claiming, **given | seen)
    assert all(entry["ipMode"] == "VIP" for entry in found)
    return [entry["ip"] for entry in found]


def test_a_load_balancer_has_the_addresses_of_the_nodes_that_are_ready_and_not_excluded() -> None:
    assert addresses(balancer()) == ["10.0.0.9", "10.0.0.10"]
    assert addresses(balancer(externalTrafficPolicy="Local"), serving={"b", "down"}) == ["10.0.0.9"]
    assert addresses(balancer(loadBalancerIP="10.0.0.10")) == ["10.0.0.10"]
    assert addresses(balancer(), busy=lambda port, node: node == "b") == ["10.0.0.10"]


@pytest.mark.parametrize(
    ("service", "seen", "why"),
    [
        (balancer(), {"reserved": {"80/TCP"}}, "port 80/TCP is used by the cluster itself"),
        (balancer(), {"busy": lambda port, node: True}, "port 80/TCP is used by pods on every node"),
        (balancer(loadBalancerIP="10.0.0.3"), {}, "no node has the address 10.0.0.3"),
    ],
)
def test_a_load_balancer_that_cannot_be_says_why(service: Obj, seen: Any, why: str) -> None:
    with pytest.raises(Refused, match=why):
        addresses(service, **seen)


def test_who_has_a_port_keeps_it_and_the_oldest_of_those_who_wait_is_next() -> None:
    older, newer = balancer("a"), balancer("b")
    assert addresses(older, newer)
    with pytest.raises(Refused, match="port 80/TCP is already used by Service test/a"):
        addresses(newer, older)
    assert addresses(newer, older, refused={"test/a"})
    newer["status"] = {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}
    with pytest.raises(Refused, match="already used by Service test/b"):
        addresses(older, newer)


def test_the_clusters_own_ports_and_those_of_pods_are_known() -> None:
    slices = [{"ports": [{"port": 6443}]}]
    assert own_ports(NODES_3, slices) == {"6443/TCP", "10250/TCP"}
    ports = [{"hostPort": 80, "protocol": "TCP", "hostIP": "0.0.0.0"}, {"hostPort": 53, "protocol": "UDP"}]
    made = {"spec": {"nodeName": "b", "containers": [{"ports": ports}]}, "status": {}}
    assert list(host_ports_of(made)) == [("80/TCP", ""), ("53/UDP", "")]
    assert list(host_ports_of({**made, "status": {"phase": "Succeeded"}})) == []


def ips(service: Obj) -> list[str]:
    return [entry["ip"] for entry in service["status"]["loadBalancer"].get("ingress") or ()]


async def with_addresses(cluster: TestCluster) -> None:
    for name, address in (("node-a", "10.89.0.1"), ("node-b", "10.89.0.2")):
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        await cluster.client.patch(NODES, name, {"status": status}, subresource="status")


def posted(**spec: Any) -> Obj:
    made = balancer(**spec)
    return {**made, "metadata": {"name": made["metadata"]["name"], "namespace": "test"}}


def _says(event: Obj, name: str, why: str) -> bool:
    about = (event["reason"], event["involvedObject"]["name"])
    return about == ("SyncLoadBalancerFailed", name) and event["message"].endswith(why)


async def test_the_status_follows_nodes_and_a_second_claim_to_a_port_waits_for_the_first_to_go(
    cluster: TestCluster,
) -> None:
    await cluster.client.create(SERVICES, posted())
    await with_addresses(cluster)
    await cluster.one(SERVICES, "web", lambda found: ips(found) == ["10.89.0.1", "10.89.0.2"])
    await cluster.client.create(SERVICES, posted(name="late", allocateLoadBalancerNodePorts=False))
    await cluster.client.create(
        SERVICES, posted(name="theirs", loadBalancerClass="example.com/cloud", port=81)
    )
    why = "port 80/TCP is already used by Service test/web"
    await cluster.until(EVENTS, lambda found: any(_says(event, "late", why) for event in found))
    await cluster.client.patch(NODES, "node-b", {"metadata": {"labels": {EXCLUDED: ""}}})
    await cluster.one(SERVICES, "web", lambda found: ips(found) == ["10.89.0.1"])
    await cluster.client.delete(SERVICES, "web", "test")
    await cluster.one(SERVICES, "late", lambda found: ips(found) == ["10.89.0.1"])
    theirs = await cluster.client.get(SERVICES, "theirs", "test")
    assert ips(theirs) == []


async def test_a_local_load_balancer_is_only_where_its_endpoints_are(cluster: TestCluster) -> None:
    await with_addresses(cluster)
    await cluster.client.create(SERVICES, posted(externalTrafficPolicy="Local"))
    made = await cluster.client.create(PODS, pod("one", nodeName="node-b"))
    await cluster.one(SERVICES, "web", lambda found: ips(found) == ["10.89.0.2"])
    await cluster.kubelet.report(made, ready=False)
    await cluster.one(SERVICES, "web", lambda found: ips(found) == [])
    await cluster.client.create(DEPLOYMENTS, deployment(1))
    await cluster.one(SERVICES, "web", lambda found: len(ips(found)) == 1)
