"""Kinds of the smaller groups: defaults, faults, rows."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj, resources
from podium.api.types.resources import Resource
from tests.unit.api.groups.build import created, faults, meta, row, update_faults


def of(**fields: Any) -> Obj:
    return {"metadata": meta(), **fields}


HTTP = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}


def ingress(**path: Any) -> Obj:
    return of(spec={"rules": [{"host": "a.example.com", "http": {"paths": [{**HTTP, **path}]}}]})


def hpa(**spec: Any) -> Obj:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return of(spec={"scaleTargetRef": target, "maxReplicas": 5, **spec})


def crd(name: str = "bars.example.com", **spec: Any) -> Obj:
    names = {"plural": "bars", "kind": "Bar"}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
    }
    fields = {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version], **spec}
    return {"metadata": meta(name), "spec": fields}


def hook(**fields: Any) -> Obj:
    config = {
        "name": "a.example.com",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "s", "namespace": "n"}},
        **fields,
    }
    return of(webhooks=[config])


@pytest.mark.parametrize(
    ("resource", "given", "path", "expected"),
    [
        (
            resources.NETWORK_POLICIES,
            of(spec={"egress": [{}]}),
            ("spec", "policyTypes"),
            ["Ingress", "Egress"],
        ),
        (resources.STORAGE_CLASSES, of(provisioner="p"), ("reclaimPolicy",), "Delete"),
        (resources.STORAGE_CLASSES, of(provisioner="p"), ("volumeBindingMode",), "Immediate"),
        (
            resources.ENDPOINT_SLICES,
            of(ports=[{"port": 80}]),
            ("ports",),
            [{"port": 80, "name": "", "protocol": "TCP"}],
        ),
        (resources.HORIZONTAL_POD_AUTOSCALERS, hpa(), ("spec", "minReplicas"), 1),
        (resources.PRIORITY_CLASSES, of(value=1), ("preemptionPolicy",), "PreemptLowerPriority"),
        (resources.CUSTOM_RESOURCE_DEFINITIONS, crd(), ("spec", "names", "listKind"), "BarList"),
        (resources.CUSTOM_RESOURCE_DEFINITIONS, crd(), ("status", "storedVersions"), ["v1"]),
        (resources.FLOW_SCHEMAS, of(spec={}), ("spec", "matchingPrecedence"), 1000),
        (
            resources.ROLE_BINDINGS,
            of(roleRef={"kind": "Role", "name": "r"}),
            ("roleRef", "apiGroup"),
            "rbac.authorization.k8s.io",
        ),
    ],
)
def test_defaults(resource: Resource, given: Obj, path: tuple[str, ...], expected: Any) -> None:
    value: Any = created(resource, given)
    for part in path:
        value = value[part]
    assert value == expected


def test_a_webhook_is_completed() -> None:
    [config] = created(resources.MUTATING_WEBHOOK_CONFIGURATIONS, hook())["webhooks"]
    expected = {
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "timeoutSeconds": 10,
        "reinvocationPolicy": "Never",
    }
    assert {key: config[key] for key in expected} == expected
    assert config["clientConfig"]["service"]["port"] == 443


def test_an_autoscaler_without_metrics_watches_the_processors() -> None:
    [metric] = created(resources.HORIZONTAL_POD_AUTOSCALERS, hpa())["spec"]["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}


GROUP = "rbac.authorization.k8s.io"
FAULTS: list[tuple[Resource, Obj, list[str]]] = [
    (resources.INGRESSES, ingress(), []),
    (
        resources.INGRESSES,
        ingress(pathType=None),
        ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    ),
    (
        resources.INGRESSES,
        ingress(path="x"),
        ['spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path'],
    ),
    (
        resources.INGRESSES,
        ingress(backend={"service": {"name": "web"}}),
        ["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
    ),
    (
        resources.NETWORK_POLICIES,
        of(spec={"podSelector": {}, "ingress": [{"from": [{}]}]}),
        ["spec.ingress[0].from[0]: Required value: must specify a peer"],
    ),
    (
        resources.NETWORK_POLICIES,
        of(spec={"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]}),
        [
            'spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": '
            "must be a strict subset of `cidr`"
        ],
    ),
    (
        resources.ENDPOINT_SLICES,
        of(addressType="IPv4", endpoints=[{"addresses": []}]),
        ["endpoints[0].addresses: Required value: must contain at least 1 address"],
    ),
    (
        resources.ENDPOINT_SLICES,
        of(addressType="IPv4", endpoints=[{"addresses": ["fd00::1"]}]),
        ['endpoints[0].addresses: Invalid value: "fd00::1": must be an IPv4 address'],
    ),
    (
        resources.POD_DISRUPTION_BUDGETS,
        of(spec={"minAvailable": 1, "maxUnavailable": 1}),
        [
            'spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: '
            "minAvailable and maxUnavailable cannot be both set"
        ],
    ),
    (
        resources.HORIZONTAL_POD_AUTOSCALERS,
        hpa(minReplicas=6),
        ["spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"],
    ),
    (
        resources.HORIZONTAL_POD_AUTOSCALERS,
        hpa(metrics=[{"type": "Pods"}, {"type": "Strange"}]),
        [
            "spec.metrics[0].pods: Required value: must populate information for the given metric source",
            'spec.metrics[1].type: Unsupported value: "Strange": supported values: "ContainerResource", '
            '"External", "Object", "Pods", "Resource"',
        ],
    ),
    (
        resources.HORIZONTAL_POD_AUTOSCALERS,
        hpa(metrics=[{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]),
        [
            "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target "
            "raw value or a target utilization"
        ],
    ),
    (
        resources.HORIZONTAL_POD_AUTOSCALERS,
        hpa(
            behavior={
                "scaleUp": {
                    "stabilizationWindowSeconds": 4000,
                    "selectPolicy": "Some",
                    "policies": [{"type": "Pods", "value": 0, "periodSeconds": 2000}],
                    "tolerance": "-1",
                }
            }
        ),
        [
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000: must be less than or "
            "equal to 3600",
            'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Some": supported values: "Disabled", '
            '"Max", "Min"',
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or "
            "equal to 1800",
            'spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0',
        ],
    ),
    (
        resources.ROLES,
        of(rules=[{"verbs": [], "apiGroups": [""], "resources": ["pods"]}]),
        ["rules[0].verbs: Required value: verbs must contain at least one value"],
    ),
    (
        resources.ROLES,
        of(rules=[{"verbs": ["get"], "nonResourceURLs": ["/x"]}]),
        [
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: '
            "namespaced rules cannot apply to non-resource URLs"
        ],
    ),
    (
        resources.CLUSTER_ROLE_BINDINGS,
        of(roleRef={"kind": "Role", "name": "r"}, subjects=[{"kind": "ServiceAccount", "name": "a"}]),
        [
            'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
            "subjects[0].namespace: Required value",
        ],
    ),
    (
        resources.PRIORITY_CLASSES,
        of(value=1_000_000_001),
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    ),
    (
        resources.LEASES,
        of(spec={"leaseDurationSeconds": 0}),
        ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    ),
    (resources.STORAGE_CLASSES, of(), ["provisioner: Required value"]),
    (resources.CUSTOM_RESOURCE_DEFINITIONS, crd(), []),
    (
        resources.CUSTOM_RESOURCE_DEFINITIONS,
        crd("bar.example.com"),
        ['metadata.name: Invalid value: "bar.example.com": must be spec.names.plural+"."+spec.group'],
    ),
    (resources.VALIDATING_WEBHOOK_CONFIGURATIONS, hook(), []),
    (
        resources.VALIDATING_WEBHOOK_CONFIGURATIONS,
        hook(timeoutSeconds=31),
        ["webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"],
    ),
]


@pytest.mark.parametrize(("resource", "obj", "expected"), FAULTS)
def test_faults(resource: Resource, obj: Obj, expected: list[str]) -> None:
    assert faults(resource, obj) == expected


def test_what_a_binding_binds_never_changes() -> None:
    old = created(resources.ROLE_BINDINGS, of(roleRef={"kind": "Role", "name": "r"}))
    new = {**old, "roleRef": {**old["roleRef"], "name": "s"}}
    [fault] = update_faults(resources.ROLE_BINDINGS, old, new)
    assert fault.endswith("cannot change roleRef")


def test_a_storage_class_never_changes() -> None:
    old = created(resources.STORAGE_CLASSES, of(provisioner="p"))
    assert update_faults(resources.STORAGE_CLASSES, old, {**old, "provisioner": "q"}) == [
        'provisioner: Invalid value: "q": field is immutable'
    ]


def test_a_role_may_have_any_name_that_fits_into_a_path() -> None:
    assert faults(resources.ROLES, {"metadata": meta("system:node/x")}) == [
        "metadata.name: Invalid value: \"system:node/x\": may not contain '/'"
    ]
    assert faults(resources.ROLES, {"metadata": meta("system:node")}) == []


@pytest.mark.parametrize(
    ("resource", "obj", "expected"),
    [
        (resources.LEASES, of(spec={"holderIdentity": "n1"}), ["web", "n1", "60m"]),
        (resources.INGRESSES, ingress(), ["web", "<none>", "a.example.com", "", "80", "60m"]),
        (resources.NETWORK_POLICIES, of(spec={"podSelector": {}}), ["web", "<none>", "60m"]),
        (
            resources.ENDPOINT_SLICES,
            of(addressType="IPv4", ports=[{"port": 80}], endpoints=[{"addresses": ["10.0.0.1"]}]),
            ["web", "IPv4", "80", "10.0.0.1", "60m"],
        ),
        (resources.ENDPOINT_SLICES, of(addressType="IPv4"), ["web", "IPv4", "<unset>", "<unset>", "60m"]),
        (resources.POD_DISRUPTION_BUDGETS, of(spec={"minAvailable": "50%"}), ["web", "50%", "N/A", 0, "60m"]),
        (
            resources.HORIZONTAL_POD_AUTOSCALERS,
            hpa(),
            ["web", "Deployment/web", "cpu: <unknown>/80%", "1", 5, 0, "60m"],
        ),
        (
            resources.ROLE_BINDINGS,
            of(
                roleRef={"kind": "Role", "name": "r"},
                subjects=[
                    {"kind": "User", "name": "u"},
                    {"kind": "ServiceAccount", "name": "a", "namespace": "n"},
                ],
            ),
            ["web", "Role/r", "60m", "u", "", "n/a"],
        ),
        (
            resources.STORAGE_CLASSES,
            {
                "metadata": meta(annotations={"storageclass.kubernetes.io/is-default-class": "true"}),
                "provisioner": "p",
            },
            ["web (default)", "p", "Delete", "Immediate", False, "60m"],
        ),
        (resources.PRIORITY_CLASSES, of(value=7), ["web", 7, False, "60m", "PreemptLowerPriority"]),
        (
            resources.API_SERVICES,
            of(spec={"service": {"name": "s", "namespace": "n"}}),
            ["web", "n/s", "Unknown", "60m"],
        ),
        (
            resources.CERTIFICATE_SIGNING_REQUESTS,
            of(spec={"signerName": "s", "expirationSeconds": 3600}),
            ["web", "60m", "s", "", "60m", "Pending"],
        ),
        (resources.ROLES, of(), ["web", "2026-01-02T11:00:00Z"]),
        (resources.RESOURCE_CLAIMS, of(spec={}), ["web", "pending", "60m"]),
    ],
)
def test_rows(resource: Resource, obj: Obj, expected: list[Any]) -> None:
    assert list(row(resource, created(resource, obj)).values()) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("255.255.255.255", None),
        ("fe80::42:1dff:fe84:f9e2", None),
        ("fe80:0:0:0:42:1dff:fe84:f9e2", 'must be in canonical form ("fe80::42:1dff:fe84:f9e2")'),
        ("web", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ],
)
def test_an_ip_address_is_named_by_its_canonical_form(name: str, message: str | None) -> None:
    parent = {"resource": "services", "namespace": "default", "name": "web"}
    entry = {"metadata": {**meta(name), "namespace": ""}, "spec": {"parentRef": parent}}
    found = faults(resources.IP_ADDRESSES, entry)
    assert found == ([f'metadata.name: Invalid value: "{name}": {message}'] if message else [])
