"""Expressions held against types, with the macros that the library's checker does not know."""

from __future__ import annotations

import pytest

from podium.api.cel.typed import Checker
from podium.api.schema.walk import STRING, Field, Type

INT = Type("integer", int)
LIST, MAP = Type("list", list, item=INT), Type("map", dict, item=STRING)
LISTS = Type("list", list, item=LIST)
SELF = Type("object", dict)
SELF.fields = {"l": Field(LIST), "m": Field(MAP), "s": Field(STRING), "ll": Field(LISTS)}


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker(("self", "any"), {"self": SELF})


@pytest.mark.parametrize(
    "source",
    [
        "self.l.all(i, v, i < v)",
        "self.m.all(k, v, k == v)",
        "self.ll.all(i, l, l.all(j, v, v > i + j))",
        "self.m.transformList(k, v, k + v).size() > 0",
        "self.l.transformMap(i, v, 'x')[0] == 'x'",
        "self.m.transformMap(k, v, 1)['a'] == 1",
        "self.m.transformMapEntry(k, v, {v: k}).size() == 1",
        "self.l.sortBy(v, -v) == self.l",
        "self.l.transformList(i, v, v > 1, i + v).exists_one(i, v, v == i)",
        "self.l.existsOne(i, v, v == i) || self.l.exists(i, v, v == i)",
        "any.all(i, v, v == 1 && i == 'a')",
        "self.l.filter(y, y > 1).all(i, v, v == 1) && (self.l + self.l)[0] == 1",
        "[self.m].all(m, m.all(k, v, k == v))",
        "self.l.map(z, z).sortBy(q, q).all(i, v, v == 1) ? true : false",
        "{'a': self.l}['a'].all(i, v, v == 1)",
        "[[1], [2]][0].all(i, v, v == 1)",
    ],
)
def test_what_is_right_is_taken(checker: Checker, source: str) -> None:
    assert checker.fault(source, "bool") == ""


@pytest.mark.parametrize(
    ("source", "column", "why"),
    [
        ("self.l.all(i, v, v == 'a')", 20,
         "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.m.all(k, v, v == 1)", 20, "found no matching overload for '_==_' applied to '(string, int)'"),
        ("self.l.all(i, v, i.foo)", 19, "type 'int' does not support field selection"),
        ("self.l.transformList(i, v, v.foo) == [1]", 29, "type 'int' does not support field selection"),
        ("self.m.transformMap(k, v, 1)['a'] == 'b'", 35,
         "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.l.sortBy(v, v.foo) == self.l", 19, "type 'int' does not support field selection"),
        ("self.l.sortBy(v, [v]) == self.l", 21,
         "found no matching overload for '_<_' applied to '(list(int), list(int))'"),
        ("self.s.all(i, v, true)", 5,
         "expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)"),
        ("self.l.exists(i, v, y == 1)", 21, "undeclared reference to 'y' (in container '')"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_is(checker: Checker, source: str, column: int, why: str) -> None:
    pointer = "." * (column - 1) + "^"
    assert checker.fault(source, "bool") == f"ERROR: <input>:1:{column}: {why}\n | {source}\n | {pointer}"


def test_the_type_of_a_whole_expression_with_such_macros_counts(checker: Checker) -> None:
    assert checker.fault("self.l.transformList(i, v, v)", "bool") == "must evaluate to bool"
    assert checker.fault("self.l.sortBy(v, v)", "bool") == "must evaluate to bool"


def test_thousands_of_such_macros_are_left_to_the_evaluation(checker: Checker) -> None:
    assert checker.fault(" || ".join(["self.l.all(i, v, v == 'a')"] * 2_000), "bool") == ""
