from __future__ import annotations

from itertools import islice

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.api.auth import rolebook
from podium.api.auth.actions import Action
from podium.api.auth.covering import LISTED, Endless, described, grains, uncovered
from podium.api.auth.policy.notation import rules
from podium.api.auth.rules import FIELDS, Rules, compiled

GET_POD = Action("get", "", "pods", "", "default", "a")


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
    assert next(compiled(rules([line]))).allows(action) is allowed


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
    assert (not uncovered(list(compiled(rules(owned))), rules([wanted]))) is covered


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


def test_a_rule_of_a_million_grains_is_compared_by_what_others_tell_apart() -> None:
    words = [f"w{index}" for index in range(1000)]
    wanted = {"apiGroups": ["", "apps"], "resources": words, "verbs": [*words, "get"], "resourceNames": words}
    own = list(compiled(rules(["*: w1 w2 w3", "get: *.*"])))
    missing = uncovered(own, [wanted])
    assert len(missing) == LISTED
    assert not any(rule.covers(grain) for rule in own for grain in missing)
    assert uncovered(list(compiled(rules(["*: *.*"]))), [wanted]) == []


def test_many_rules_are_compared_with_as_many() -> None:
    many = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": [f"n{index}"]}
        for index in range(5_000)
    ]
    assert uncovered(list(compiled(many)), many) == []
    assert [grain.name for grain in uncovered(list(compiled(many[1:])), many)] == ["n0"]


def test_what_takes_for_ever_to_compare_is_given_up() -> None:
    own = [{"apiGroups": [""], "resources": ["secrets"], "verbs": [f"v{index}"]} for index in range(5_000)]
    wanted = {"apiGroups": [""], "resources": ["secrets"], "verbs": [f"v{index}" for index in range(5_000)]}
    with pytest.raises(Endless):
        uncovered(list(compiled(own)), [wanted])


def test_what_is_missing_is_told_in_the_order_of_the_rule() -> None:
    own = list(compiled(rules(["list: pods"])))
    (line,) = described(uncovered(own, rules(["get,watch,list,delete: pods", "list: pods"])))
    assert line.endswith('Verbs:["get" "watch" "delete"]}')


WORDS = st.text(st.sampled_from('a"\\[]{},:é'), max_size=6)
RULE = st.fixed_dictionaries(
    {"verbs": st.lists(WORDS, max_size=3)},
    optional={field: st.lists(WORDS, max_size=3) for field in FIELDS[1:]},
)


@given(st.lists(RULE, max_size=40))
def test_rules_are_decoded_in_pieces_whatever_they_say(given_rules: list[dict[str, list[str]]]) -> None:
    role = {"kind": "Role", "metadata": {"name": 'x"rules":['}, "rules": given_rules, "z": {"rules": []}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolebook, "PIECE", 10)
        assert list(rolebook.written(orjson.dumps(role))) == given_rules
    assert list(rolebook.written(orjson.dumps({"metadata": {}}))) == []


@given(st.lists(RULE, max_size=12), st.lists(RULE, min_size=1, max_size=3))
def test_rules_made_one_allow_what_each_of_them_allows(
    own: list[dict[str, list[str]]], asked: list[dict[str, list[str]]]
) -> None:
    each, together = list(compiled(own)), Rules(compiled(own))
    for grain in islice((grain for rule in asked for grain in grains(rule)), 200):
        action = Action(grain.verb, grain.group, grain.resource, "", "default", grain.name, grain.path)
        near = [rule for bucket in together.candidates(action) for rule in bucket]
        assert any(rule.allows(action) for rule in near) == any(rule.allows(action) for rule in each)
        known = together.for_paths() if grain.path else together.near(grain.resource)
        covered = any(rule.covers(grain) for bucket in known for rule in bucket)
        assert covered == any(rule.covers(grain) for rule in each)
