"""Where pods run, why they wait, and who has to make room, on three nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from podium.api.types.meta import suffix
from tests.conformance.conftest import LocalCluster
from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import NGINX, container, deployment, pod
from tests.conformance.waiting import eventually

Obj = dict[str, Any]
HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
WEB = {"app": "web"}


@pytest.fixture(scope="module")
def nodes(cluster: LocalCluster) -> list[str]:
    return cluster.nodes()


def node_of(kubectl: Kubectl, name: str) -> str:
    kubectl.wait(f"pod/{name}", "condition=PodScheduled")
    return str(kubectl.get(f"pod/{name}")["spec"]["nodeName"])


def places(kubectl: Kubectl, label: str) -> Counter[str]:
    """How many pods of a label are on each node."""
    kubectl("wait", "pod", "-l", label, "--for=condition=PodScheduled", "--timeout=60s")
    found = kubectl.get("pods", "-l", label)["items"]
    return Counter(entry["spec"]["nodeName"] for entry in found)


def why(kubectl: Kubectl, name: str) -> str:
    """What the pod's condition says of its waiting."""

    def condition() -> Obj:
        found = kubectl.get(f"pod/{name}").get("status", {}).get("conditions") or ()
        return next((entry for entry in found if entry["type"] == "PodScheduled"), {})

    return str(eventually(condition, lambda entry: entry.get("status") == "False", 30)["message"])


def events(kubectl: Kubectl, name: str, reason: str) -> list[str]:
    selector = f"involvedObject.name={name},reason={reason}"

    def messages() -> list[str]:
        return [entry["message"] for entry in kubectl.get("events", f"--field-selector={selector}")["items"]]

    return eventually(messages, bool)


def asking(name: str, *, labels: dict[str, str] | None = None, **more: Any) -> Obj:
    """A pod that asks for `resources`."""
    resources = more.pop("resources", {})
    spec = container(resources={"requests": resources, "limits": resources})
    return pod(name, spec, labels=labels, **more)


@contextmanager
def extended(kubectl: Kubectl, node: str, resource: str, amount: str) -> Iterator[None]:
    """A resource that only the Node's status tells of."""
    path = resource.replace("/", "~1")

    def patch(kind: str, value: Any) -> None:
        changes = [
            {"op": kind, "path": f"/status/{part}/{path}", **value} for part in ("capacity", "allocatable")
        ]
        kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(changes))

    patch("add", {"value": amount})
    try:
        yield
    finally:
        patch("remove", {})


@contextmanager
def priorities(kubectl: Kubectl, **values: int) -> Iterator[dict[str, str]]:
    """PriorityClasses; their full names by the short ones."""
    names = {name: f"{name}-{suffix()}" for name in values}
    kubectl.apply(
        *(
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": names[name]},
                "value": value,
            }
            for name, value in values.items()
        )
    )
    try:
        yield names
    finally:
        kubectl("delete", "priorityclass", *names.values())


