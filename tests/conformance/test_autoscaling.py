"""Metrics, horizontal pod autoscaling, aggregated APIs, and nodes that come when pods do not fit."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import CGROUP, ROOT, LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.elastic import ElasticCluster
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import Obj, container, deployment, pod, sh
from tests.conformance.waiting import eventually
from tests.unit.api.http.sample import API, GROUP, NAME, VERSION, Sample

# Busy while there is a file /tmp/go.
BURN = (
    "while :; do if [ -e /tmp/go ]; then i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; "
    "else sleep 0.2; fi; done"
)


def milli(text: str) -> int:
    return int(text.removesuffix("m"))


def mebi(text: str) -> int:
    return int(text.removesuffix("Mi"))


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# --- metrics


def test_top_shows_what_pods_use(kubectl: Kubectl) -> None:
    busy = sh("while :; do :; done", "busy", resources={"limits": {"cpu": "200m"}})
    # What is in memory-backed files is the container's memory.
    large = sh("dd if=/dev/zero of=/dev/shm/x bs=1M count=50; sleep 3600", "large")
    kubectl.apply(pod("p", busy, large, terminationGracePeriodSeconds=0), pod("other"))
    kubectl.wait("pod/p", "condition=Ready")
    kubectl.wait("pod/other", "condition=Ready")

    def used() -> dict[str, list[str]]:
        result = kubectl.run("top", "pods", "--containers", "--no-headers")
        return {row[1]: row[2:] for row in rows(result.out)}

    def right(found: dict[str, list[str]]) -> bool:
        if not {"busy", "large", "main"} <= found.keys():
            return False
        return (
            120 <= milli(found["busy"][0]) <= 260
            and milli(found["main"][0]) < 50
            and 50 <= mebi(found["large"][1]) <= 60
        )

    found = eventually(used, right, timeout=60)
    [of_pod] = rows(kubectl("top", "pod", "p", "--no-headers"))
    assert milli(of_pod[1]) >= 100
    assert mebi(of_pod[2]) >= mebi(found["large"][1])
    assert [row[0] for row in rows(kubectl("top", "pods", "--no-headers", "--sort-by=memory"))] == [
        "p",
        "other",
    ]
    assert [row[0] for row in rows(kubectl("top", "pods", "-l", "app=other", "--no-headers"))] == ["other"]


def test_top_shows_every_node(cluster: LocalCluster, kubectl: Kubectl) -> None:
    shown = {row[0]: row for row in rows(kubectl("top", "nodes", "--no-headers"))}
    assert shown.keys() >= set(cluster.nodes())
    for _, cores, share, memory, part in shown.values():
        assert milli(cores) >= 0
        assert mebi(memory) > 10
        assert share.endswith("%")
        assert part.endswith("%")


def test_the_node_api_tells_what_is_used(cluster: LocalCluster, kubectl: Kubectl) -> None:
    node = cluster.nodes()[0]
    text = kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource")
    assert "\nnode_cpu_usage_seconds_total " in text
    assert "\nresource_scrape_error 0\n" in text
    stats = kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")
    assert '"usageNanoCores":' in stats


# --- horizontal pod autoscaling


def burner(name: str, replicas: int = 1) -> Obj:
    return deployment(name, replicas, sh(BURN, resources={"requests": {"cpu": "50m"}}))


def test_a_busy_workload_gets_more_pods_and_an_idle_one_fewer(kubectl: Kubectl) -> None:
    burning = burner("burn")
    burning["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 0
    kubectl.apply(burning)
    kubectl("rollout", "status", "deploy/burn", "--timeout=60s")
    kubectl("autoscale", "deploy/burn", "--min=1", "--max=3", "--cpu-percent=50")
    rules = {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
    kubectl("patch", "hpa", "burn", "-p", _json({"spec": {"behavior": {"scaleDown": rules}}}))
    eventually(lambda: kubectl("get", "hpa", "burn", "--no-headers"), lambda row: "%/50%" in row, timeout=60)
    [name] = [item["metadata"]["name"] for item in kubectl.get("pods")["items"]]
    kubectl("exec", name, "--", "touch", "/tmp/go")
    kubectl.wait("deploy/burn", "jsonpath={.spec.replicas}=3", timeout=60)
    kubectl("rollout", "status", "deploy/burn", "--timeout=60s")
    events = kubectl(
        "get", "events", "--field-selector=reason=SuccessfulRescale", "-o", "jsonpath={..message}"
    )
    assert "New size: 3; reason: cpu resource utilization (percentage of request) above target" in events
    kubectl("exec", name, "--", "rm", "/tmp/go")
    kubectl.wait("deploy/burn", "jsonpath={.spec.replicas}=1", timeout=60)
    described = kubectl("describe", "hpa", "burn")
    assert "ScalingActive" in described
    assert "All metrics below target" in described


def test_an_autoscaler_without_requests_to_go_by_says_so(kubectl: Kubectl) -> None:
    kubectl.apply(deployment("plain", 1, container()))
    kubectl("rollout", "status", "deploy/plain", "--timeout=60s")
    kubectl("autoscale", "deploy/plain", "--max=3", "--cpu-percent=50")
    message = 'jsonpath={.status.conditions[?(@.type=="ScalingActive")].message}'

    def told(text: str) -> bool:
        return "missing request for cpu in container main of Pod plain-" in text

    eventually(lambda: kubectl("get", "hpa", "plain", "-o", message), told, timeout=60)


def test_an_autoscaler_is_refused_as_upstream_refuses_it(kubectl: Kubectl) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
    spec: dict[str, Any] = {"scaleTargetRef": target, "minReplicas": 0, "maxReplicas": 0}
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"}}
    said = kubectl.refused("create", "-f", "-", stdin=_json({**hpa, "spec": spec}))
    assert "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1" in said
    assert "spec.maxReplicas: Required value: must be set and greater than 0" in said


def test_a_metric_of_an_adapter_of_the_users_counts(kubectl: Kubectl, tmp_path: Path) -> None:
    published = Kubectl(kubectl.kubeconfig, "kube-system").get("cm", "extension-apiserver-authentication")
    name = f"sample-api.{kubectl.namespace}.svc"
    adapter = Sample(published["data"]["requestheader-client-ca-file"], tmp_path, name)
    adapter.group, adapter.version = "custom.metrics.k8s.io", "v1beta2"
    value = {"describedObject": {"name": "shop"}, "timestamp": "2026-01-01T00:00:00Z", "value": "25"}
    path = f"namespaces/{kubectl.namespace}/services/shop/hits"
    adapter.answers[f"/apis/custom.metrics.k8s.io/v1beta2/{path}"] = {"items": [value]}
    kubectl.apply(deployment("web", 1, container()))
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    described = {"apiVersion": "v1", "kind": "Service", "name": "shop"}
    target = {"type": "Value", "value": "10"}
    source = {"metric": {"name": "hits"}, "describedObject": described, "target": target}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 5,
        "metrics": [{"type": "Object", "object": source}],
    }
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
    with serving(adapter, "10.89.0.1"):
        kubectl.apply(*_service(kubectl.namespace, adapter.port))
        reference = {"namespace": kubectl.namespace, "name": "sample-api", "port": 7443}
        kubectl.apply(adapter.api_service(service=reference), {**hpa, "spec": spec})
        try:
            kubectl.wait("deploy/web", "jsonpath={.spec.replicas}=3", timeout=60)
        finally:
            kubectl("delete", "apiservice", "v1beta2.custom.metrics.k8s.io")
    messages = kubectl(
        "get", "events", "--field-selector=reason=SuccessfulRescale", "-o", "jsonpath={..message}"
    )
    assert "New size: 3; reason: Service metric hits above target" in messages


# --- aggregated APIs


@contextmanager
def serving(sample: Sample, host: str) -> Iterator[None]:
    """The sample server, on a loop of its own beside the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(20)

    try:
        do(sample.start(host))
        yield
    finally:
        do(sample.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@covers(
    "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current "
    "Aggregator [LinuxOnly] [Conformance]"
)
def test_an_api_of_another_server_is_part_of_the_cluster(kubectl: Kubectl, tmp_path: Path) -> None:
    published = Kubectl(kubectl.kubeconfig, "kube-system").get("cm", "extension-apiserver-authentication")
    sample = Sample(
        published["data"]["requestheader-client-ca-file"], tmp_path, f"sample-api.{kubectl.namespace}.svc"
    )
    with serving(sample, "10.89.0.1"):
        kubectl.apply(*_service(kubectl.namespace, sample.port))
        reference = {"namespace": kubectl.namespace, "name": "sample-api", "port": 7443}
        kubectl.apply(sample.api_service(service=reference))
        try:
            kubectl.wait(f"apiservice/{NAME}", "condition=Available", timeout=60)
            _use_flunders(kubectl)
            _change_registration(kubectl)
        finally:
            kubectl("delete", "apiservice", "-l", f"{NAME}=updated")
        assert NAME not in kubectl("get", "apiservices")
        assert "flunders" not in kubectl("api-resources", "--cached=false")


def _service(namespace: str, port: int) -> list[Obj]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "sample-api"},
        "spec": {"ports": [{"port": 7443, "targetPort": port}]},
    }
    piece = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "sample-api", "labels": {"kubernetes.io/service-name": "sample-api"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": port}],
        "endpoints": [{"addresses": ["10.89.0.1"], "conditions": {"ready": True}}],
    }
    return [service, piece]


