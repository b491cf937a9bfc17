"""Pods that reach each other, Services that answer from everywhere, and names for both."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import ECHO_V1, container, deployment, pod, service
from tests.conformance.waiting import eventually

READY = {"readinessProbe": {"httpGet": {"path": "/healthz", "port": 80}, "periodSeconds": 1}}


def fetch(url: str, timeout: float = 3) -> str:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return str(answer.read().decode())


@pytest.fixture
def echo(kubectl: Kubectl) -> Kubectl:
    """Two echo servers behind the Service `echo`, and a pod to look from."""
    kubectl.apply(deployment("echo", 2, container(image=ECHO_V1, **READY)), service("echo"), pod("visitor"))
    kubectl("rollout", "status", "deploy/echo", "--timeout=60s", timeout=70)
    kubectl.wait("pod/visitor", "condition=Ready")
    return kubectl


def visit(kubectl: Kubectl, url: str) -> str:
    return kubectl("exec", "visitor", "--", "wget", "-q", "-O", "-", url)


@covers(
    "[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: http [NodeConformance] [Conformance]",
    "[sig-network] Networking Granular Checks: Pods should function for node-pod communication: http [LinuxOnly] [NodeConformance] [Conformance]",
)
def test_pods_are_reached_by_address_from_pods_and_node(echo: Kubectl) -> None:
    for item in echo.get("pods", "-l", "app=echo")["items"]:
        url = f"http://{item['status']['podIP']}/"
        assert item["metadata"]["name"] in visit(echo, url)
        assert item["metadata"]["name"] in fetch(url)


@covers(
    "[sig-network] Services should serve a basic endpoint from pods [Conformance]",
    "[sig-network] DNS should provide DNS for services [Conformance]",
)
def test_a_service_has_an_address_and_names(echo: Kubectl) -> None:
    address = echo.get("service/echo")["spec"]["clusterIP"]
    names = {item["metadata"]["name"] for item in echo.get("pods", "-l", "app=echo")["items"]}
    answers = "".join(fetch(f"http://{address}/") for _ in range(8))
    assert all(name in answers for name in names)
    for host in ("echo", f"echo.{echo.namespace}", f"echo.{echo.namespace}.svc.cluster.local"):
        answer = visit(echo, f"http://{host}/")
        assert any(name in answer for name in names)


@covers("[sig-network] Services should be able to create a functioning NodePort service [Conformance]")
def test_a_node_port_answers_on_the_node(echo: Kubectl) -> None:
    echo.apply(service("outside", selector={"app": "echo"}, type="NodePort"))
    port = echo.get("service/outside")["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    for node in echo.get("nodes")["items"]:
        address = next(
            entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"
        )

        def answers(address: str = address) -> bool:
            try:
                return "echo-" in fetch(f"http://{address}:{port}/")
            except OSError:
                return False

        eventually(answers, bool)
        assert "echo-" in visit(echo, f"http://{address}:{port}/")


def test_a_changed_endpoint_changes_who_answers(echo: Kubectl) -> None:
    address = echo.get("service/echo")["spec"]["clusterIP"]
    echo("scale", "deploy/echo", "--replicas=0")
    eventually(lambda: echo.get("pods", "-l", "app=echo")["items"], lambda pods: pods == [])

    def refused() -> bool:
        try:
            fetch(f"http://{address}/")
        except urllib.error.URLError as error:
            return isinstance(error.reason, ConnectionRefusedError)
        return False

    eventually(refused, bool)
    echo("scale", "deploy/echo", "--replicas=1")
    echo("rollout", "status", "deploy/echo", "--timeout=60s", timeout=70)

    def answers() -> bool:
        try:
            return "echo-" in fetch(f"http://{address}/")
        except OSError:
            return False

    eventually(answers, bool)


def test_an_address_that_nothing_has_is_refused_at_once_and_goes_nowhere(echo: Kubectl) -> None:
    for address in ("10.43.77.77", "10.42.200.9"):
        with (
            pytest.raises(OSError, match=r"refused|unreachable|No route"),
            socket.create_connection((address, 80), 3),
        ):
            pass


@covers(
    "[sig-network] DNS should provide DNS for the cluster [Conformance]",
    "[sig-network] DNS should provide DNS for pods for Subdomain [Conformance]",
    "[sig-network] DNS should provide DNS for ExternalName services [Conformance]",
)
def test_names_of_every_sort_resolve(echo: Kubectl) -> None:
    headless = service("club", selector={"app": "member"}, clusterIP="None")
    echo.apply(
        headless,
        pod("member", container(image=ECHO_V1, **READY), hostname="ann", subdomain="club"),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "away"}, "spec": {"type": "ExternalName", "externalName": "example.test"}},
    )  # fmt: skip
    echo.wait("pod/member", "condition=Ready")
    address = echo.get("pod/member")["status"]["podIP"]
    zone = f"{echo.namespace}.svc.cluster.local"

    def resolve(name: str) -> str:
        return echo.run("exec", "visitor", "--", "nslookup", name).out

    eventually(lambda: resolve(f"club.{zone}"), lambda seen: address in seen)
    eventually(lambda: resolve(f"ann.club.{zone}"), lambda seen: address in seen)
    assert "10.43.0.1" in resolve("kubernetes.default.svc.cluster.local")
    eventually(lambda: resolve(f"away.{zone}"), lambda seen: "192.0.2.53" in seen)
    assert "NXDOMAIN" in resolve(f"nobody.{zone}") or "can't resolve" in resolve(f"nobody.{zone}")


@covers(
    "[sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service [Conformance]",
    "[sig-network] API Server should have Endpoints and EndpointSlices pointing to API Server [Conformance]",
)
def test_endpoints_are_the_ready_pods(echo: Kubectl) -> None:
    wanted = {item["status"]["podIP"] for item in echo.get("pods", "-l", "app=echo")["items"]}
    (piece,) = echo.get("endpointslices", "-l", "kubernetes.io/service-name=echo")["items"]
    assert {address for entry in piece["endpoints"] for address in entry["addresses"]} == wanted
    assert all(entry["conditions"]["ready"] for entry in piece["endpoints"])
    (subset,) = echo.get("endpoints/echo")["subsets"]
    assert {entry["ip"] for entry in subset["addresses"]} == wanted
    api = echo(
        "get", "endpoints", "kubernetes", "-n", "default", "-o", "jsonpath={.subsets[0].addresses[0].ip}"
    )
    assert api == "10.89.0.1"


@covers(
    "[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly] [Conformance]"
)
def test_session_affinity_keeps_a_client_with_its_pod(echo: Kubectl) -> None:
    echo.apply(service("sticky", selector={"app": "echo"}, sessionAffinity="ClientIP"))
    address = echo.get("service/sticky")["spec"]["clusterIP"]

    def first() -> str:
        try:
            return fetch(f"http://{address}/hello")
        except OSError:
            return ""

    names = [item["metadata"]["name"] for item in echo.get("pods", "-l", "app=echo")["items"]]
    eventually(first, bool)
    seen: set[str] = set()
    for _ in range(10):
        answer = first()
        seen |= {name for name in names if name in answer}
    assert len(seen) == 1


def test_the_api_server_is_reached_from_pods(echo: Kubectl) -> None:
    said: Any = echo.run("exec", "visitor", "--", "nc", "-w", "3", "kubernetes.default", "443", stdin="")
    assert said.code == 0, said.err
