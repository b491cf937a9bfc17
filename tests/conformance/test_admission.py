"""Admission policies and webhook configurations with stock kubectl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.coverage_report import covers
from tests.conformance.kubectl import Kubectl
from tests.conformance.objects import config_map
from tests.conformance.waiting import eventually

Obj = dict[str, Any]
GROUP = "admissionregistration.k8s.io/v1"
RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["configmaps"],
}


@pytest.fixture
def admission(kubectl: Kubectl) -> Iterator[Kubectl]:
    """What is made is of the whole cluster, and goes with the test."""
    yield kubectl
    for kind in (
        "validatingadmissionpolicy", "validatingadmissionpolicybinding", "mutatingadmissionpolicy",
        "mutatingadmissionpolicybinding", "validatingwebhookconfiguration",
    ):  # fmt: skip
        kubectl("delete", kind, "-l", "test=admission", "--ignore-not-found")


def named(kind: str, name: str, **parts: Any) -> Obj:
    return {
        "apiVersion": GROUP,
        "kind": kind,
        "metadata": {"name": name, "labels": {"test": "admission"}},
        **parts,
    }


def match(selected: str) -> Obj:
    return {"resourceRules": [RULE], "objectSelector": {"matchLabels": {"judged": selected}}}


def judged(name: str, by: str, **data: str) -> Obj:
    obj: Obj = config_map(name, **data)
    obj["metadata"]["labels"] = {"judged": by}
    return obj


def policy(expression: str, **spec: Any) -> Obj:
    validations = [{"expression": expression, "messageExpression": "'no: ' + object.metadata.name"}]
    body = {"matchConstraints": match("policy"), "validations": validations, **spec}
    return named("ValidatingAdmissionPolicy", "most.podium.test", spec=body)


def bound(*actions: str) -> Obj:
    spec = {"policyName": "most.podium.test", "validationActions": [*actions]}
    return named("ValidatingAdmissionPolicyBinding", "most.podium.test", spec=spec)


@covers("[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should validate against a Deployment [Conformance]")  # fmt: skip
def test_a_policy_refuses_or_warns_as_its_binding_says(admission: Kubectl) -> None:
    kubectl = admission
    kubectl.apply(policy("!has(object.data) || size(object.data) < 2"), bound("Deny"))
    refused = kubectl.refused("create", "-f", "-", stdin=json.dumps(judged("big", "policy", a="1", b="2")))
    assert (
        "ValidatingAdmissionPolicy 'most.podium.test' with binding 'most.podium.test' denied request: no: big"
        in refused
    )
    kubectl.apply(judged("small", "policy", a="1"))
    kubectl.apply(bound("Warn"))
    warned = kubectl.run("create", "-f", "-", stdin=json.dumps(judged("big", "policy", a="1", b="2")))
    assert warned.code == 0
    assert "Warning: Validation failed for ValidatingAdmissionPolicy 'most.podium.test'" in warned.err


def test_a_policy_tells_what_is_wrong_with_it(admission: Kubectl) -> None:
    kubectl = admission
    refused = kubectl.refused("create", "-f", "-", stdin=json.dumps(policy("object.metadata.name ==")))
    assert "spec.validations[0].expression: Invalid value" in refused
    kubectl.apply(policy("object.metadata.name > 1"))

    def warned() -> bool:
        status = kubectl.get("validatingadmissionpolicy", "most.podium.test").get("status") or {}
        found = (status.get("typeChecking") or {}).get("expressionWarnings") or []
        return any("'_>_' applied to '(string, int)'" in entry["warning"] for entry in found)

    eventually(warned, bool)


def test_a_mutation_changes_what_is_created(admission: Kubectl) -> None:
    kubectl = admission
    expression = "Object{data: {'by': 'policy of ' + object.metadata.name}}"
    body = {
        "matchConstraints": match("mutation"),
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    }
    kubectl.apply(
        named("MutatingAdmissionPolicy", "sign.podium.test", spec=body),
        named("MutatingAdmissionPolicyBinding", "sign.podium.test", spec={"policyName": "sign.podium.test"}),
    )
    kubectl.apply(judged("signed", "mutation", a="1"))
    assert kubectl.get("configmap", "signed")["data"] == {"a": "1", "by": "policy of signed"}


def test_a_webhook_that_is_not_there_fails_the_request_or_is_ignored(admission: Kubectl) -> None:
    kubectl = admission
    hook = {
        "name": "away.podium.test",
        "clientConfig": {"service": {"namespace": "default", "name": "away", "path": "/judge"}},
        "rules": [RULE],
        "objectSelector": {"matchLabels": {"judged": "webhook"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kubectl.apply(named("ValidatingWebhookConfiguration", "away.podium.test", webhooks=[hook]))
    refused = kubectl.refused("create", "-f", "-", stdin=json.dumps(judged("asked", "webhook")))
    assert 'failed calling webhook "away.podium.test": failed to call webhook' in refused
    assert "https://away.default.svc:443/judge?timeout=10s" in refused
    ignoring = {**hook, "failurePolicy": "Ignore"}
    kubectl.apply(named("ValidatingWebhookConfiguration", "away.podium.test", webhooks=[ignoring]))
    kubectl.apply(judged("asked", "webhook"))
