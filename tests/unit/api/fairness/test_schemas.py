"""Which flow a request is of."""

from __future__ import annotations

import pytest

from podium.api.auth.actions import Action
from podium.api.auth.users import User
from podium.api.fairness.objects import SCHEMAS, flow_schema
from podium.api.fairness.schemas import compiled, in_order
from podium.api.types import Obj

DEFAULTS = in_order(compiled(flow_schema(name)) for name in SCHEMAS)
EVERYBODY = "system:authenticated"
ADMIN = User("admin", ("system:masters", EVERYBODY))
NODE = User("system:node:n1", ("system:nodes", EVERYBODY))
EVE = User("eve", (EVERYBODY,))
APP = User("system:serviceaccount:shop:app", ("system:serviceaccounts", EVERYBODY))
COREDNS = User("system:serviceaccount:kube-system:coredns", ("system:serviceaccounts", EVERYBODY))
MANAGER = User("system:kube-controller-manager", (EVERYBODY,))
NOBODY = User("system:anonymous", ("system:unauthenticated",))
PODS = Action("list", "", "pods", "", "shop")
LEASE = Action("update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n1")
STATUS = Action("patch", "", "nodes", "status", "", "n1")
READY = Action("get", path="/readyz/ping")


def schema_of(user: User, action: Action) -> tuple[str, str, str]:
    found = next(schema for schema in DEFAULTS if schema.fits(user, action))
    return found.name, found.level, found.flow_of(user, action)


@pytest.mark.parametrize(
    ("user", "action", "expected"),
    [
        (ADMIN, PODS, ("exempt", "exempt", "")),
        (NODE, PODS, ("system-nodes", "system", NODE.name)),
        (NODE, STATUS, ("system-node-high", "node-high", NODE.name)),
        (NODE, LEASE, ("system-node-high", "node-high", NODE.name)),
        (MANAGER, LEASE, ("system-leader-election", "leader-election", MANAGER.name)),
        (MANAGER, PODS, ("kube-controller-manager", "workload-high", "shop")),
        (COREDNS, PODS, ("kube-system-service-accounts", "workload-high", "shop")),
        (APP, PODS, ("service-accounts", "workload-low", APP.name)),
        (EVE, PODS, ("global-default", "global-default", "eve")),
        (NOBODY, READY, ("probes", "exempt", "")),
        (EVE, Action("get", path="/metrics"), ("global-default", "global-default", "eve")),
    ],
)
def test_the_first_schema_that_fits_decides(user: User, action: Action, expected: object) -> None:
    assert schema_of(user, action) == expected


def schema(**rule: object) -> Obj:
    spec: Obj = {"priorityLevelConfiguration": {"name": "x"}, "matchingPrecedence": 5}
    everybody = [{"kind": "Group", "group": {"name": "*"}}]
    return {"metadata": {"name": "s"}, "spec": spec | {"rules": [{"subjects": everybody, **rule}]}}


def test_what_is_in_no_namespace_takes_a_rule_that_says_so() -> None:
    rule = {"verbs": ["*"], "apiGroups": [""], "resources": ["*"], "namespaces": ["shop"]}
    narrow = compiled(schema(resourceRules=[rule]))
    assert narrow.fits(EVE, PODS)
    assert not narrow.fits(EVE, PODS._replace(namespace="other"))
    assert not narrow.fits(EVE, STATUS)
    assert compiled(schema(resourceRules=[{**rule, "clusterScope": True}])).fits(EVE, STATUS)


def test_a_resource_is_not_its_subresources() -> None:
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}
    only = compiled(schema(resourceRules=[rule]))
    assert only.fits(EVE, Action("get", "", "pods", "", "shop", "a"))
    assert not only.fits(EVE, Action("get", "", "pods", "status", "shop", "a"))


def test_a_path_is_also_what_is_below_it() -> None:
    for url in ("/readyz", "/readyz/", "/readyz/*"):
        below = compiled(schema(nonResourceRules=[{"verbs": ["get"], "nonResourceURLs": [url]}]))
        assert below.fits(EVE, READY)
        assert not below.fits(EVE, Action("get", path="/readyzzz"))
        assert not below.fits(EVE, PODS)


def test_of_two_of_the_same_precedence_the_name_decides() -> None:
    first, second = schema(), schema()
    first["metadata"]["name"], second["metadata"]["name"] = "b", "a"
    assert [each.name for each in in_order([compiled(first), compiled(second)])] == ["a", "b"]
