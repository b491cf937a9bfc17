"""Comparing, merging and cutting objects by their schema."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.api.apply import fields
from podium.api.apply.shapes import Shape, Shapes, Undetermined, check_unique, fields_of
from podium.api.apply.values import compare, merge, remove
from podium.api.schema import Definitions
from podium.api.types import Obj

POD = Shapes().of(Definitions.load().schema("", "v1", "Pod").type)
SERVICE = Shapes().of(Definitions.load().schema("", "v1", "Service").type)


def pod(*containers: Obj, **meta: Any) -> Obj:
    return {"metadata": meta, "spec": {"containers": list(containers)}}


def named(*names: str) -> list[Obj]:
    return [{"name": name} for name in names]


def shown(shape: Shape, obj: Obj) -> set[str]:
    return {fields.shown(path) for path in fields.members(fields_of(shape, obj))}


def test_structs_maps_and_keyed_lists_come_apart_and_all_else_is_whole() -> None:
    found = shown(
        POD,
        {
            "metadata": {"labels": {"app": "web"}, "finalizers": ["a/b"]},
            "spec": {
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "x"}],
                "containers": [{"name": "web", "command": ["sh"], "resources": {"limits": {"cpu": "1"}}}],
                "securityContext": {},
                "topologySpreadConstraints": [
                    {
                        "topologyKey": "zone",
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchLabels": {}},
                    }
                ],
            },
        },
    )
    spread = '.spec.topologySpreadConstraints[topologyKey="zone",whenUnsatisfiable="DoNotSchedule"]'
    assert found == {
        ".metadata.labels.app",
        '.metadata.finalizers[="a/b"]',
        ".spec.nodeSelector",
        ".spec.tolerations",
        '.spec.containers[name="web"]',
        '.spec.containers[name="web"].name',
        '.spec.containers[name="web"].command',
        '.spec.containers[name="web"].resources.limits.cpu',
        ".spec.securityContext",
        spread,
        f"{spread}.topologyKey",
        f"{spread}.whenUnsatisfiable",
        f"{spread}.labelSelector",
    }


def test_a_key_that_has_a_default_need_not_be_said() -> None:
    short, full = {"spec": {"ports": [{"port": 80}]}}, {"spec": {"ports": [{"port": 80, "protocol": "TCP"}]}}
    changes = compare(SERVICE, short, full)
    assert set(fields.members(changes.added)) == {
        ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:protocol")
    }
    assert not changes.removed


def test_an_item_without_its_key_cannot_be_told_from_the_others() -> None:
    with pytest.raises(Undetermined):
        fields_of(POD, pod({"image": "i"}))
    with pytest.raises(Undetermined, match="duplicate entries"):
        check_unique(POD, pod(*named("a", "a")))


def test_differences_are_told_apart() -> None:
    old = pod({"name": "a", "image": "1", "tty": True}, {"name": "b"}, labels={"x": "1"})
    new = pod({"name": "a", "image": "2", "stdin": True}, {"name": "c"}, labels={"x": "1", "y": "2"})
    changes = compare(POD, old, new)
    shown = [{fields.shown(path) for path in fields.members(part)} for part in changes]
    assert shown == [
        {
            '.spec.containers[name="a"].stdin',
            '.spec.containers[name="c"]',
            '.spec.containers[name="c"].name',
            ".metadata.labels.y",
        },
        {'.spec.containers[name="a"].image'},
        {
            '.spec.containers[name="a"].tty',
            '.spec.containers[name="b"]',
            '.spec.containers[name="b"].name',
        },
    ]


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        ("", "ab", "ab"),
        ("ab", "b", "ab"),
        ("abc", "ca", "bca"),
        ("ab", "cb", "acb"),
        ("abcd", "dc", "abdc"),
        ("ab", "ba", "ba"),
    ],
)
def test_items_come_in_the_order_of_the_configuration(live: str, config: str, merged: str) -> None:
    found = merge(POD, pod(*named(*live)), pod(*named(*config)))
    assert "".join(entry["name"] for entry in found["spec"]["containers"]) == merged


def test_merging_changes_neither_side() -> None:
    live, config = pod({"name": "a", "image": "1"}), pod({"name": "a", "tty": True}, labels={"x": "1"})
    before = copy.deepcopy((live, config))
    assert merge(POD, live, config) == pod({"name": "a", "image": "1", "tty": True}, labels={"x": "1"})
    assert (live, config) == before


def test_taking_fields_out_leaves_what_holds_them() -> None:
    whole = pod({"name": "a", "image": "1"}, {"name": "b"}, labels={"x": "1"})
    gone = fields.tree(
        ("f:metadata", "f:labels", "f:x"),
        ("f:spec", "f:containers", 'k:{"name":"b"}'),
        ("f:spec", "f:containers", 'k:{"name":"a"}', "f:image"),
    )
    assert remove(POD, whole, gone) == pod({"name": "a"}, labels={})


CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")},
        optional={"image": st.sampled_from("12"), "env": st.just([{"name": "E", "value": "v"}])},
    ),
    max_size=3,
    unique_by=lambda entry: entry["name"],
)
PODS = st.builds(
    lambda containers, labels: pod(*containers, labels=labels),
    CONTAINERS,
    st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2),
)


@given(PODS, PODS)
def test_what_is_merged_in_is_there_and_nothing_else_has_changed(live: Obj, config: Obj) -> None:
    merged = merge(POD, live, config)
    assert merge(POD, merged, config) == merged
    assert not compare(POD, merge(POD, config, merged), merged).modified
    left = set(fields.members(compare(POD, config, merged).modified))
    assert left == set()
    assert not compare(POD, live, merged).removed
