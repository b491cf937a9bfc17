"""Services on a cluster of several nodes: the same from every node and from pods on every node."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from podium.api.types.meta import suffix
from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import (
    ECHO_V1,
    NGINX,
    container,
    daemon_set,
    deployment,
    pod,
    service,
)
from tests.conformance.waiting import eventually

READY = {"readinessProbe": {"httpGet": {"path": "/healthz", "port": 80}, "periodSeconds": 1}}
PORTS = {"ports": [{"name": "web", "containerPort": 80}]}


class Town(NamedTuple):
    """Every node has an echo server and a pod to look from."""

    cluster: LocalCluster
    kubectl: Kubectl
    nodes: list[str]
    # By node: the node's address, the echo pod's name and address, the visitor's address.
    addresses: dict[str, str]
    servers: dict[str, str]
    echo: dict[str, str]
    visitors: dict[str, str]

    def from_node(self, node: str, url: str) -> str:
        return self.cluster.inside(node, "curl", "-s", "-S", "-m", "3", url).stdout

    def from_pod(self, node: str, url: str) -> str:
        return self.kubectl.run("exec", f"visitor-{node}", "--", "wget", "-q", "-O", "-", url).out

    def everywhere(self, url: str) -> dict[str, str]:
        """What every node and a pod on every node gets."""
        found = {f"node {node}": self.from_node(node, url) for node in self.nodes}
        return found | {f"pod on {node}": self.from_pod(node, url) for node in self.nodes}

    def make(self, name: str, *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
        """A Service of the echo servers, once it has all of them."""
        self.kubectl.apply(service(name, *ports, selector={"app": "echo"}, **spec))
        eventually(
            lambda: self.kubectl.get("endpointslices", "-l", f"kubernetes.io/service-name={name}")["items"],
            lambda found: sum(len(one.get("endpoints") or ()) for one in found) == len(self.nodes),
        )
        made: dict[str, Any] = self.kubectl.get(f"service/{name}")
        return made


@pytest.fixture(scope="module")
def town(cluster: LocalCluster) -> Iterator[Town]:
    namespace = f"town-{suffix()}"
    everywhere = Kubectl(str(cluster.kubeconfig))
    everywhere("create", "namespace", namespace)
    kubectl = Kubectl(str(cluster.kubeconfig), namespace)
    nodes = cluster.nodes()
    kubectl.apply(
        daemon_set("echo", container(image=ECHO_V1, **READY, **PORTS)),
        *(pod(f"visitor-{node}", nodeName=node) for node in nodes),
    )
    kubectl("rollout", "status", "ds/echo", "--timeout=90s", timeout=100)
    for node in nodes:
        kubectl.wait(f"pod/visitor-{node}", "condition=Ready")
    servers = {item["spec"]["nodeName"]: item for item in kubectl.get("pods", "-l", "app=echo")["items"]}
    yield Town(
        cluster,
        kubectl,
        nodes,
        {item["metadata"]["name"]: address_of(item) for item in kubectl.get("nodes")["items"]},
        {node: item["metadata"]["name"] for node, item in servers.items()},
        {node: item["status"]["podIP"] for node, item in servers.items()},
        {node: kubectl.get(f"pod/visitor-{node}")["status"]["podIP"] for node in nodes},
    )
    everywhere("delete", "namespace", namespace, "--wait=false")


def address_of(node: dict[str, Any]) -> str:
    return next(
        str(entry["address"]) for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"
    )


def client_of(answer: str) -> str:
    return next((line.split()[1] for line in answer.splitlines() if line.startswith("client:")), "")


def server_of(answer: str) -> str:
    return next((line.split()[1] for line in answer.splitlines() if line.startswith("hostname:")), "")


@covers(
    "[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: http [NodeConformance] [Conformance]",
    "[sig-network] Networking Granular Checks: Pods should function for node-pod communication: http [LinuxOnly] [NodeConformance] [Conformance]",
)
def test_pods_of_all_nodes_meet_without_translation(town: Town) -> None:
    for here in town.nodes:
        for there in town.nodes:
            url = f"http://{town.echo[there]}/"
            answer = town.from_pod(here, url)
            assert (server_of(answer), client_of(answer)) == (town.servers[there], town.visitors[here])
            assert server_of(town.from_node(here, url)) == town.servers[there]


def test_a_service_a_node_port_and_a_name_answer_the_same_everywhere(town: Town) -> None:
    made = town.make("same", {"name": "http", "port": 80, "targetPort": "web"}, type="NodePort")
    port = made["spec"]["ports"][0]["nodePort"]
    urls = [f"http://{made['spec']['clusterIP']}/"]
    urls += [f"http://{address}:{port}/" for address in town.addresses.values()]
    for url in urls:
        answers = town.everywhere(url)
        assert all(server_of(answer) for answer in answers.values()), (url, answers)
    named = f"http://same.{town.kubectl.namespace}.svc.cluster.local/"
    for node in town.nodes:
        answer = town.from_pod(node, named)
        assert server_of(answer) in town.servers.values()
        assert client_of(answer) == town.visitors[node]
        assert server_of(town.from_node(node, f"http://127.0.0.1:{port}/")) in town.servers.values()
    seen = {server_of(town.from_node(town.nodes[0], urls[0])) for _ in range(12)}
    assert seen == set(town.servers.values())


def test_the_external_policy_local_keeps_the_client_and_the_node(town: Town) -> None:
    made = town.make("kept", type="NodePort", externalTrafficPolicy="Local")
    port = made["spec"]["ports"][0]["nodePort"]
    first, *others = town.nodes
    for node in others:
        answer = town.from_node(first, f"http://{town.addresses[node]}:{port}/")
        assert (server_of(answer), client_of(answer)) == (town.servers[node], town.addresses[first])


def test_the_internal_policy_local_stays_on_the_node(town: Town) -> None:
    made = town.make("inner", internalTrafficPolicy="Local")
    for node in town.nodes:
        url = f"http://{made['spec']['clusterIP']}/"
        assert {server_of(town.from_pod(node, url)) for _ in range(3)} == {town.servers[node]}
        assert server_of(town.from_node(node, url)) == town.servers[node]


def test_traffic_distribution_prefers_the_own_node_while_it_has_an_endpoint(town: Town) -> None:
    made = town.make("close", trafficDistribution="PreferSameNode")
    url = f"http://{made['spec']['clusterIP']}/"

    def hinted() -> list[Any]:
        found = town.kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=close")["items"]
        return [one.get("hints") for entry in found for one in entry["endpoints"]]

    wanted = sorted(({"forNodes": [{"name": node}]} for node in town.nodes), key=str)
    eventually(hinted, lambda hints: sorted(hints, key=str) == wanted)
    for node in town.nodes:
        eventually(
            lambda node=node: {server_of(town.from_node(node, url)) for _ in range(4)},  # type: ignore[misc]
            lambda seen, node=node: seen == {town.servers[node]},  # type: ignore[misc]
        )


@covers(
    "[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly] [Conformance]",
    "[sig-network] Services should have session affinity work for NodePort service [LinuxOnly] [Conformance]",
    "[sig-network] Services should be able to switch session affinity for service with type clusterIP [LinuxOnly] [Conformance]",
    "[sig-network] Services should be able to switch session affinity for NodePort service [LinuxOnly] [Conformance]",
)
def test_a_client_sticks_to_an_endpoint_while_it_is_asked_for_and_no_longer(town: Town) -> None:
    made = town.make("sticky", type="NodePort", sessionAffinity="ClientIP")
    node = town.nodes[1]
    port = made["spec"]["ports"][0]["nodePort"]
    urls = (f"http://{made['spec']['clusterIP']}/", f"http://{town.addresses[node]}:{port}/")

    def seen(url: str) -> set[str]:
        return {server_of(town.from_node(node, url)) for _ in range(6)}

    for url in urls:
        assert len(seen(url)) == 1
    town.kubectl("patch", "service", "sticky", "-p", '{"spec": {"sessionAffinity": "None"}}')
    for url in urls:
        eventually(lambda url=url: seen(url), lambda found: len(found) > 1)  # type: ignore[misc]
    config = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}}}
    town.kubectl("patch", "service", "sticky", "-p", json.dumps({"spec": config}))
    eventually(lambda: seen(urls[0]), lambda found: len(found) == 1)

    def later() -> str:
        time.sleep(1.2)  # the timeout is what is looked at
        return server_of(town.from_node(node, urls[0]))

    first = later()
    assert any(later() != first for _ in range(4))


def test_a_load_balancer_has_the_nodes_addresses_and_one_port_belongs_to_one_of_them(town: Town) -> None:
    port = {"port": 8088, "targetPort": 80}
    ours = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}
    town.kubectl.apply(service("front", port, selector={"app": "echo"}, **ours))

    def addresses(name: str) -> list[str]:
        status = town.kubectl.get(f"service/{name}")["status"]["loadBalancer"]
        assert all(entry["ipMode"] == "VIP" for entry in status.get("ingress") or ())
        return [entry["ip"] for entry in status.get("ingress") or ()]

    everyone = sorted(town.addresses.values())
    eventually(lambda: addresses("front"), lambda found: found == everyone)
    assert "nodePort" not in town.kubectl.get("service/front")["spec"]["ports"][0]
    for address in everyone:
        answers = town.everywhere(f"http://{address}:8088/")
        assert all(server_of(answer) for answer in answers.values()), answers
    town.kubectl.apply(
        service("late", port, selector={"app": "echo"}, **ours),
        service("theirs", {"port": 8089}, loadBalancerClass="example.com/cloud", **ours),
        service("greedy", {"port": 6443}, **ours),
    )
    why = {
        "late": f"port 8088/TCP is already used by Service {town.kubectl.namespace}/front",
        "greedy": "port 6443/TCP is used by the cluster itself",
    }
    for name, text in why.items():
        eventually(lambda name=name: town.kubectl("describe", f"service/{name}"), lambda seen, text=text: text in seen)  # type: ignore[misc]  # fmt: skip
    assert "<pending>" in town.kubectl("get", "service", "late", "theirs", "greedy")
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    left_out = town.nodes[-1]
    town.kubectl("label", "node", left_out, f"{label}=")
    try:
        rest = [address for address in everyone if address != town.addresses[left_out]]
        eventually(lambda: addresses("front"), lambda found: found == rest)
    finally:
        town.kubectl("label", "node", left_out, f"{label}-")
    town.kubectl("delete", "service", "front")
    eventually(lambda: addresses("late"), lambda found: found == everyone)


def test_a_load_balancer_keeps_to_its_source_ranges(town: Town) -> None:
    first, second, *_ = town.nodes
    ours = {"type": "LoadBalancer", "loadBalancerSourceRanges": [f"{town.addresses[second]}/32"]}
    made = town.make("ranged", {"port": 8090, "targetPort": 80}, **ours)
    url = f"http://{town.addresses[town.nodes[-1]]}:8090/"
    eventually(lambda: town.from_node(second, url), lambda answer: bool(server_of(answer)))
    assert town.from_node(first, url) == ""
    assert server_of(town.from_node(first, f"http://{made['spec']['clusterIP']}:8090/"))


def test_a_local_load_balancer_is_where_its_endpoints_are_and_nodes_say_so(town: Town) -> None:
    kubectl, home = town.kubectl, town.nodes[1]
    kubectl.apply(
        pod("lonely", container(image=ECHO_V1, **READY), nodeName=home),
        service("alone", {"port": 8091, "targetPort": 80}, selector={"app": "lonely"}, type="LoadBalancer", externalTrafficPolicy="Local"),
    )  # fmt: skip
    made = eventually(
        lambda: kubectl.get("service/alone"),
        lambda seen: [entry["ip"] for entry in seen["status"]["loadBalancer"].get("ingress") or ()] == [town.addresses[home]],
    )  # fmt: skip
    answer = town.from_node(town.nodes[0], f"http://{town.addresses[home]}:8091/")
    assert (server_of(answer), client_of(answer)) == ("lonely", town.addresses[town.nodes[0]])
    port = made["spec"]["healthCheckNodePort"]

    def probe(node: str) -> tuple[int, int]:
        try:
            with urllib.request.urlopen(f"http://{town.addresses[node]}:{port}/healthz", timeout=3) as found:
                return found.status, json.load(found)["localEndpoints"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["localEndpoints"]

    assert {node: probe(node) for node in town.nodes} == {
        node: (200, 1) if node == home else (503, 0) for node in town.nodes
    }


def test_an_external_address_leads_to_the_service_on_every_node(town: Town) -> None:
    town.make("outer", externalIPs=["203.0.113.7"])
    for node in town.nodes:
        assert server_of(town.from_pod(node, "http://203.0.113.7/")) in town.servers.values()


@covers(
    "[sig-network] Services should serve multiport endpoints from pods [Conformance]",
    "[sig-network] EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices [Conformance]",
)
def test_a_named_target_port_may_be_another_number_on_every_pod(town: Town) -> None:
    kubectl = town.kubectl
    for number in (80, 8080):
        ports = [{"name": "named", "containerPort": number}]
        probe = {"httpGet": {"path": "/healthz", "port": "named"}, "periodSeconds": 1}
        kubectl.apply(
            pod(f"on-{number}", container(image=ECHO_V1, ports=ports, readinessProbe=probe), labels={"app": "mixed"})
        )  # fmt: skip
    kubectl.apply(service("mixed", {"name": "a", "port": 81, "targetPort": "named"}, {"name": "b", "port": 82, "targetPort": 80}))  # fmt: skip
    for number in (80, 8080):
        kubectl.wait(f"pod/on-{number}", "condition=Ready")
    slices = eventually(
        lambda: kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=mixed")["items"],
        lambda found: sum(len(one.get("endpoints") or ()) for one in found) == 2,
    )
    assert sorted(port["port"] for one in slices for port in one["ports"]) == [80, 80, 80, 8080]
    address = kubectl.get("service/mixed")["spec"]["clusterIP"]
    for node in town.nodes:
        for port in (81, 82):
            seen = {server_of(town.from_node(node, f"http://{address}:{port}/")) for _ in range(4)}
            assert seen == {"on-80", "on-8080"}


@covers(
    "[sig-network] HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol [LinuxOnly] [Conformance]"
)
def test_a_host_port_is_taken_once_per_address_and_protocol(town: Town) -> None:
    kubectl, node = town.kubectl, town.nodes[1]
    own = town.addresses[node]

    def make(name: str, host: str, protocol: str = "TCP") -> None:
        ports = [{"containerPort": 80, "hostPort": 8123, "hostIP": host, "protocol": protocol}]
        selector = {"kubernetes.io/hostname": node}
        kubectl.apply(pod(name, container(image=ECHO_V1, ports=ports, **READY), nodeSelector=selector))

    make("port-a", own)
    make("port-b", "127.0.0.1")
    make("port-c", own, "UDP")
    for name in ("port-a", "port-b", "port-c"):
        kubectl.wait(f"pod/{name}", "condition=Ready")
    make("port-d", own)
    assert server_of(town.from_node(town.nodes[0], f"http://{own}:8123/")) == "port-a"
    assert server_of(town.from_pod(town.nodes[2], f"http://{own}:8123/")) == "port-a"
    assert server_of(town.from_node(node, "http://127.0.0.1:8123/")) == "port-b"
    eventually(
        lambda: kubectl("describe", "pod/port-d"), lambda seen: "didn't have free ports for the requested pod ports" in seen
    )  # fmt: skip
    kubectl("delete", "pod", "port-a", "port-d", "--grace-period=1")


def test_an_endpoint_that_terminates_serves_on_while_there_is_no_other(town: Town) -> None:
    kubectl = town.kubectl
    slow = {"preStop": {"exec": {"command": ["sleep", "20"]}}}
    kubectl.apply(
        pod("going", container(image=ECHO_V1, lifecycle=slow, **READY), terminationGracePeriodSeconds=30, nodeName=town.nodes[1]),
        service("going"),
    )  # fmt: skip
    kubectl.wait("pod/going", "condition=Ready")
    url = f"http://{kubectl.get('service/going')['spec']['clusterIP']}/"
    eventually(lambda: town.from_node(town.nodes[0], url), lambda seen: server_of(seen) == "going")
    kubectl("delete", "pod", "going", "--wait=false")

    def conditions() -> Any:
        (piece,) = kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=going")["items"]
        return [one["conditions"] for one in piece["endpoints"]]

    eventually(conditions, lambda seen: seen == [{"ready": False, "serving": True, "terminating": True}])
    for node in town.nodes:
        assert server_of(town.from_node(node, url)) == "going"
    kubectl.apply(pod("coming", container(image=ECHO_V1, **READY), labels={"app": "going"}))
    kubectl.wait("pod/coming", "condition=Ready")
    for node in town.nodes:
        eventually(lambda node=node: {server_of(town.from_node(node, url)) for _ in range(3)}, lambda seen: seen == {"coming"})  # type: ignore[misc]  # fmt: skip
    kubectl("delete", "pod", "going", "--force", "--grace-period=0")


@covers(
    "[sig-network] DNS should provide DNS for pods for Hostname [Conformance]",
    "[sig-network] DNS should provide DNS for pods for Subdomain [Conformance]",
    "[sig-network] DNS should resolve DNS of partial qualified names for services [LinuxOnly] [Conformance]",
)
def test_a_headless_service_names_its_pods_and_ports_even_before_they_are_ready(town: Town) -> None:
    kubectl = town.kubectl
    port = {"name": "web", "port": 80}
    never = {"readinessProbe": {"exec": {"command": ["false"]}}}
    kubectl.apply(
        service("band", port, selector={"app": "band"}, clusterIP="None", publishNotReadyAddresses=True),
        pod("drums", container(image=ECHO_V1, **never), labels={"app": "band"}, hostname="drums", subdomain="band", nodeName=town.nodes[1]),
    )  # fmt: skip
    kubectl.wait("pod/drums", "jsonpath={.status.phase}=Running")
    address = kubectl.get("pod/drums")["status"]["podIP"]
    zone = f"band.{kubectl.namespace}.svc.cluster.local"

    def ask(node: str, name: str, kind: str) -> str:
        return kubectl.run("exec", f"visitor-{node}", "--", "nslookup", f"-type={kind}", name).out

    for node in town.nodes:
        eventually(lambda node=node: ask(node, zone, "a"), lambda seen: address in seen)  # type: ignore[misc]
        assert address in ask(node, f"drums.{zone}", "a")
        assert f"drums.{zone}" in ask(node, f"_web._tcp.{zone}", "srv")
        reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
        assert f"drums.{zone}" in ask(node, reverse, "ptr")
        assert address in kubectl.run("exec", f"visitor-{node}", "--", "ping", "-c1", "-W2", f"drums.band.{kubectl.namespace}").out  # fmt: skip
    assert kubectl("exec", "drums", "--", "hostname", "-f").strip() == f"drums.{zone}"


def test_a_network_policy_lets_in_whom_it_names_on_every_node(town: Town) -> None:
    kubectl, (first, second, third) = town.kubectl, town.nodes[:3]
    kubectl.apply(
        pod("vault", container(image=ECHO_V1, **READY, **PORTS), nodeName=second),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "vault"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "vault"}},
                "ingress": [
                    {
                        "from": [{"podSelector": {"matchLabels": {"app": f"visitor-{first}"}}}],
                        "ports": [{"port": "web"}],
                    }
                ],
            },
        },
        service("vault"),
    )
    kubectl.wait("pod/vault", "condition=Ready")
    direct = f"http://{kubectl.get('pod/vault')['status']['podIP']}/"
    for url in (direct, f"http://{kubectl.get('service/vault')['spec']['clusterIP']}/"):
        eventually(lambda url=url: server_of(town.from_pod(first, url)), lambda seen: seen == "vault")  # type: ignore[misc]
        for node in (second, third):
            barred = kubectl.run("exec", f"visitor-{node}", "--", "timeout", "1", "wget", "-q", "-O", "-", url)  # fmt: skip
            assert (barred.code, barred.out) != (0, "")
            assert not barred.out
    kubectl("delete", "networkpolicy", "vault")
    eventually(lambda: server_of(town.from_pod(third, direct)), lambda seen: seen == "vault")


def test_no_request_fails_while_a_deployment_is_rolled_out(town: Town) -> None:
    kubectl = town.kubectl
    probe = {"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}}
    kubectl.apply(deployment("rolled", 6, container(image=NGINX, **probe)), service("rolled"))
    kubectl("rollout", "status", "deploy/rolled", "--timeout=60s", timeout=70)
    address = kubectl.get("service/rolled")["spec"]["clusterIP"]
    done, failures, count = threading.Event(), [], [0]

    def load() -> None:
        while not done.is_set():
            try:
                with socket.create_connection((address, 80), 5) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: rolled\r\nConnection: close\r\n\r\n")
                    answer = connection.recv(64)
                    assert answer.startswith(b"HTTP/1.1 200"), answer
            except (OSError, AssertionError) as error:
                failures.append(repr(error))
            count[0] += 1
            done.wait(0.01)

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        kubectl("rollout", "restart", "deploy/rolled")
        kubectl("rollout", "status", "deploy/rolled", "--timeout=60s", timeout=70)
        eventually(lambda: kubectl.get("pods", "-l", "app=rolled")["items"], lambda pods: len(pods) == 6)
    finally:
        done.set()
        for client in clients:
            client.join()
    assert not failures
    assert count[0] > 100


@covers(
    "[sig-network] Services should be able to change the type from ExternalName to ClusterIP [Conformance]",
    "[sig-network] Services should be able to change the type from ExternalName to NodePort [Conformance]",
    "[sig-network] Services should be able to change the type from ClusterIP to ExternalName [Conformance]",
    "[sig-network] Services should be able to change the type from NodePort to ExternalName [Conformance]",
)
def test_a_service_changes_its_type_and_its_name_leads_there(town: Town) -> None:
    kubectl, node = town.kubectl, town.nodes[1]
    name = f"shape.{kubectl.namespace}.svc.cluster.local"

    def become(**spec: Any) -> None:
        kubectl("patch", "service", "shape", "--type=merge", "-p", json.dumps({"spec": spec}))

    def resolved() -> str:
        return kubectl.run("exec", f"visitor-{node}", "--", "nslookup", name).out

    away = {"type": "ExternalName", "externalName": "example.test"}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shape"}, "spec": away})
    eventually(resolved, lambda seen: "192.0.2.53" in seen)
    for kind in ("ClusterIP", "NodePort"):
        become(type=kind, externalName=None, selector={"app": "echo"}, ports=[{"port": 80}])
        eventually(lambda: server_of(town.from_pod(node, f"http://{name}/")), lambda seen: seen in town.servers.values())  # fmt: skip
        become(**away)
        assert "clusterIP" not in kubectl.get("service/shape")["spec"]
        eventually(resolved, lambda seen: "192.0.2.53" in seen)


@covers(
    "[sig-network] Services should serve endpoints on same port and different protocols [Conformance]",
    "[sig-network] EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices [Conformance]",
    "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete [Conformance]",
)
def test_endpoints_that_somebody_writes_are_served_too(town: Town) -> None:
    kubectl = town.kubectl
    first, second, third = (town.echo[node] for node in town.nodes[:3])
    ports = [{"port": 80, "name": "t", "protocol": "TCP"}, {"port": 80, "name": "u", "protocol": "UDP"}]
    kubectl.apply(
        *(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}
            for name in ("sliced", "mirrored")
        ),
        *(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"s{index}", "labels": {"kubernetes.io/service-name": "sliced"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address]}],
                "ports": [{"name": "t", "port": port, "protocol": "TCP"}],
            }
            for index, (address, port) in enumerate(((first, 80), (second, 8080)))
        ),
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "mirrored"},
            "subsets": [{"addresses": [{"ip": third}], "ports": [ports[0]]}],
        },
    )
    address = {name: kubectl.get(f"service/{name}")["spec"]["clusterIP"] for name in ("sliced", "mirrored")}
    named = {town.echo[node]: town.servers[node] for node in town.nodes}
    for node in town.nodes:

        def seen(name: str, node: str = node) -> set[str]:
            return {server_of(town.from_node(node, f"http://{address[name]}/")) for _ in range(4)}

        eventually(lambda: seen("sliced"), lambda found: found == {named[first], named[second]})
        eventually(lambda: seen("mirrored"), lambda found: found == {named[third]})
    kubectl("delete", "endpoints", "mirrored")
    eventually(
        lambda: kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=mirrored", "-o", "name"),
        lambda found: found == "",
    )


@covers(
    "[sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations [Conformance]",
    "[sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations [Conformance]",
)
def test_every_cluster_ip_is_recorded_and_lies_in_the_clusters_range(town: Town) -> None:
    kubectl = town.kubectl
    kubectl.apply(service("recorded"))
    address = kubectl.get("service/recorded")["spec"]["clusterIP"]
    told = eventually(lambda: kubectl.run("get", "ipaddress", address), lambda seen: seen.code == 0).out
    assert f"services/{kubectl.namespace}/recorded" in told
    kubectl.wait("servicecidr/kubernetes", "condition=Ready")
    theirs = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": "198.51.100.77"},
    }
    kubectl.apply({**theirs, "spec": {"parentRef": {"resource": "things", "name": "mine"}}})
    kubectl("label", "ipaddress", "198.51.100.77", "kept=by-us")
    kubectl("delete", "ipaddress", "-l", "kept=by-us")
    kubectl("delete", "service", "recorded")
    eventually(lambda: kubectl.run("get", "ipaddress", address).code, lambda code: code != 0)


@covers(
    "[sig-network] EndpointSlice should create and delete EndpointSlices for a Service with a selector that matches no pods [Conformance]",
    "[sig-network] EndpointsController should create and delete Endpoints for a Service with a selector that matches no pods [Conformance]",
    "[sig-network] EndpointsController should create Endpoints for Pods matching a Service [Conformance]",
)
def test_endpoints_come_and_go_with_the_service_and_its_pods(town: Town) -> None:
    kubectl = town.kubectl
    kubectl.apply(service("lone"))
    where = ("get", "endpointslices,endpoints", "-l", "kubernetes.io/service-name=lone", "-o", "name")
    (piece,) = eventually(
        lambda: kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=lone")["items"], bool
    )
    assert not piece.get("endpoints")
    eventually(lambda: kubectl.run("get", "endpoints", "lone").code, lambda code: code == 0)
    kubectl.apply(pod("lone", container(image=ECHO_V1, **READY)))
    kubectl.wait("pod/lone", "condition=Ready")
    address = kubectl.get("pod/lone")["status"]["podIP"]
    eventually(
        lambda: kubectl.get("endpoints/lone").get("subsets") or [],
        lambda found: [one["ip"] for part in found for one in part["addresses"]] == [address],
    )
    kubectl("delete", "service", "lone")
    eventually(lambda: kubectl(*where), lambda left: left == "")
    assert kubectl.run("get", "endpoints", "lone").code != 0


@covers(
    "[sig-network] API Server should provide secure master service [Conformance]",
    "[sig-network] DNS should provide /etc/hosts entries for the cluster [Conformance]",
    "[sig-network] DNS should support configurable pod DNS nameservers [Conformance]",
)
def test_a_pod_knows_itself_the_api_server_and_the_resolvers_it_asked_for(town: Town) -> None:
    kubectl, node = town.kubectl, town.nodes[1]
    made = kubectl.get("-n", "default", "service/kubernetes")["spec"]["ports"]
    assert [(port["name"], port["port"]) for port in made] == [("https", 443)]
    assert f"visitor-{node}" in kubectl("exec", f"visitor-{node}", "--", "ping", "-c1", f"visitor-{node}")
    config = {
        "nameservers": ["192.0.2.53"],
        "searches": ["a.test"],
        "options": [{"name": "ndots", "value": "2"}],
    }
    kubectl.apply(pod("chosen", dnsPolicy="None", dnsConfig=config, nodeName=node))
    kubectl.wait("pod/chosen", "condition=Ready")
    found = kubectl("exec", "chosen", "--", "cat", "/etc/resolv.conf").split("\n")
    assert [line for line in found if line] == ["search a.test", "nameserver 192.0.2.53", "options ndots:2"]


@covers(
    "[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service Proxy [Conformance]",
    "[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath [Conformance]",
)
def test_the_api_server_leads_to_pods_and_services_of_every_node(town: Town) -> None:
    town.make("led", {"name": "web", "port": 80})
    root = f"/api/v1/namespaces/{town.kubectl.namespace}"
    for name in town.servers.values():
        assert server_of(town.kubectl("get", "--raw", f"{root}/pods/{name}:80/proxy/")) == name
        assert town.kubectl("get", "--raw", f"{root}/pods/http:{name}:80/proxy/version") == "v1\n"
    for way in ("led", "led:web", "http:led:80"):
        answer = town.kubectl("get", "--raw", f"{root}/services/{way}/proxy/some/path")
        assert server_of(answer) in town.servers.values()
        assert "/some/path" in answer
