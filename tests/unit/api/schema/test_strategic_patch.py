"""Strategic merge patches against the kinds' own merge keys."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from podium.api.schema import Definitions
from podium.api.schema.patches import strategic_patch
from podium.api.types.errors import StatusError

DEPLOYMENT = Definitions.load().schema("apps", "v1", "Deployment")
POD = Definitions.load().schema("", "v1", "Pod")
SERVICE = Definitions.load().schema("", "v1", "Service")


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "containers are merged by name": (
        pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"}),
        pod({"name": "b", "image": "2"}),
        pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"}),
    ),
    "a new element goes before those that only the server has": (
        pod({"name": "a"}),
        pod({"name": "z", "image": "2"}),
        pod({"name": "z", "image": "2"}, {"name": "a"}),
    ),
    "an element is deleted by its key": (
        pod({"name": "a"}, {"name": "b"}),
        pod({"name": "a", "$patch": "delete"}),
        pod({"name": "b"}),
    ),
    "a list is replaced": (
        pod({"name": "a"}, {"name": "b"}),
        pod({"$patch": "replace"}, {"name": "c"}),
        pod({"name": "c"}),
    ),
    "a map is replaced": (
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"$patch": "replace", "c": "3"}}},
        {"metadata": {"labels": {"c": "3"}}},
    ),
    "a map is emptied": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"$patch": "delete"}}},
        {"metadata": {"labels": {}}},
    ),
    "null removes": (
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"a": None}}},
        {"metadata": {"labels": {"b": "2"}}},
    ),
    "null for what is not there is nothing": (
        {},
        {"metadata": {"labels": {"a": None, "b": "1"}}},
        {"metadata": {"labels": {"b": "1"}}},
    ),
    "a list without strategy is replaced": (
        pod({"name": "a", "command": ["x", "y"]}),
        pod({"name": "a", "command": ["z"]}),
        pod({"name": "a", "command": ["z"]}),
    ),
    "finalizers are merged as a set": (
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["b", "c"]}},
        {"metadata": {"finalizers": ["a", "b", "c"]}},
    ),
    "values are taken from a primitive list": (
        {"metadata": {"finalizers": ["a", "b", "c"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}},
        {"metadata": {"finalizers": ["a", "c"]}},
    ),
    "retainKeys drops the other members of a union": (
        pod(volumes=[{"name": "v", "emptyDir": {}}]),
        {
            "spec": {
                "volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]
            }
        },
        pod(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
    ),
    "setElementOrder reorders without a change": (
        pod({"name": "a"}, {"name": "b"}),
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
        pod({"name": "b"}, {"name": "a"}),
    ),
    "setElementOrder keeps what only the server has before what it was before": (
        pod({"name": "x"}, {"name": "a"}, {"name": "b"}),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "b", "image": "2"}],
            }
        },
        pod({"name": "x"}, {"name": "b", "image": "2"}, {"name": "a"}),
    ),
    "setElementOrder with a deletion": (
        pod({"name": "a"}, {"name": "b"}),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}],
                "containers": [{"name": "a", "$patch": "delete"}],
            }
        },
        pod({"name": "b"}),
    ),
    "directives leave no trace where there is nothing to merge with": (
        {},
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "a"}],
                "containers": [{"name": "a", "env": [{"name": "E", "$patch": "delete"}]}],
            }
        },
        pod({"name": "a", "env": []}),
    ),
    "an env variable changes from value to reference": (
        pod({"name": "a", "env": [{"name": "E", "value": "1"}]}),
        pod(
            {
                "name": "a",
                "env": [{"name": "E", "value": None, "valueFrom": {"fieldRef": {"fieldPath": "p"}}}],
            }
        ),
        pod({"name": "a", "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "p"}}}]}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_patching_gives_what_upstream_gives(name: str) -> None:
    doc, patch, wanted = CASES[name]
    before = copy.deepcopy((doc, patch))
    assert strategic_patch(doc, patch, POD) == wanted
    assert (doc, patch) == before


def test_service_ports_merge_by_port_and_the_rollout_strategy_replaces_its_type() -> None:
    ports = strategic_patch(
        {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 443}]}},
        {"spec": {"ports": [{"port": 80, "name": "b"}]}},
        SERVICE,
    )
    assert ports["spec"]["ports"] == [{"port": 80, "name": "b"}, {"port": 443}]
    strategy = strategic_patch(
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        DEPLOYMENT,
    )
    assert strategy["spec"]["strategy"] == {"type": "Recreate"}


def test_what_the_patch_does_not_touch_is_shared() -> None:
    doc = pod({"name": "a"}) | {"status": {"phase": "Running"}}
    patched = strategic_patch(doc, {"metadata": {"name": "x"}}, POD)
    assert patched["status"] is doc["status"]
    assert patched["spec"] is doc["spec"]


BAD: dict[str, tuple[Any, str]] = {
    "no merge key": (pod({"image": "1"}), "does not contain declared merge key: name"),
    "unknown directive": ({"metadata": {"$patch": "explode"}}, "unknown patch type: explode"),
    "unknown directive in a list": (pod({"name": "a", "$patch": "explode"}), "unknown patch type: explode"),
    "keys beyond retainKeys": (
        {"spec": {"$retainKeys": ["x"], "nodeName": "n"}},
        "invalid patch format of retainKeys",
    ),
    "retainKeys is no list": ({"spec": {"$retainKeys": 1}}, "invalid patch format of retainKeys"),
    "order is no list": (
        {"spec": {"$setElementOrder/containers": "a"}},
        "invalid patch format of setElementOrder list",
    ),
    "order and list disagree": (
        {"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "q"}]}},
        "doesn't match $setElementOrder",
    ),
    "deletion list is no list": (
        {"spec": {"$deleteFromPrimitiveList/x": 1}},
        "invalid patch format of primitive list",
    ),
    "no object": ([], "invalid JSON document"),
    "mixed elements": (pod("a", {"name": "b"}), "mixed types"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_patch_is_refused_with_the_reason(name: str) -> None:
    patch, message = BAD[name]
    with pytest.raises(StatusError) as refused:
        strategic_patch(pod({"name": "a"}, {"name": "b"}) | {"metadata": {"name": "p"}}, patch, POD)
    assert refused.value.code == 400
    assert message in refused.value.message