@covers(
    "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if matching [Conformance]",
    "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if not matching [Conformance]",
)
def test_a_node_selector_is_respected(kubectl: Kubectl, nodes: list[str]) -> None:
    label = f"test-{suffix()}"
    selector = {label: "42"}
    kubectl.apply(pod("p", nodeSelector=selector))
    assert why(kubectl, "p") == (
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
        " preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    assert events(kubectl, "p", "FailedScheduling") == [why(kubectl, "p")]
    kubectl("label", "node", nodes[1], f"{label}=42")
    try:
        assert node_of(kubectl, "p") == nodes[1]
        kubectl.wait("pod/p", "condition=Ready")
    finally:
        kubectl("label", "node", nodes[1], f"{label}-")
    assert events(kubectl, "p", "Scheduled") == [f"Successfully assigned {kubectl.namespace}/p to {nodes[1]}"]


@covers(
    "[sig-scheduling] SchedulerPredicates [Serial] validates resource limits of pods that are allowed to run [Conformance]"
)
def test_no_more_is_given_away_than_a_node_has(kubectl: Kubectl, nodes: list[str]) -> None:
    resource = f"example.com/{suffix()}"
    with extended(kubectl, nodes[2], resource, "10"):
        kubectl.apply(*(asking(f"fits-{number}", resources={resource: "3"}) for number in range(3)))
        assert {node_of(kubectl, f"fits-{number}") for number in range(3)} == {nodes[2]}
        kubectl.apply(asking("late", resources={resource: "3"}))
        assert why(kubectl, "late") == (
            f"0/3 nodes are available: 3 Insufficient {resource}."
            " preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod,"
            " 2 Preemption is not helpful for scheduling."
        )
        kubectl("delete", "pod", "fits-0", "--now")
        assert node_of(kubectl, "late") == nodes[2]


@covers(
    "[sig-scheduling] SchedulerPredicates [Serial] validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP [Conformance]"
)
def test_a_host_port_is_given_away_once_per_node(kubectl: Kubectl, nodes: list[str]) -> None:
    def wanting(name: str, address: str, protocol: str = "TCP") -> Obj:
        port = {"containerPort": 80, "hostPort": 54322, "protocol": protocol, "hostIP": address}
        return pod(name, container(ports=[port]), nodeSelector={HOST: nodes[0]})

    kubectl.apply(wanting("everywhere", ""), wanting("datagrams", "", "UDP"))
    assert node_of(kubectl, "everywhere") == node_of(kubectl, "datagrams") == nodes[0]
    kubectl.apply(wanting("here", "127.0.0.1"))
    assert "1 node(s) didn't have free ports for the requested pod ports" in why(kubectl, "here")


def test_taints_keep_pods_away_and_their_removal_lets_them_in(kubectl: Kubectl, nodes: list[str]) -> None:
    key = f"test-{suffix()}"
    pinned = {"nodeSelector": {HOST: nodes[1]}}
    kubectl("taint", "node", nodes[1], f"{key}=v:NoSchedule")
    try:
        bearing = {"tolerations": [{"key": key, "operator": "Exists"}]}
        kubectl.apply(pod("p", **pinned), pod("bearing", **pinned, **bearing))
        assert node_of(kubectl, "bearing") == nodes[1]
        message = why(kubectl, "p")
        assert message.startswith(
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match"
        )
    finally:
        kubectl("taint", "node", nodes[1], f"{key}-")
    assert node_of(kubectl, "p") == nodes[1]


def test_replicas_spread_over_nodes_and_hard_constraints_hold(kubectl: Kubectl, nodes: list[str]) -> None:
    spread = deployment("web", 6, container("web", NGINX))
    spread["spec"]["template"]["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": HOST,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": WEB},
        }
    ]
    kubectl.apply(spread)
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert set(places(kubectl, "app=web").values()) == {2}
    kubectl("cordon", nodes[2])
    try:
        kubectl("scale", "deploy/web", "--replicas=9")
        kubectl("wait", "deploy/web", "--for=jsonpath={.status.readyReplicas}=8", "--timeout=60s")
        waiting = kubectl.get("pods", "-l", "app=web", "--field-selector=spec.nodeName=")["items"]
        message = why(kubectl, waiting[0]["metadata"]["name"])
        assert message.startswith(
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread"
            " constraints."
        )
    finally:
        kubectl("uncordon", nodes[2])
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert set(places(kubectl, "app=web").values()) == {3}


def test_pods_go_to_their_friends_and_keep_away_from_their_rivals(kubectl: Kubectl, nodes: list[str]) -> None:
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": WEB}}
    rivals = deployment("web", 3)
    rivals["spec"]["template"]["spec"]["affinity"] = {"podAntiAffinity": {REQUIRED: [term]}}
    kubectl.apply(rivals)
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert set(places(kubectl, "app=web").values()) == {1}
    kubectl.apply(pod("fourth", labels=WEB))
    assert "3 node(s) didn't satisfy existing pods anti-affinity rules" in why(kubectl, "fourth")
    kubectl("delete", "pod", "fourth", "--now")
    kubectl("scale", "deploy/web", "--replicas=1")
    eventually(lambda: len(kubectl.get("pods", "-l", "app=web")["items"]), lambda count: count == 1)
    kubectl.apply(pod("friend", affinity={"podAffinity": {REQUIRED: [term]}}))
    assert node_of(kubectl, "friend") == next(iter(places(kubectl, "app=web")))


