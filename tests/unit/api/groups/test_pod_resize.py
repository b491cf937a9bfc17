"""What may change through a pod's resize subresource, and what a pod may ask for as a whole."""

from __future__ import annotations

from copy import deepcopy

import pytest

from podium.api.groups.core.pod_validation import podlevel, resize
from podium.api.types import Obj
from podium.api.types.qos import qos_class

AMOUNTS = {"cpu": "100m", "memory": "10Mi"}
POD: Obj = {
    "metadata": {"name": "p"},
    "spec": {
        "containers": [
            {"name": "a", "resources": {"requests": {**AMOUNTS}, "limits": {**AMOUNTS}}},
            {"name": "b", "resources": {"requests": {"cpu": "1"}}},
        ],
        "initContainers": [
            {
                "name": "i",
                "resources": {"requests": {"cpu": "1"}},
                "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
            }
        ],
    },
}


def changed(*steps: str | int, to: object) -> Obj:
    """POD's spec with something else at a place."""
    sent = deepcopy(POD)
    place = sent["spec"]
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = to
    return sent


def faults(sent: Obj, old: Obj = POD) -> list[tuple[str, str]]:
    new = {**old}
    resize.move(new, sent)
    return [(each.field, each.message) for each in resize.check(new, old)]


def test_cpu_and_memory_may_change() -> None:
    sent = changed(
        "containers", 0, "resources", to={"requests": AMOUNTS, "limits": {"cpu": "2", "memory": "1Gi"}}
    )
    assert faults(sent) == []
    assert faults(changed("containers", 1, "resources", "limits", to={"memory": "1Gi"})) == []


def test_nothing_else_of_the_pod_is_taken_from_a_resize() -> None:
    sent = changed("containers", 0, "image", to="other")
    sent["spec"]["nodeName"] = "n"
    new = {**POD}
    resize.move(new, sent)
    assert new["spec"] == POD["spec"]


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        (
            changed("containers", 0, "resources", "limits", to={"cpu": "1"}),
            "spec.containers[0].resources.limits",
            "Forbidden: resource limits cannot be removed",
        ),
        (
            changed("containers", 1, "resources", "requests", to={"cpu": "1", "ephemeral-storage": "1Gi"}),
            "spec",
            "Forbidden: only cpu and memory resources are mutable",
        ),
        (
            changed("containers", 1, "resizePolicy", to=[{"resourceName": "cpu"}]),
            "spec",
            "Forbidden: only cpu and memory resources are mutable",
        ),
        (
            changed("initContainers", 0, "resources", to={"requests": {"cpu": "2"}}),
            "spec.initContainers[0]",
            "Forbidden: non-sidecar init containers with a resize policy of RestartContainer "
            "cannot be resized",
        ),
        (
            changed("containers", to=POD["spec"]["containers"][:1]),
            "spec.containers",
            "Forbidden: containers may not be added or removed on resize",
        ),
        (
            changed("containers", to=POD["spec"]["containers"][::-1]),
            "spec.containers[0].name",
            "Forbidden: containers may not be renamed or reordered on resize",
        ),
    ],
)  # fmt: skip
def test_what_a_resize_may_not_do_is_said(sent: Obj, field: str, message: str) -> None:
    assert (field, message) in faults(sent)


def test_the_quality_of_service_stays() -> None:
    old = deepcopy(POD)
    old["spec"] = {"containers": [POD["spec"]["containers"][0]]}
    sent = deepcopy(old)
    sent["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "50m", "memory": "10Mi"}
    ((field, message),) = faults(sent, old)
    assert field == "spec"
    assert message == 'Invalid value: "Guaranteed": Pod QOS Class may not change as a result of resizing'


def test_static_pods_and_pods_of_nodes_that_cannot_are_not_resized() -> None:
    static = {**POD, "metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}
    assert [text for _, text in faults(POD, static)] == ["Forbidden: static pods cannot be resized"]
    old = {**POD, "status": {"containerStatuses": [{"name": "a", "state": {"running": {}}}]}}
    assert ("spec", "Forbidden: Pod running on node without support for resize") in faults(POD, old)


def test_resources_of_the_pod_as_a_whole_change_but_do_not_go() -> None:
    old = deepcopy(POD)
    old["spec"]["resources"] = {"requests": {"cpu": "3"}, "limits": {"cpu": "4"}}
    sent = deepcopy(old)
    sent["spec"]["resources"] = {"requests": {"cpu": "2500m"}, "limits": {"cpu": "4", "memory": "1Gi"}}
    assert faults(sent, old) == []
    sent["spec"]["resources"] = {"requests": {"cpu": "3"}}
    assert faults(sent, old) == [
        ("spec.resources.limits", "Forbidden: pod-level resource limits cannot be removed")
    ]
    del sent["spec"]["resources"]
    assert ("spec.resources", "Forbidden: pod-level resources cannot be removed") in faults(sent, old)


def test_what_a_pod_asks_for_as_a_whole_covers_its_containers() -> None:
    spec = deepcopy(POD["spec"])
    spec["resources"] = {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "5Mi"}}
    assert [(each.field, each.message) for each in podlevel.check(spec, "spec")] == [
        (
            "spec.resources.requests[cpu]",
            'Invalid value: "1": must be greater than or equal to aggregate container requests of 1100m',
        ),
        (
            "spec.resources.containers[0][memory].limits",
            'Invalid value: "10Mi": must be less than or equal to pod limits of 5Mi',
        ),
    ]
    spec["resources"] = {"requests": {"cpu": "2", "ephemeral-storage": "1Gi"}}
    (fault,) = podlevel.check(spec, "spec")
    assert fault.field == "spec.resources.requests[ephemeral-storage]"


def test_a_pod_is_what_it_asks_for_as_a_whole() -> None:
    whole = {"requests": AMOUNTS, "limits": AMOUNTS}
    assert qos_class({"containers": [{"name": "a"}], "resources": whole}) == "Guaranteed"
    assert qos_class({"containers": [{"name": "a"}], "resources": {"requests": AMOUNTS}}) == "Burstable"
    assert qos_class({"containers": [{"name": "a"}], "resources": {}}) == "BestEffort"
