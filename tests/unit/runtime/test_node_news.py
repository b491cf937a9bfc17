"""What a node says of itself: labels, taints, events."""

from __future__ import annotations

import pytest

from podium.runtime.logs import LogLimits
from podium.runtime.node import news
from podium.runtime.node.labels import BadNodeSetting, labels, taints
from podium.runtime.node.news import News


def condition(kind: str, status: str) -> dict[str, str]:
    return {"type": kind, "status": status}


def test_labels_of_its_own_choice_and_those_kubernetes_lets_it_have() -> None:
    text = "disk=ssd,topology.kubernetes.io/zone=z1,node.kubernetes.io/x=y,example.com/empty="
    assert labels(text) == {
        "disk": "ssd",
        "topology.kubernetes.io/zone": "z1",
        "node.kubernetes.io/x": "y",
        "example.com/empty": "",
    }


@pytest.mark.parametrize("text", ["node-role.kubernetes.io/master=", "a.k8s.io/x=1", "kubernetes.io/role=db"])
def test_labels_that_would_give_it_a_role_are_refused(text: str) -> None:
    with pytest.raises(BadNodeSetting, match="labels specified with --node-labels"):
        labels(text)


@pytest.mark.parametrize("text", ["a", "=b", "a=b c", "-x=1", "A/B/c=1"])
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(BadNodeSetting):
        labels(text)


def test_taints_have_an_effect_and_perhaps_a_value() -> None:
    assert taints("a=b:NoSchedule,c:NoExecute") == [
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "effect": "NoExecute"},
    ]


@pytest.mark.parametrize("text", ["a", "a=b", "a=b:Never", "=b:NoSchedule", "a:NoSchedule,a=b:NoSchedule"])
def test_what_is_no_taint_is_refused(text: str) -> None:
    with pytest.raises(BadNodeSetting):
        taints(text)


def test_a_condition_is_told_when_it_changes() -> None:
    old = [condition("MemoryPressure", "False"), condition("Ready", "False")]
    new = [
        condition("MemoryPressure", "True"),
        condition("DiskPressure", "False"),
        condition("Ready", "True"),
    ]
    assert [each.reason for each in news.of_conditions("n", old, new)] == [
        "NodeHasInsufficientMemory",
        "NodeHasNoDiskPressure",
        "NodeReady",
    ]
    assert list(news.of_conditions("n", new, new)) == []


def test_a_new_node_does_not_say_that_it_became_ready() -> None:
    assert list(news.of_conditions("n", [], [condition("Ready", "True")])) == []


def test_another_boot_is_a_warning() -> None:
    told = News("Warning", "Rebooted", "Node n has been rebooted, boot id: b")
    assert list(news.of_reboot("n", {"bootID": "a"}, "b")) == [told]
    assert list(news.of_reboot("n", {"bootID": "b"}, "b")) == []
    assert list(news.of_reboot("n", None, "b")) == []


def test_a_cordon_is_told_once() -> None:
    open_, closed = {"spec": {}}, {"spec": {"unschedulable": True}}
    assert [each.message for each in news.of_cordon("n", open_, closed)] == [
        "Node n status is now: NodeNotSchedulable"
    ]
    assert [each.reason for each in news.of_cordon("n", closed, open_)] == ["NodeSchedulable"]
    assert list(news.of_cordon("n", closed, closed)) == []


def test_log_limits_are_a_quantity_and_a_number() -> None:
    assert LogLimits.parsed("1Mi", 2) == LogLimits(1 << 20, 2)
    for size, files in (("x", 5), ("0", 5), ("1Mi", 1)):
        with pytest.raises(ValueError, match="container-log-max"):
            LogLimits.parsed(size, files)