def test_a_gated_pod_waits_until_its_gates_are_gone(kubectl: Kubectl) -> None:
    kubectl.apply(pod("gated", schedulingGates=[{"name": "example.com/one"}, {"name": "example.com/two"}]))
    assert kubectl("get", "pod", "gated").splitlines()[1].split()[2] == "SchedulingGated"
    remove = [{"op": "remove", "path": "/spec/schedulingGates/0"}]
    kubectl("patch", "pod", "gated", "--type=json", "-p", json.dumps(remove))
    assert kubectl("get", "pod", "gated").splitlines()[1].split()[2] == "SchedulingGated"
    kubectl("patch", "pod", "gated", "--type=json", "-p", json.dumps(remove))
    kubectl.wait("pod/gated", "condition=Ready")


@covers(
    "[sig-scheduling] SchedulerPreemption [Serial] validates basic preemption works [Conformance]",
    "[sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod preemption by critical pod [Conformance]",
    "[sig-scheduling] SchedulerPreemption [Serial] validates pod disruption condition is added to the preempted pod [Conformance]",
)
def test_a_more_important_pod_displaces_the_least_important(kubectl: Kubectl, nodes: list[str]) -> None:
    resource = f"example.com/{suffix()}"
    with (
        extended(kubectl, nodes[1], resource, "5"),
        priorities(kubectl, low=1, medium=100, high=1000) as named,
    ):
        low, medium = (
            asking(name, resources={resource: "2"}, priorityClassName=named[name])
            for name in ("low", "medium")
        )
        low["metadata"]["finalizers"] = ["example.com/held"]
        kubectl.apply(low, medium)
        assert node_of(kubectl, "low") == node_of(kubectl, "medium") == nodes[1]
        kubectl.apply(asking("high", resources={resource: "2"}, priorityClassName=named["high"]))
        uid = kubectl.get("pod/high")["metadata"]["uid"]
        gone = eventually(
            lambda: kubectl.get("pod/low"), lambda entry: "deletionTimestamp" in entry["metadata"]
        )
        conditions = {entry["type"]: entry for entry in gone["status"]["conditions"]}
        assert conditions["DisruptionTarget"]["reason"] == "PreemptionByScheduler"
        assert events(kubectl, "low", "Preempted") == [f"Preempted by pod {uid} on node {nodes[1]}"]
        kubectl("patch", "pod", "low", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert node_of(kubectl, "high") == nodes[1]
        assert node_of(kubectl, "medium") == nodes[1]
        critical = asking("critical", resources={resource: "2"}, priorityClassName="system-cluster-critical")
        everywhere = Kubectl(kubectl.kubeconfig, "kube-system")
        everywhere.apply(critical)
        try:
            assert node_of(everywhere, "critical") == nodes[1]
            assert node_of(kubectl, "high") == nodes[1]
            kubectl.wait("pod/medium", "delete")
        finally:
            everywhere("delete", "pod", "critical", "--now")


@covers(
    "[sig-scheduling] SchedulerPreemption [Serial] PreemptionExecutionPath runs ReplicaSets to verify preemption running path [Conformance]"
)
def test_no_more_pods_are_displaced_than_make_room(kubectl: Kubectl, nodes: list[str]) -> None:
    resource = f"example.com/{suffix()}"
    with (
        extended(kubectl, nodes[1], resource, "1000"),
        priorities(kubectl, p1=1, p2=2, p3=3, p4=4) as named,
    ):
        sets = []
        for number, amount in enumerate(("200", "300", "450"), 1):
            labels = {"name": f"pod{number}"}
            one = asking(
                "x", labels=labels, resources={resource: amount}, priorityClassName=named[f"p{number}"]
            )
            sets.append(
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "metadata": {"name": f"rs-pod{number}"},
                    "spec": {
                        "replicas": 1,
                        "selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": labels}, "spec": one["spec"]},
                    },
                }
            )
        kubectl.apply(*sets)
        for number in (1, 2, 3):
            kubectl.wait(f"rs/rs-pod{number}", "jsonpath={.status.availableReplicas}=1")
        kubectl.apply(asking("pod4", resources={resource: "500"}, priorityClassName=named["p4"]))
        assert node_of(kubectl, "pod4") == nodes[1]

        def created() -> list[int]:
            about = "--field-selector=reason=SuccessfulCreate,involvedObject.name=rs-pod"
            return [len(kubectl.get("events", f"{about}{number}")["items"]) for number in (1, 2, 3)]

        eventually(created, lambda counts: counts == [2, 2, 1])
        victims = kubectl.get("events", "--field-selector=reason=Preempted")["items"]
        assert len(victims) == 2


