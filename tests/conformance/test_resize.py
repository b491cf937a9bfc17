"""Pods that get more or less while they run."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import container, pod
from tests.conformance.waiting import eventually

RESIZE = "[sig-node] Pod InPlace Resize Container "
SLEEP = ["sh", "-c", "trap exit TERM; sleep 1000 & wait"]


def amounts(cpu: str, memory: str) -> dict[str, Any]:
    return {key: {"cpu": cpu, "memory": memory} for key in ("requests", "limits")}


def sized(name: str, cpu: str, memory: str, **more: Any) -> dict[str, Any]:
    return container(name=name, command=SLEEP, resources=amounts(cpu, memory), **more)


def resize(name: str, **resources: dict[str, Any]) -> tuple[str, ...]:
    """The arguments that ask for other resources of a pod's containers."""
    containers = [{"name": each, "resources": value} for each, value in resources.items()]
    patch = json.dumps({"spec": {"containers": containers}})
    return "patch", "pod", name, "--subresource", "resize", "--patch", patch


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((each for each in found["status"]["conditions"] if each["type"] == kind), {})


def settled(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The pod once nothing of its resize is left to do."""

    def done(found: dict[str, Any]) -> bool:
        passing = condition(found, "PodResizePending") or condition(found, "PodResizeInProgress")
        told = found["status"].get("observedGeneration") == found["metadata"]["generation"]
        return told and not passing and condition(found, "Ready").get("status") == "True"

    return dict(eventually(lambda: kubectl.get(f"pod/{name}"), done, 60))


def held(kubectl: Kubectl, name: str, of: str) -> tuple[int, int]:
    """(cpu quota, memory) that the kernel holds a container to, as it sees itself."""
    files = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes"
    cpu, memory = kubectl("exec", name, "-c", of, "--", "sh", "-c", f"cat {files}").split()
    return int(cpu), int(memory)


@covers(
    RESIZE
    + "guaranteed pods with multiple containers 3 containers - increase cpu & mem on c1, decrease cpu & mem on c2, c3 - net decrease [MinimumKubeletVersion:1.34] [Conformance]",
    RESIZE
    + "guaranteed pods with multiple containers 3 containers - increase cpu & mem on c1, c2, decrease cpu & mem on c3 - net increase [MinimumKubeletVersion:1.34] [Conformance]",
    RESIZE
    + "guaranteed pods with multiple containers 3 containers - increase: CPU (c1,c3), memory (c2, c3) ; decrease: CPU (c2) [MinimumKubeletVersion:1.34] [Conformance]",
)
def test_containers_get_more_and_less_while_they_run(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", sized("a", "50m", "40Mi"), sized("b", "50m", "40Mi"), sized("c", "50m", "40Mi")))
    before = settled(kubectl, "p")
    kubectl(*resize("p", a=amounts("80m", "60Mi"), b=amounts("30m", "30Mi"), c=amounts("20m", "20Mi")))
    after = settled(kubectl, "p")
    assert [held(kubectl, "p", name) for name in "abc"] == [
        (8000, 60 << 20), (3000, 30 << 20), (2000, 20 << 20),
    ]  # fmt: skip
    for told, was in zip(
        after["status"]["containerStatuses"], before["status"]["containerStatuses"], strict=True
    ):
        assert (told["containerID"], told["restartCount"]) == (was["containerID"], 0)
    first = after["status"]["containerStatuses"][0]
    assert first["resources"] == amounts("80m", "60Mi")
    assert first["allocatedResources"] == {"cpu": "80m", "memory": "60Mi"}
    events = {each["reason"] for each in kubectl.get("events")["items"]}
    assert {"ResizeStarted", "ResizeCompleted"} <= events


@covers(
    RESIZE
    + "burstable pods - extended 6 containers - various operations performed (including adding limits and requests) [MinimumKubeletVersion:1.34] [Conformance]",
    RESIZE + "burstable pods - extended resize with equivalents [MinimumKubeletVersion:1.34] [Conformance]",
    RESIZE + "resize pod via the replace endpoint [MinimumKubeletVersion:1.34] [Conformance]",
)
def test_limits_are_added_and_the_same_in_other_words_changes_nothing(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", container(name="a", command=SLEEP, resources={"requests": {"cpu": "20m"}})))
    settled(kubectl, "p")
    wanted = {"requests": {"cpu": "20m", "memory": "10Mi"}, "limits": {"cpu": "100m", "memory": "30Mi"}}
    kubectl(*resize("p", a=wanted))
    settled(kubectl, "p")
    assert held(kubectl, "p", "a") == (10000, 30 << 20)
    same = {"requests": {"cpu": "0.02", "memory": "10240Ki"}, "limits": {"cpu": "0.1", "memory": "31457280"}}
    kubectl(*resize("p", a=same))
    after = settled(kubectl, "p")
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    whole = kubectl.get("pod/p", "--subresource", "resize")
    assert whole["spec"] == after["spec"]
    whole["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "30m", "memory": "10Mi"}, "limits": {"cpu": "200m", "memory": "30Mi"},
    }  # fmt: skip
    kubectl("replace", "--subresource", "resize", "-f", "-", stdin=json.dumps(whole))
    settled(kubectl, "p")
    assert held(kubectl, "p", "a") == (20000, 30 << 20)


def test_a_container_is_restarted_only_where_it_asks_for_it(kubectl: Kubectl) -> None:
    policy = [
        {"resourceName": "cpu", "restartPolicy": "NotRequired"},
        {"resourceName": "memory", "restartPolicy": "RestartContainer"},
    ]
    kubectl.apply(pod("p", sized("a", "50m", "40Mi", resizePolicy=policy), sized("b", "50m", "40Mi")))
    settled(kubectl, "p")
    kubectl(*resize("p", a=amounts("60m", "40Mi")))
    assert [each["restartCount"] for each in settled(kubectl, "p")["status"]["containerStatuses"]] == [0, 0]
    kubectl(*resize("p", a=amounts("60m", "50Mi")))
    eventually(
        lambda: kubectl.get("pod/p")["status"]["containerStatuses"][0]["restartCount"], lambda n: n == 1, 60
    )
    settled(kubectl, "p")
    assert held(kubectl, "p", "a") == (6000, 50 << 20)


def test_what_a_resize_may_not_do_is_refused(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", sized("a", "50m", "40Mi")))
    settled(kubectl, "p")
    burstable = {"requests": {"cpu": "20m", "memory": "40Mi"}, "limits": {"cpu": "50m", "memory": "40Mi"}}
    said = kubectl.refused(*resize("p", a=burstable))
    assert "Pod QOS Class may not change as a result of resizing" in said
    huge = kubectl.refused(*resize("p", a=amounts("100000", "40Mi")))
    assert "node didn't have enough allocatable resources: cpu, requested: 100000000, allocatable: " in huge
    direct = json.dumps({"spec": {"containers": [{"name": "a", "resources": amounts("60m", "40Mi")}]}})
    assert "pod updates may not change fields other than" in kubectl.refused(
        "patch", "pod", "p", "-p", direct
    )
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "70m"}}]}}  # fmt: skip
    kubectl.apply(limits)
    eventually(
        lambda: kubectl.run(*resize("p", a=amounts("90m", "40Mi"))).err,
        lambda text: "maximum cpu usage per Container is 70m, but limit is 90m" in text,
        20,
    )


def test_a_pod_that_is_limited_as_a_whole_is_resized_as_a_whole(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", container(name="a", command=SLEEP), resources=amounts("50m", "40Mi")))
    assert settled(kubectl, "p")["status"]["qosClass"] == "Guaranteed"
    assert held(kubectl, "p", "a") == (5000, 40 << 20)
    patch = json.dumps({"spec": {"resources": amounts("80m", "50Mi")}})
    kubectl("patch", "pod", "p", "--subresource", "resize", "--patch", patch)
    after = settled(kubectl, "p")
    assert held(kubectl, "p", "a") == (8000, 50 << 20)
    assert after["status"]["resources"] == amounts("80m", "50Mi")
