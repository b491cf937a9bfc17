"""RFC 6902: every operation, its failures, and that nothing handed in changes."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.api.schema.patches import json_patch, merge_patch
from podium.api.types.errors import StatusError

DOC: dict[str, Any] = {"a": {"b": [1, 2, 3], "c/d": {"~": "x"}}, "n": None, "t": True}

APPLIES: dict[str, tuple[list[dict[str, Any]], str, Any]] = {
    "add to an object": ([{"op": "add", "path": "/a/new", "value": 1}], "/a/new", 1),
    "add replaces a member": ([{"op": "add", "path": "/t", "value": 1}], "/t", 1),
    "add inserts": ([{"op": "add", "path": "/a/b/1", "value": 9}], "/a/b", [1, 9, 2, 3]),
    "add appends": ([{"op": "add", "path": "/a/b/-", "value": 9}], "/a/b", [1, 2, 3, 9]),
    "add at the length appends": ([{"op": "add", "path": "/a/b/3", "value": 9}], "/a/b", [1, 2, 3, 9]),
    "remove from a list": ([{"op": "remove", "path": "/a/b/0"}], "/a/b", [2, 3]),
    "replace in a list": ([{"op": "replace", "path": "/a/b/0", "value": 7}], "/a/b", [7, 2, 3]),
    "escapes": ([{"op": "replace", "path": "/a/c~1d/~0", "value": "y"}], "/a/c~1d/~0", "y"),
    "move": ([{"op": "move", "from": "/a/b", "path": "/z"}], "/z", [1, 2, 3]),
    "copy": ([{"op": "copy", "from": "/a/b", "path": "/z"}], "/z", [1, 2, 3]),
    "test passes": ([{"op": "test", "path": "/a/b", "value": [1, 2, 3]}], "/t", True),
    "test of the absent against null": ([{"op": "test", "path": "/q", "value": None}], "/t", True),
}

FAILS: dict[str, tuple[Any, int]] = {
    "test fails": ([{"op": "test", "path": "/t", "value": 1}], 422),
    "remove what is absent": ([{"op": "remove", "path": "/q"}], 422),
    "replace what is absent": ([{"op": "replace", "path": "/q", "value": 1}], 422),
    "add below what is absent": ([{"op": "add", "path": "/q/r", "value": 1}], 422),
    "index beyond the list": ([{"op": "add", "path": "/a/b/4", "value": 1}], 422),
    "index with a leading zero": ([{"op": "remove", "path": "/a/b/01"}], 422),
    "below a scalar": ([{"op": "add", "path": "/t/x", "value": 1}], 422),
    "move into itself": ([{"op": "move", "from": "/a", "path": "/a/b"}], 422),
    "the whole document removed": ([{"op": "remove", "path": ""}], 422),
    "the whole document no object": ([{"op": "replace", "path": "", "value": 1}], 422),
    "unknown operation": ([{"op": "explode", "path": "/t"}], 400),
    "no path": ([{"op": "remove"}], 400),
    "path is no pointer": ([{"op": "remove", "path": "t"}], 400),
    "no from": ([{"op": "move", "path": "/t"}], 400),
    "no value": ([{"op": "add", "path": "/t"}], 400),
    "no list": ({"op": "add"}, 400),
    "no operations in it": ([1], 400),
    "too many": ([{"op": "test", "path": "/t", "value": True}] * 10_001, 413),
    "a pointer too deep": ([{"op": "add", "path": "/a" * 5000, "value": 1}], 400),
    "a document made too deep": (
        [{"op": "add", "path": "/l", "value": {}}]
        + [
            step
            for _ in range(300)
            for step in (
                {"op": "add", "path": "/m", "value": {}},
                {"op": "move", "from": "/l", "path": "/m/l"},
                {"op": "move", "from": "/m", "path": "/l"},
            )
        ],
        422,
    ),
    "copies that double": (
        [{"op": "add", "path": "/l", "value": [1, 2, 3, 4]}]
        + [{"op": "copy", "from": "/l", "path": "/l/-"}] * 40,
        413,
    ),
}


def lookup(doc: Any, path: str) -> Any:
    for token in path.split("/")[1:]:
        doc = doc[token.replace("~1", "/").replace("~0", "~")]
    return doc


@pytest.mark.parametrize("name", APPLIES)
def test_an_operation_applies_to_a_copy(name: str) -> None:
    operations, path, wanted = APPLIES[name]
    before = copy.deepcopy((DOC, operations))
    assert lookup(json_patch(DOC, operations), path) == wanted
    assert (DOC, operations) == before


@pytest.mark.parametrize("name", FAILS)
def test_what_does_not_apply_is_refused_whole(name: str) -> None:
    operations, code = FAILS[name]
    before = copy.deepcopy(DOC)
    with pytest.raises(StatusError) as refused:
        json_patch(DOC, operations)
    assert refused.value.code == code
    assert before == DOC
    if code == 422:
        assert refused.value.message == "the server rejected our request due to an error in our request"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=2), json_values, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(entry) for key, entry in value.items() if entry is not None}
    return value


@given(objects, objects)
def test_a_merge_patch_applied_twice_is_the_same_as_once(doc: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((doc, patch))
    once = merge_patch(doc, patch)
    assert merge_patch(once, patch) == once
    assert (doc, patch) == before


@given(objects)
def test_a_merge_patch_onto_nothing_is_the_patch_without_its_nulls(patch: dict[str, Any]) -> None:
    assert merge_patch({}, patch) == without_nulls(patch)


@given(objects, objects)
def test_replacing_the_whole_document_gives_the_new_one(doc: dict[str, Any], new: dict[str, Any]) -> None:
    assert json_patch(doc, [{"op": "replace", "path": "", "value": new}]) == new


def test_a_merge_patch_must_be_an_object() -> None:
    with pytest.raises(StatusError) as refused:
        merge_patch({}, [1])
    assert refused.value.code == 400


def test_operations_that_follow_each_other_leave_the_patch_as_it_was() -> None:
    operations = [
        {"op": "add", "path": "/new", "value": {"list": []}},
        *({"op": "add", "path": "/new/list/-", "value": n} for n in range(3)),
        {"op": "copy", "from": "/new", "path": "/other"},
        {"op": "add", "path": "/other/list/0", "value": "first"},
    ]
    given, doc = copy.deepcopy(operations), copy.deepcopy(DOC)
    for _ in range(2):
        patched = json_patch(doc, operations)
        assert (patched["new"], patched["other"]) == ({"list": [0, 1, 2]}, {"list": ["first", 0, 1, 2]})
    assert (operations, doc) == (given, DOC)


def test_copies_may_add_so_many_bytes_and_no_more() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/x{n}"} for n in range(60)]
    long = [{"op": "add", "path": "/s", "value": "x" * 1_000_000}]
    long += [{"op": "copy", "from": "/s", "path": f"/s{n}"} for n in range(4)]
    for operations in (doubling, long):
        with pytest.raises(StatusError) as refused:
            json_patch(DOC, operations)
        assert (refused.value.code, refused.value.reason) == (413, "RequestEntityTooLarge")


def test_ten_thousand_operations_on_a_wide_object_take_no_time() -> None:
    wide = {"data": {f"k{n}": "v" for n in range(20_000)}}
    operations = [{"op": "add", "path": f"/data/k{n}", "value": "w"} for n in range(10_000)]
    began = time.process_time()
    assert json_patch(wide, operations)["data"]["k9999"] == "w"
    assert time.process_time() - began < 1