def _use_flunders(kubectl: Kubectl) -> None:
    path = f"{API}/namespaces/default/flunders"
    flunder = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "f"}}
    kubectl("create", "--raw", path, "-f", "-", stdin=_json(flunder))
    everywhere = Kubectl(kubectl.kubeconfig, "default")
    assert [item["metadata"]["name"] for item in everywhere.get("flunders")["items"]] == ["f"]
    kubectl("delete", "--raw", f"{path}/f")
    assert everywhere.get("fl")["items"] == []
    assert "flunders" in kubectl("api-resources", "--cached=false", f"--api-group={GROUP}")


def _change_registration(kubectl: Kubectl) -> None:
    where = f"/apis/apiregistration.k8s.io/v1/apiservices/{NAME}/status"
    assert '"message":"all checks passed"' in kubectl("get", "--raw", where)
    kubectl("patch", "apiservice", NAME, "--type=merge", "-p", _json({"spec": {"versionPriority": 400}}))
    conditions = kubectl.get("apiservice", NAME)["status"]["conditions"]
    conditions.append(
        {"type": "StatusPatched", "status": "True", "reason": "E2E", "message": "Set by e2e test"}
    )
    patch = _json({"status": {"conditions": conditions}})
    kubectl("patch", "apiservice", NAME, "--subresource=status", "--type=merge", "-p", patch)
    kubectl("label", "apiservice", NAME, f"{NAME}=updated")
    kinds = [entry["type"] for entry in kubectl.get("apiservice", NAME)["status"]["conditions"]]
    assert kinds == ["Available", "StatusPatched"]