def test_a_disruption_budget_steers_who_is_displaced(kubectl: Kubectl, nodes: list[str]) -> None:
    resource = f"example.com/{suffix()}"
    with (
        extended(kubectl, nodes[1], resource, "1"),
        extended(kubectl, nodes[2], resource, "1"),
        priorities(kubectl, high=1000) as named,
    ):
        kubectl.apply(
            asking("protected", labels=WEB, resources={resource: "1"}),
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "web"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": WEB}},
            },
        )
        kubectl.apply(asking("plain", resources={resource: "1"}))
        assert {node_of(kubectl, "protected"), node_of(kubectl, "plain")} == set(nodes[1:])
        eventually(
            lambda: kubectl.get("pdb/web").get("status", {}).get("observedGeneration"), lambda seen: seen == 1
        )
        kubectl.apply(asking("high", resources={resource: "1"}, priorityClassName=named["high"]))
        kubectl.wait("pod/plain", "delete")
        kubectl.wait("pod/high", "condition=Ready")
        assert "deletionTimestamp" not in kubectl.get("pod/protected")["metadata"]


@covers(
    "[sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied. [Conformance]"
)
def test_a_limit_range_fills_in_what_pods_leave_open(kubectl: Kubectl) -> None:
    bounds = {
        "type": "Container",
        "min": {"cpu": "50m", "memory": "10Mi"},
        "max": {"cpu": "500m", "memory": "500Mi"},
        "default": {"cpu": "500m", "memory": "500Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "50Mi"},
    }
    limits: Obj = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "bounds"},
        "spec": {"limits": [bounds]},
    }

    def resources(name: str) -> Obj:
        return dict(kubectl.get(f"pod/{name}")["spec"]["containers"][0]["resources"])

    def refused(asked: Obj) -> str:
        made = json.dumps(pod("refused", container(resources={"requests": asked, "limits": asked})))
        return kubectl.refused("create", "-f", "-", stdin=made)

    kubectl.apply(limits)
    kubectl.apply(pod("open"), pod("partly", container(resources={"requests": {"cpu": "300m"}})))
    assert resources("open") == {"limits": bounds["default"], "requests": bounds["defaultRequest"]}
    assert resources("partly")["requests"] == {"cpu": "300m", "memory": "50Mi"}
    assert "minimum cpu usage per Container is 50m" in refused({"cpu": "10m", "memory": "50Mi"})
    assert "maximum cpu usage per Container is 500m" in refused({"cpu": "600m", "memory": "50Mi"})
    bounds["min"] = {"cpu": "9m", "memory": "10Mi"}
    kubectl.apply(limits)
    kubectl.apply(asking("small", resources={"cpu": "10m", "memory": "10Mi"}))
    kubectl("delete", "limitrange", "bounds")
    kubectl.apply(asking("big", resources={"cpu": "600m", "memory": "600Mi"}))
