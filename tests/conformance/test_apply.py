"""Server-side apply with stock kubectl."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import config_map, deployment

Obj = dict[str, Any]


def apply(kubectl: Kubectl, obj: Obj, *more: str) -> str:
    return kubectl("apply", "--server-side", "-f", "-", *more, stdin=json.dumps(obj))


def owners(kubectl: Kubectl, *what: str) -> dict[tuple[str, str], Obj]:
    found = json.loads(kubectl("get", *what, "-o", "json", "--show-managed-fields"))
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"]
        for entry in found["metadata"].get("managedFields", ())
    }


def test_each_owner_keeps_to_its_own_fields(kubectl: Kubectl) -> None:
    assert "serverside-applied" in apply(kubectl, config_map("shared", x="1", y="1"))
    apply(kubectl, config_map("shared", z="1"), "--field-manager=other")
    refused = kubectl.refused(
        "apply",
        "--server-side",
        "-f",
        "-",
        "--field-manager=other",
        stdin=json.dumps(config_map("shared", x="2")),
    )
    assert 'conflict with "kubectl": .data.x' in refused
    apply(kubectl, config_map("shared", x="2"), "--field-manager=other", "--force-conflicts")
    assert kubectl.get("configmap", "shared")["data"] == {"x": "2", "y": "1"}
    assert owners(kubectl, "configmap", "shared") == {
        ("kubectl", "Apply"): {"f:data": {"f:y": {}}},
        ("other", "Apply"): {"f:data": {"f:x": {}}},
    }


def test_what_was_applied_by_kubectl_alone_goes_on_on_the_server(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("older", x="1"))
    apply(kubectl, config_map("older", x="2", y="1"))
    assert kubectl.get("configmap", "older")["data"] == {"x": "2", "y": "1"}
    kubectl.apply(config_map("older", y="1"))
    assert kubectl.get("configmap", "older")["data"] == {"y": "1"}


def test_whoever_scales_owns_the_replicas(kubectl: Kubectl) -> None:
    apply(kubectl, deployment("web", 1))
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    kubectl("scale", "deploy/web", "--replicas=2")
    refused = kubectl.refused("apply", "--server-side", "-f", "-", stdin=json.dumps(deployment("web", 1)))
    assert ".spec.replicas" in refused
    without = deployment("web", 1)
    del without["spec"]["replicas"]
    apply(kubectl, without)
    assert kubectl.get("deploy", "web")["spec"]["replicas"] == 2
    assert "f:status" in owners(kubectl, "deploy", "web")["podium", "Update"]
