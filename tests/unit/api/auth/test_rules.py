from __future__ import annotations

import pytest

from podium.api.auth.actions import Action
from podium.api.auth.policy.notation import rules
from podium.api.auth.rules import compiled, described, uncovered

GET_POD = Action("get", "", "pods", "", "default", "a")


def one(line: str) -> dict[str, object]:
    (rule,) = rules([line])
    return rule


@pytest.mark.parametrize(
    ("line", "action", "allowed"),
    [
        ("get: pods", GET_POD, True),
        ("*: pods", GET_POD, True),
        ("list: pods", GET_POD, False),
        ("get: *.*", GET_POD, True),
        ("get: *.apps", GET_POD, False),
        ("get: *", GET_POD, False),
        ("get: pods =a", GET_POD, True),
        ("get: pods =b", GET_POD, False),
        ("list: pods =a", Action("list", "", "pods", "", "default"), False),
        ("get: pods", Action("get", "", "pods", "log", "default", "a"), False),
        ("get: pods/log", Action("get", "", "pods", "log", "default", "a"), True),
        ("get: pods/log", GET_POD, False),
        ("get: */log", Action("get", "", "pods", "log", "default", "a"), True),
        ("get: *.*", Action("get", "apps", "deployments", "scale", "default", "a"), True),
        ("get: */scale.*", Action("get", "apps", "deployments", "scale", "default", "a"), True),
        ("get: deployments.apps", Action("get", "extensions", "deployments"), False),
        ("get: /healthz", Action("get", path="/healthz"), True),
        ("get: /healthz", Action("get", path="/healthz/etcd"), False),
        ("get: /healthz/*", Action("get", path="/healthz/etcd"), True),
        ("*: *", Action("post", path="/anything"), True),
        ("get: /healthz", Action("post", path="/healthz"), False),
        ("*: *.*", Action("get", path="/healthz"), False),
        ("*: *", GET_POD, False),
    ],
)
def test_a_rule_allows_what_it_names(line: str, action: Action, allowed: bool) -> None:
    assert compiled(one(line)).allows(action) is allowed


@pytest.mark.parametrize(
    ("owned", "wanted", "covered"),
    [
        (["*: *.*"], "get,list: pods secrets", True),
        (["get: pods", "list: pods"], "get,list: pods", True),
        (["get: pods"], "get,list: pods", False),
        (["get: pods =a"], "get: pods =a", True),
        (["get: pods =a"], "get: pods", False),
        (["get: pods"], "get: pods =a =b", True),
        (["get: pods"], "*: pods", False),
        (["get: *.*"], "get: */scale.*", True),
        (["get: */scale"], "get: replicationcontrollers/scale", True),
        (["get: */scale"], "get: pods/log", False),
        (["get: /api/*"], "get: /api/v1", True),
        (["get: /api/*"], "get: /apis", False),
        (["*: *.*"], "get: /metrics", False),
    ],
)
def test_rules_are_covered_by_those_who_have_them(owned: list[str], wanted: str, covered: bool) -> None:
    own = [compiled(rule) for rule in rules(owned)]
    assert (not uncovered(own, rules([wanted]))) is covered


def test_what_is_missing_is_told_by_resource() -> None:
    missing = uncovered(
        [], rules(["get,list: pods", "get: secrets =one", "get: /metrics", "list: leases.x.io"])
    )
    assert described(missing) == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["one"], Verbs:["get"]}',
        '{APIGroups:["x.io"], Resources:["leases"], Verbs:["list"]}',
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}',
    ]