def test_an_api_whose_server_is_gone_answers_503(kubectl: Kubectl) -> None:
    name = "v1.gone.example.com"
    spec = {
        "group": "gone.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
        "service": {"namespace": kubectl.namespace, "name": "nobody"}, "insecureSkipTLSVerify": True,
    }  # fmt: skip
    obj = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": spec,
    }
    kubectl.apply(obj)
    try:
        kubectl.wait(f"apiservice/{name}", "condition=Available=False", timeout=60)
        assert "False (ServiceNotFound)" in kubectl("get", "apiservice", name)
        refused = kubectl.refused("get", "--raw", "/apis/gone.example.com/v1/things")
        assert "currently unable to handle the request" in refused
        # The others do not suffer.
        kubectl("get", "pods")
    finally:
        kubectl("delete", "apiservice", name)


# --- nodes


@pytest.fixture(scope="module")
def elastic(dns_stub: str) -> Iterator[ElasticCluster]:
    """One to three nodes; one that nobody needs goes after some seconds."""
    root = Path(tempfile.mkdtemp(prefix="elastic"))
    # hack/test removes the namespaces that begin like its own.
    cluster = ElasticCluster(root, dns_stub, f"{CGROUP}-{root.name}")
    subprocess.run(["ip", "netns", "add", cluster.netns], check=True)
    try:
        subprocess.run(["ip", "-n", cluster.netns, "link", "set", "lo", "up"], check=True)
        done = cluster.up(
            "--nodes", "1:3", "--node-scan-interval", "1", "--scale-down-unneeded-time", "3",
            "--scale-down-delay-after-add", "1", "--images", str(ROOT / "images"),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        yield cluster
    finally:
        done = cluster.down("--purge")
        subprocess.run(["ip", "netns", "delete", cluster.netns], check=True)
        shutil.rmtree(root, ignore_errors=True)
        assert done.returncode == 0, done.stdout + done.stderr


def nodes(kubectl: Kubectl) -> list[str]:
    return sorted(item["metadata"]["name"] for item in kubectl.get("nodes")["items"])


def large(kubectl: Kubectl, name: str, replicas: int, share: float) -> Obj:
    """A Deployment whose every pod asks for a share of a node's processors."""
    [first, *_] = kubectl.get("nodes")["items"]
    cpu = int(float(first["status"]["allocatable"]["cpu"]) * 1000 * share)
    found = deployment(name, replicas, container(resources={"requests": {"cpu": f"{cpu}m"}}))
    found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 0
    return found


def test_pods_that_do_not_fit_bring_nodes_and_idle_nodes_go(elastic: ElasticCluster) -> None:
    kubectl = elastic.kubectl()
    assert len(nodes(kubectl)) == 1
    kubectl.apply(large(kubectl, "big", 3, 0.6))
    kubectl("rollout", "status", "deploy/big", "--timeout=60s", timeout=70)
    assert len(nodes(kubectl)) == 3
    events = kubectl(
        "get", "events", "--field-selector=reason=TriggeredScaleUp", "-o", "jsonpath={..message}"
    )
    assert "pod triggered scale-up: [{local 1->3 (max: 3)}]" in events
    # Nobody may add a fourth.
    kubectl("scale", "deploy/big", "--replicas=4")
    _told(kubectl, "NotTriggerScaleUp", lambda text: "1 max node group size reached" in text)
    kubectl("delete", "deploy/big")
    eventually(lambda: nodes(kubectl), lambda found: len(found) == 1, timeout=40)
    status = kubectl(
        "get", "cm", "-n", "kube-system", "cluster-autoscaler-status", "-o", "jsonpath={.data.status}"
    )
    assert "autoscalerStatus: Running" in status
    assert len(elastic.nodes()) == 1


def test_a_pod_that_no_node_could_hold_brings_none(elastic: ElasticCluster) -> None:
    kubectl = elastic.kubectl()
    kubectl.apply(large(kubectl, "huge", 1, 50))
    _told(kubectl, "NotTriggerScaleUp", lambda text: "1 Insufficient cpu" in text)
    assert len(nodes(kubectl)) == 1
    kubectl("delete", "deploy/huge")


def test_a_server_killed_on_the_way_neither_doubles_nor_forgets_a_node(elastic: ElasticCluster) -> None:
    kubectl = elastic.kubectl()
    eventually(lambda: nodes(kubectl), lambda found: len(found) == 1, timeout=40)
    kubectl.apply(large(kubectl, "again", 2, 0.6))
    _told(kubectl, "TriggeredScaleUp", lambda text: "local 1->2 (max: 3)" in text)
    os.kill(elastic.pid("server"), signal.SIGKILL)
    done = elastic.up()
    assert done.returncode == 0, done.stdout + done.stderr
    kubectl("rollout", "status", "deploy/again", "--timeout=60s", timeout=70)
    assert len(nodes(kubectl)) == 2
    kubectl("delete", "deploy/again")

    def emptied(found: list[Obj]) -> bool:
        taints = [taint["key"] for item in found for taint in item["spec"].get("taints", [])]
        return len(found) == 1 or "ToBeDeletedByClusterAutoscaler" in taints

    eventually(lambda: kubectl.get("nodes")["items"], emptied, timeout=40, pause=0.05)
    os.kill(elastic.pid("server"), signal.SIGKILL)
    done = elastic.up()
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: nodes(kubectl), lambda found: len(found) == 1, timeout=40)
    assert len(elastic.nodes()) == 1


def _told(kubectl: Kubectl, reason: str, holds: Callable[[str], bool]) -> None:
    selector = f"--field-selector=reason={reason}"
    eventually(lambda: kubectl("get", "events", selector, "-o", "jsonpath={..message}"), holds, timeout=60)


def _json(obj: Any) -> str:
    return json.dumps(obj)
