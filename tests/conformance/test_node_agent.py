"""A node's own API: logs in every manner, health, numbers, who may see them, and what the node tells of
itself."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import LocalCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import pod, sh
from tests.conformance.waiting import eventually

SPOKEN = "for n in 1 2 3 4 5; do echo line $n; done; touch /tmp/said; sleep 1000"
SAID = {"exec": {"command": ["test", "-e", "/tmp/said"]}, "periodSeconds": 1}


def proxied(kubectl: Kubectl, node: str, path: str) -> str:
    return kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/{path}")


def node_of(kubectl: Kubectl, name: str) -> str:
    return str(kubectl.get(f"pod/{name}")["spec"]["nodeName"])


@pytest.fixture
def talker(kubectl: Kubectl) -> str:
    first = {**sh("echo prepared", "first")}
    kubectl.apply(
        pod(
            "talker",
            sh(SPOKEN, "one", readinessProbe=SAID),
            sh("echo from two; sleep 1000", "two"),
            initContainers=[first],
        )
    )
    kubectl.wait("pod/talker", "condition=Ready")
    return "talker"


def test_a_log_is_cut_as_it_is_asked_for(kubectl: Kubectl, talker: str) -> None:
    assert kubectl("logs", talker, "-c", "first") == "prepared\n"
    assert kubectl("logs", talker, "-c", "one", "--tail=2") == "line 4\nline 5\n"
    assert kubectl("logs", talker, "-c", "one", "--limit-bytes=9") == "line 1\nli"
    stamped = kubectl("logs", talker, "-c", "one", "--timestamps").splitlines()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line \d", line) for line in stamped)
    assert kubectl("logs", talker, "-c", "one", "--since=1h").count("\n") == 5
    assert kubectl("logs", talker, "-c", "one", "--since-time=2100-01-01T00:00:00Z") == ""
    together = kubectl("logs", talker, "--all-containers", "--prefix").splitlines()
    assert "[pod/talker/two] from two" in together
    assert "[pod/talker/first] prepared" in together
    refused = kubectl.refused("logs", talker, "-c", "none")
    assert "container none is not valid for pod talker" in refused


def test_the_log_of_the_start_before_is_kept(kubectl: Kubectl) -> None:
    script = "test -e /keep/x && { echo second; sleep 1000; }; touch /keep/x; echo first; exit 3"
    mounts = [{"name": "keep", "mountPath": "/keep"}]
    kubectl.apply(pod("again", sh(script, volumeMounts=mounts), volumes=[{"name": "keep", "emptyDir": {}}]))
    eventually(lambda: kubectl.run("logs", "again").out, lambda said: said == "second\n")
    assert kubectl("logs", "again", "--previous") == "first\n"


def test_a_node_tells_of_its_health_and_its_numbers(kubectl: Kubectl, talker: str) -> None:
    node = node_of(kubectl, talker)
    for path in ("healthz", "healthz/ping", "healthz/syncloop", "healthz/log"):
        assert proxied(kubectl, node, path) == "ok"
    assert json.loads(proxied(kubectl, node, "configz"))["kubeletconfig"]["maxPods"] == 110
    assert talker in {
        item["metadata"]["name"] for item in json.loads(proxied(kubectl, node, "pods"))["items"]
    }
    running = json.loads(proxied(kubectl, node, "runningpods/"))["items"]
    assert talker in {item["metadata"]["name"] for item in running}
    assert f'kubelet_node_name{{node="{node}"}} 1\n' in proxied(kubectl, node, "metrics")
    of_containers = proxied(kubectl, node, "metrics/cadvisor")
    assert re.search(
        r'container_memory_working_set_bytes\{container="one",.*pod="talker"\} [1-9]', of_containers
    )
    assert re.search(
        r'container_network_receive_bytes_total\{.*pod="talker",interface="eth0"\}', of_containers
    )
    probes = proxied(kubectl, node, "metrics/probes")
    assert re.search(
        r'pod="talker",pod_uid="[^"]+",probe_type="Readiness",result="successful"\} [1-9]', probes
    )
    summary = json.loads(proxied(kubectl, node, "stats/summary"))
    assert summary["node"]["fs"]["capacityBytes"] > summary["node"]["fs"]["usedBytes"] > 0
    (entry,) = [each for each in summary["pods"] if each["podRef"]["name"] == talker]
    assert {each["name"] for each in entry["containers"]} == {"one", "two"}
    assert all(each["logs"]["usedBytes"] > 0 for each in entry["containers"])
    assert entry["network"]["interfaces"]


def test_who_asks_a_node_is_known_and_may_see_it(
    cluster: LocalCluster, kubectl: Kubectl, talker: str
) -> None:
    found = kubectl.get(f"node/{node_of(kubectl, talker)}")["status"]
    address = next(each["address"] for each in found["addresses"] if each["type"] == "InternalIP")
    base = f"https://{address}:{found['daemonEndpoints']['kubeletEndpoint']['Port']}"
    tls = ssl.create_default_context(cafile=str(Path(cluster.data) / "pki" / "ca.crt"))

    def ask(path: str, token: str = "") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(base + path, headers=headers)
        try:
            with urllib.request.urlopen(request, context=tls, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert ask("/pods") == (401, "Unauthorized")
    assert ask("/pods", "nonsense") == (401, "Unauthorized")
    kubectl("create", "serviceaccount", "scraper")
    namespace = kubectl.get("sa/scraper")["metadata"]["namespace"]
    token = kubectl("create", "token", "scraper").strip()
    user = f"system:serviceaccount:{namespace}:scraper"
    assert ask("/metrics", token) == (
        403,
        f"Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[metrics])\n",
    )
    name = f"scraper-{namespace}"
    kubectl("create", "clusterrole", name, "--verb=get", "--resource=nodes/pods")
    try:
        kubectl(
            "create",
            "clusterrolebinding",
            name,
            f"--clusterrole={name}",
            f"--serviceaccount={namespace}:scraper",
        )
        assert ask("/pods", token)[0] == 200
        assert ask("/runningpods/", token)[0] == 200
        code, said = ask("/exec/x/y/z", token)
        assert (code, "subresource(s)=[proxy]" in said) == (403, True)
    finally:
        kubectl("delete", f"clusterrole/{name}", f"clusterrolebinding/{name}", "--ignore-not-found")


def test_a_node_says_when_it_starts_and_how_it_is(kubectl: Kubectl) -> None:
    events = kubectl.get("events", "-n", "default", "--field-selector=involvedObject.kind=Node")["items"]
    reasons = {each["reason"] for each in events}
    assert {"Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeReady"} <= reasons


def test_a_node_is_described_in_full(kubectl: Kubectl) -> None:
    for node in kubectl.get("nodes")["items"]:
        status: dict[str, Any] = node["status"]
        info = status["nodeInfo"]
        assert all(
            info[name]
            for name in ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "architecture",
                         "containerRuntimeVersion", "kubeletVersion", "operatingSystem")
        )  # fmt: skip
        assert {each["type"] for each in status["addresses"]} == {"InternalIP", "Hostname"}
        assert "" in {each["name"] for each in status["runtimeHandlers"]}
        assert status["features"] == {"supplementalGroupsPolicy": True}
        assert 0 < len(status["images"]) <= 50


def test_top_sorts_sums_and_selects(kubectl: Kubectl, talker: str) -> None:
    eventually(lambda: kubectl.run("top", "pods").out, lambda said: "talker" in said)
    lines = kubectl("top", "pods", "--containers", "--sort-by=memory", "--no-headers").splitlines()
    assert {tuple(line.split()[:2]) for line in lines} == {("talker", "one"), ("talker", "two")}
    assert kubectl("top", "pods", "--sum", "--no-headers").splitlines()[-1].split()[0].endswith("m")
    assert "No resources found" in kubectl.run("top", "pods", "-l", "no=one").err
    assert len(kubectl("top", "nodes", "--no-headers", "--sort-by=cpu").splitlines()) >= 1
