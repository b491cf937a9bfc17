"""What takes a quota that covers it."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.admission.limited import Limited, read, uncovered
from podium.api.types import Obj
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PODS

CRITICAL = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
BY_CLASS = Limited("", "pods", (), (CRITICAL,))
BY_NAME = Limited("", "pods", ("cpu", "pods"), ())


def pod(**spec: Any) -> Obj:
    return {"metadata": {"name": "p"}, "spec": {"containers": [], **spec}}


def quota(*hard: str, **spec: Any) -> Obj:
    return {"metadata": {"name": "q"}, "spec": {"hard": dict.fromkeys(hard, "1"), **spec}}


@pytest.mark.parametrize(
    ("limit", "obj", "quotas", "why"),
    [
        (BY_NAME, pod(), [], "insufficient quota to consume: pods,requests.cpu"),
        (BY_NAME, pod(), [quota("pods")], "insufficient quota to consume: requests.cpu"),
        (BY_NAME, pod(), [quota("pods"), quota("requests.cpu")], ""),
        (BY_NAME, pod(), [quota("pods", "requests.cpu", scopes=["Terminating"])],
         "insufficient quota to consume: pods,requests.cpu"),
        (BY_CLASS, pod(), [], ""),
        (BY_CLASS, pod(priorityClassName="high"), [quota("pods")],
         "insufficient quota to match these scopes: [{PriorityClass In [high]}]"),
        (BY_CLASS, pod(priorityClassName="high"),
         [quota("pods", scopeSelector={"matchExpressions": [CRITICAL]})], ""),
        (Limited("apps", "pods", ("pods",), ()), pod(), [], ""),
    ],
)  # fmt: skip
def test_what_is_limited_takes_a_quota(limit: Limited, obj: Obj, quotas: list[Obj], why: str) -> None:
    assert uncovered([limit], PODS, obj, {"pods", "requests.cpu"}, quotas) == why


def test_a_class_of_storage_is_found_by_a_part_of_its_name() -> None:
    gold = Limited("", "persistentvolumeclaims", ("gold.storageclass.storage.k8s.io/requests.storage",), ())
    name = "gold.storageclass.storage.k8s.io/requests.storage"
    why = uncovered([gold], PERSISTENT_VOLUME_CLAIMS, {"spec": {}}, {name, "requests.storage"}, [])
    assert why == f"insufficient quota to consume: {name}"


def test_a_configuration_is_read() -> None:
    entry = {"resource": "pods", "matchScopes": [CRITICAL], "matchContains": ["cpu"]}
    for version, kind in (
        ("apiserver.config.k8s.io/v1", "ResourceQuotaConfiguration"),
        ("resourcequota.admission.k8s.io/v1beta1", "Configuration"),
    ):
        given = {"apiVersion": version, "kind": kind, "limitedResources": [entry]}
        assert read(given) == (Limited("", "pods", ("cpu",), (CRITICAL,)),)
    for odd in ({}, {**given, "kind": "Other"}, {**given, "more": 1}, {**given, "limitedResources": [{}]}):
        with pytest.raises(ValueError, match=r"must be|unknown field|Required value"):
            read(odd)
