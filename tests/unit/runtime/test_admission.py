"""Which pods a node takes."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.runtime.pods.admission import Abilities, check_unsafe, forbidden, refusal, unfit
from tests.unit.runtime.making import container, pod

NODE: Obj = {
    "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
    "spec": {
        "taints": [
            {"key": "late", "effect": "NoSchedule"},
            {"key": "sick", "value": "yes", "effect": "NoExecute"},
        ]
    },
    "status": {
        "allocatable": {
            "cpu": "1", "memory": "1Gi", "ephemeral-storage": "10Gi", "pods": "2", "example.com/dongle": "1",
        }
    },
}  # fmt: skip
TOLERATES = [{"key": "sick", "operator": "Exists"}]


def asking(name: str = "p", *, port: Obj | None = None, spec: Obj | None = None, **requests: str) -> Obj:
    ports = [{"containerPort": 1, **port}] if port else []
    asked = {each.replace("_", "-"): amount for each, amount in requests.items()}
    more = {"tolerations": TOLERATES, **(spec or {})}
    return pod(container(resources={"requests": asked}, ports=ports), name=name, **more)


def fits(wanted: Obj, *others: Obj) -> bool:
    return unfit(wanted, NODE, others) is None


@pytest.mark.parametrize(
    ("requests", "reason", "numbers"),
    [
        ({"cpu": "800m"}, "OutOfcpu", "cpu, requested: 800, used: 300, capacity: 1000"),
        ({"memory": "2Gi"}, "OutOfmemory", "memory, requested: 2147483648, used: 0, capacity: 1073741824"),
        ({"ephemeral_storage": "11Gi"}, "OutOfephemeral-storage", "requested: 11811160064, used: 0"),
        ({"example.com/dongle": "2"}, "OutOfexample.com/dongle", "requested: 2, used: 0, capacity: 1"),
    ],
)
def test_a_pod_that_asks_for_more_than_is_left_is_refused(
    requests: dict[str, str], reason: str, numbers: str
) -> None:
    found = unfit(asking(**requests), NODE, [asking("other", cpu="300m")])
    assert found is not None
    assert found[0] == reason
    assert found[1].startswith("Pod was rejected: Node didn't have enough resource: ")
    assert numbers in found[1]


def test_a_pod_that_just_fits_is_taken() -> None:
    assert fits(asking(cpu="700m", memory="1Gi"), asking("other", cpu="300m"))


def test_a_node_that_is_full_refuses_even_a_pod_that_asks_for_nothing() -> None:
    found = unfit(asking(), NODE, [asking("a"), asking("b")])
    message = "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2"
    assert found == ("OutOfpods", message)


def test_an_extended_resource_that_the_node_does_not_know_is_not_its_to_count() -> None:
    assert fits(asking(**{"example.com/licence": "5"}))
    assert not fits(asking(**{"hugepages-2Mi": "2Mi"}))


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, True),
        ({"nodeSelector": {"disk": "tape"}}, False),
        ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}
            ]}}}}, False),
    ],
)  # fmt: skip
def test_a_pod_that_wants_another_node_is_refused(spec: Obj, taken: bool) -> None:
    found = unfit(asking(spec=spec), NODE, [])
    assert (found is None) == taken
    if found is not None:
        why = "node(s) didn't match Pod's node affinity/selector"
        assert found == ("NodeAffinity", f"Pod was rejected: Predicate NodeAffinity failed: {why}")


def test_only_a_taint_that_would_end_the_pod_keeps_it_away() -> None:
    assert fits(asking())
    why = "node(s) had taints that the pod didn't tolerate"
    expected = ("TaintToleration", f"Pod was rejected: Predicate TaintToleration failed: {why}")
    assert unfit(asking(spec={"tolerations": []}), NODE, []) == expected


@pytest.mark.parametrize(
    ("held", "wanted", "refused"),
    [
        ({"hostPort": 80}, {"hostPort": 80}, True),
        ({"hostPort": 80, "hostIP": "0.0.0.0"}, {"hostPort": 80, "hostIP": "10.0.0.1"}, True),
        ({"hostPort": 80, "hostIP": "10.0.0.2"}, {"hostPort": 80, "hostIP": "10.0.0.1"}, False),
        ({"hostPort": 80, "protocol": "UDP"}, {"hostPort": 80}, False),
        ({"hostPort": 80}, {"hostPort": 81}, False),
        ({}, {}, False),
    ],
)
def test_a_pod_is_refused_a_host_port_that_another_has(held: Obj, wanted: Obj, refused: bool) -> None:
    found = unfit(asking(port=wanted), NODE, [asking("other", port=held)])
    assert (found is not None) == refused
    if found is not None:
        assert found[0] == "NodePorts"


def test_a_pod_labelled_for_another_system_is_refused() -> None:
    meta: dict[str, Any] = {"labels": {"kubernetes.io/os": "windows"}}
    found = refusal(pod(container(), meta=meta))
    assert found is not None
    assert found[0] == "PodOSSelectorNodeLabelDoesNotMatch"


@pytest.mark.parametrize(
    ("spec", "allowed", "why"),
    [
        ({"sysctls": [{"name": "kernel/msgmax"}]}, (), 'sysctl: "kernel.msgmax" not allowlisted'),
        ({"sysctls": [{"name": "kernel/msgmax"}]}, ("kernel.msg*",), ""),
        ({"sysctls": [{"name": "net.core.somaxconn"}]}, ("net.core.somaxconn",), ""),
        ({"sysctls": [{"name": "net.ipv4.tcp_syncookies"}]}, (), ""),
        ({"sysctls": [{"name": "vm.swappiness"}]}, ("net.*",), '"vm.swappiness" not allowlisted'),
        ({"appArmorProfile": {"type": "RuntimeDefault"}}, (), "AppArmor is not enabled on the host"),
        ({"appArmorProfile": {"type": "Unconfined"}}, (), ""),
    ],
)
def test_what_a_node_does_not_let_pods_have_is_refused(spec: Obj, allowed: tuple[str, ...], why: str) -> None:
    refused = forbidden(pod(securityContext=spec), Abilities(allowed))
    assert (refused is None) == (not why)
    assert why in (refused or ("", ""))[1]


def test_sysctls_of_the_host_are_refused_to_pods_that_share_its_namespaces() -> None:
    shm = {"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced"}]}, "hostIPC": True}
    queue = {"securityContext": {"sysctls": [{"name": "net.core.somaxconn"}]}, "hostNetwork": True}
    for spec, kind in ((shm, "IPC"), (queue, "Net")):
        refused = forbidden(pod(**spec), Abilities(("net.core.*",)))
        assert refused is not None
        assert refused[0] == "SysctlForbidden"
        assert refused[1].endswith(f"not allowed with host {kind} enabled")


def test_only_sysctls_of_a_namespace_can_be_allowed() -> None:
    check_unsafe(["net.*", "kernel.msg*", "kernel.sem", "fs.mqueue.*"])
    for wrong in ("vm.swappiness", "kernel.*", "net..x", ""):
        with pytest.raises(ValueError, match="not known to be namespaced"):
            check_unsafe([wrong])
