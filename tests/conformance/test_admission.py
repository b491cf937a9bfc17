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


def test_an_expression_knows_addresses_quantities_and_who_may_do_what(admission: Kubectl) -> None:
    kubectl = admission
    expression = (
        "cidr('10.0.0.0/8').containsIP(object.data.address) && quantity(object.data.size).isLessThan(quantity('1Gi')) "
        "&& semver(object.data.version).isGreaterThan(semver('1.0.0')) "
        "&& object.data.all(key, value, key.size() > 0 && value.size() > 0) "
        "&& authorizer.group('').resource('secrets').namespace('default').check('create').allowed() "
        "&& !authorizer.serviceAccount('default', 'nobody').group('').resource('secrets').check('get').allowed()"
    )
    kubectl.apply(policy(expression), bound("Deny"))
    good = {"address": "10.1.2.3", "size": "100Mi", "version": "1.2.0"}
    refused = judged("outside", "policy", **{**good, "address": "11.0.0.1"})
    assert "denied request: no: outside" in kubectl.refused("create", "-f", "-", stdin=json.dumps(refused))
    kubectl("create", "-f", "-", stdin=json.dumps(judged("inside", "policy", **good)))


def test_an_expensive_expression_refuses_and_holds_up_nobody(admission: Kubectl) -> None:
    kubectl = admission
    kubectl.apply(
        policy("object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != '')))"), bound("Deny")
    )
    large = judged("large", "policy", **{f"key-{index}": "v" for index in range(150)})
    refused = kubectl.refused("create", "-f", "-", stdin=json.dumps(large))
    assert "operation cancelled: actual cost limit exceeded" in refused
    kubectl("create", "-f", "-", stdin=json.dumps(judged("small", "policy", a="1")))


def test_a_rule_that_could_cost_without_bound_is_refused_with_its_definition(kubectl: Kubectl) -> None:
    rule = {"rule": "self.names.all(a, self.names.all(b, a == b))"}
    names = {"type": "array", "items": {"type": "string"}}
    spec = {"type": "object", "properties": {"names": names}, "x-kubernetes-validations": [rule]}
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    wanted = {"plural": "costs", "singular": "cost", "kind": "Cost", "listKind": "CostList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "costs.podium.test"},
        "spec": {"group": "podium.test", "scope": "Namespaced", "names": wanted, "versions": [version]},
    }
    refused = kubectl.refused("create", "-f", "-", stdin=json.dumps(definition))
    assert "estimated rule cost exceeds budget by factor of more than 100x" in refused
    assert "try simplifying the rule, or adding maxItems, maxProperties, and maxLength" in refused


def test_scaling_is_judged_as_a_scale(admission: Kubectl) -> None:
    kubectl = admission
    rule = {**RULE, "apiGroups": ["apps"], "resources": ["deployments/scale"]}
    judge = {
        "expression": "object.kind == 'Scale' && object.spec.?replicas.orValue(0) < 3",
        "message": "too many",
    }
    selected = {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}}
    spec = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selected},
        "validations": [judge],
    }
    kubectl.apply(named("ValidatingAdmissionPolicy", "most.podium.test", spec=spec), bound("Deny"))
    kubectl("create", "deployment", "scaled", "--image=podium.io/echo:v1", "--replicas=0")
    assert "denied request: too many" in kubectl.refused("scale", "deployment", "scaled", "--replicas=3")
    kubectl("scale", "deployment", "scaled", "--replicas=0")
