"""Rules of a schema, held against the type of what they are about, when the schema is new."""

from __future__ import annotations

import pytest

from podium.api.extensions.expressions import check_rules
from podium.api.types import Obj

STRING: Obj = {"type": "string", "maxLength": 10}
STRINGS: Obj = {"type": "array", "maxItems": 5, "items": STRING}
NUMBERS: Obj = {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer"}}
OVERLOAD = "found no matching overload for '{}' applied to '({})'"


def faults(node: Obj, rule: str) -> list[str]:
    schema = {
        "type": "object",
        "properties": {"f": {**node, "x-kubernetes-validations": [{"rule": rule}]}},
    }
    found = [cause.message.partition("compilation failed: ") for cause in check_rules(schema, "s")]
    return [why for _, failed, why in found if failed]


@pytest.mark.parametrize(
    ("node", "rule"),
    [
        (STRING, "self.startsWith('a') && self.size() > 1 && self != oldSelf"),
        (STRINGS, "self.all(x, x.size() > 1) && self[0] == 'a' && 'b' in self"),
        (STRINGS, "self.all(i, v, i < 3 && v != '')"),
        (NUMBERS, "self.all(k, self[k] > 1 && k != '') && self.x == 1"),
        ({"type": "number"}, "self > 1 && self <= 2.5 && self != 3.0 && self + 1.0 > 0.0"),
        ({"type": "boolean"}, "self"),
        ({"x-kubernetes-int-or-string": True}, "self == 1 || self == 'a' || type(self) == string"),
        ({**STRING, "format": "date-time"}, "self > timestamp('2020-01-01T00:00:00Z')"),
        ({**STRING, "format": "duration"}, "self > duration('1s') && self.getSeconds() > 1"),
        ({**STRING, "format": "byte"}, "self == b'a' && self.size() > 1"),
    ],
)
def test_a_rule_may_do_what_the_type_of_its_node_can(node: Obj, rule: str) -> None:
    assert faults(node, rule) == []


@pytest.mark.parametrize(
    ("node", "rule", "column", "why"),
    [
        (STRING, "self == 5", 6, OVERLOAD.format("_==_", "string, int")),
        (STRING, "self.foo == 1", 5, "type 'string' does not support field selection"),
        (STRING, "self.all(x, x)", 1, "expression of type 'string' cannot be range of a comprehension "
         "(must be list, map, or dynamic)"),
        (STRINGS, "self.all(x, x == 1)", 15, OVERLOAD.format("_==_", "string, int")),
        (STRINGS, "self.all(i, v, v == 1)", 18, OVERLOAD.format("_==_", "string, int")),
        (STRINGS, "self.foo", 5, "type 'list(string)' does not support field selection"),
        (NUMBERS, "self.a == 'b'", 8, OVERLOAD.format("_==_", "int, string")),
        (NUMBERS, "1 in self", 3, OVERLOAD.format("@in", "int, map(string, int)")),
        ({"type": "number"}, "self == 1", 6, OVERLOAD.format("_==_", "double, int")),
        ({"type": "boolean"}, "self + 1 == 2", 6, OVERLOAD.format("_+_", "bool, int")),
        ({**STRING, "format": "date-time"}, "self == 'a'", 6, OVERLOAD.format("_==_", "timestamp, string")),
    ],
)  # fmt: skip
def test_a_rule_that_its_node_cannot_have_is_refused(node: Obj, rule: str, column: int, why: str) -> None:
    pointer = "." * (column - 1) + "^"
    assert faults(node, rule) == [f"ERROR: <input>:1:{column}: {why}\n | {rule}\n | {pointer}"]


def test_a_rule_has_to_be_a_truth() -> None:
    assert faults(STRING, "self") == ["must evaluate to bool"]
