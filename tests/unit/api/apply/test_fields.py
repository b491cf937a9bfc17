"""Sets of fields behave like sets of paths, however they are nested."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.api.apply import fields
from podium.api.apply.fields import Fields, Path

PATHS = st.lists(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']), min_size=1, max_size=4).map(
    tuple
)
SETS = st.sets(PATHS, max_size=8)


def tree(paths: set[Path]) -> Fields:
    return fields.tree(*paths)


def paths(found: Fields) -> set[Path]:
    return set(fields.members(found))


@given(SETS)
def test_a_set_holds_what_was_put_in(one: set[Path]) -> None:
    assert paths(tree(one)) == one


@given(SETS, SETS)
def test_sets_are_joined_cut_and_taken_apart_like_sets(one: set[Path], two: set[Path]) -> None:
    first, second = tree(one), tree(two)
    before = copy.deepcopy((first, second))
    assert paths(fields.union(first, second)) == one | two
    assert paths(fields.difference(first, second)) == one - two
    assert paths(fields.intersection(first, second)) == one & two
    assert (first, second) == before


@given(SETS, SETS)
def test_what_is_left_out_goes_with_everything_below_it(one: set[Path], roots: set[Path]) -> None:
    left = {path for path in one if not any(path[: len(root)] == root for root in roots)}
    assert paths(fields.without_trees(tree(one), tree(roots))) == left


def test_a_path_is_shown_as_messages_have_it() -> None:
    path = ("f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert fields.shown(path) == '.spec.ports[containerPort=80,protocol="TCP"].name'
    assert fields.shown(("f:finalizers", 'v:"a/b"')) == '.finalizers[="a/b"]'
    assert fields.shown(("f:list", "i:3")) == ".list[3]"


@pytest.mark.parametrize(
    "made_up",
    [
        {"f:a": 1},
        {"f:a": None},
        {"a": {}},
        {".": {"f:a": {}}},
        {"k:x": {}},
        {"k:[]": {}},
        {"i:x": {}},
        {"v:": {}},
        [],
        "x",
    ],
)
def test_what_is_no_set_of_fields_is_refused(made_up: object) -> None:
    with pytest.raises(ValueError, match=r"set of fields|JSON|line 1"):
        fields.check(made_up)


def test_a_set_of_fields_is_one() -> None:
    fields.check({".": {}, "f:a": {'k:{"name":"x"}': {".": {}, "f:b": {}}, 'v:"x"': {}, "i:0": {}}})
