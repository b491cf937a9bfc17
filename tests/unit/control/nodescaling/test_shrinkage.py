from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from podium.api.types import Obj
from podium.control.nodescaling.pods import keeps_node
from podium.control.nodescaling.shrinkage import DISABLED, Cluster, Verdicts, unneeded, utilization
from podium.control.scheduler.simulate import Simulation
from tests.unit.control.nodescaling.build import node, pod

SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"


def looked(
    nodes: Sequence[Obj],
    pods: Sequence[Obj] = (),
    budgets: Sequence[Obj] = (),
    *,
    spare: int = 9,
    fixed: str = "",
) -> Verdicts:
    names = [each["metadata"]["name"] for each in nodes]
    by_node = {name: [each for each in pods if each["spec"].get("nodeName") == name] for name in names}
    groups = {name: "g" for name in names if name != fixed}
    cluster = Cluster(nodes, by_node, budgets, groups, {"g": spare})
    return unneeded(cluster, lambda: Simulation(nodes, pods))


def budget(allowed: int) -> Obj:
    spec = {"selector": {"matchLabels": {"app": "x"}}}
    return {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": spec,
        "status": {"disruptionsAllowed": allowed},
    }


def test_an_idle_node_whose_pods_fit_elsewhere_goes() -> None:
    found = looked([node("a"), node("b")], [pod(cpu="1", on="a"), pod(cpu="3", on="b")])
    assert (found.unneeded, found.kept) == (["a"], {"b": "NotUnderutilized"})


def test_the_emptiest_go_first_and_only_together() -> None:
    nodes = [node("a"), node("b"), node("c")]
    pods = [pod(cpu="1900m", on=name) for name in "ab"] + [pod(cpu="1", on="c")]
    found = looked(nodes, pods)
    assert found.unneeded == ["c"]
    assert found.kept == {"a": "NoPlaceToMovePods", "b": "NoPlaceToMovePods"}


def test_pods_move_on_when_where_they_went_goes_too() -> None:
    nodes = [node("a"), node("b"), node("c")]
    assert looked(nodes, [pod(cpu="1", on=name) for name in "abc"]).unneeded == ["a", "b"]


def test_the_least_of_a_group_stay() -> None:
    found = looked([node("a"), node("b"), node("c")], spare=1)
    assert found.unneeded == ["a"]
    assert found.kept == {"b": "NodeGroupMinSizeReached", "c": "NodeGroupMinSizeReached"}


def test_nodes_of_no_group_stay() -> None:
    assert looked([node("a"), node("b")], fixed="a") == Verdicts(["b"], {"a": "NotAutoscaled"})


def test_a_node_can_be_told_to_stay() -> None:
    told = node("a", metadata={"annotations": {DISABLED: "true"}})
    assert looked([told, node("b")]).kept["a"] == "ScaleDownDisabledAnnotation"


def test_daemons_keep_no_node() -> None:
    found = looked([node("a"), node("b")], [pod(cpu="3", owner="DaemonSet", on="a")])
    assert "a" in found.unneeded


def annotated(value: str, **more: Any) -> Obj:
    return pod(on="a", metadata={"annotations": {SAFE: value}}, **more)


LOCAL: Any = [{"name": "v", "emptyDir": {}}]


@pytest.mark.parametrize(
    ("found", "budgets", "reason"),
    [
        (pod(on="a"), [], ""),
        (annotated("false"), [], "NotSafeToEvictAnnotation"),
        (pod(on="a", owner=""), [], "NotReplicated"),
        (annotated("true", owner=""), [], ""),
        (pod(on="a", volumes=LOCAL), [], "LocalStorageRequested"),
        (annotated("true", volumes=LOCAL), [], ""),
        (pod(on="a", namespace="kube-system"), [], "UnmovableKubeSystemPod"),
        (pod(on="a"), [budget(0)], "NotEnoughPdb"),
        (pod(on="a"), [budget(1)], ""),
        (annotated("true"), [budget(0)], "NotEnoughPdb"),
    ],
)
def test_what_keeps_a_node(found: Obj, budgets: list[Obj], reason: str) -> None:
    assert keeps_node(found, budgets) == reason


def test_the_scarcer_resource_tells_how_much_a_node_is_used() -> None:
    assert utilization(node("a"), [pod(cpu="1", on="a")]) == 0.25
    assert utilization(node("a"), []) == 0.0
