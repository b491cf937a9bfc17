"""Expressions, as Kubernetes knows them."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from podium.api.cel import CompileError, EvaluationError, compile_expression, conform, escape, shaped


def value(expression: str, **values: Any) -> Any:
    return compile_expression(expression, tuple(values)).evaluate(values)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[1, 2, 3].sum()", 6),
        ("[3, 1, 2].min() + [3, 1, 2].max()", 4),
        ("[1, 2].isSorted() && ![2, 1].isSorted()", True),
        ("sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])", True),
        ("'ab12'.find('[0-9]+')", "12"),
        ("'a1b2c3'.findAll('[0-9]', 2)", ["1", "2"]),
        ("quantity('1Gi').isGreaterThan(quantity('1000Mi'))", True),
        ("quantity('0.5') == quantity('500m')", True),
        ("quantity('1').add(quantity('500m')).asApproximateFloat()", 1.5),
        ("isQuantity('5x')", False),
        ("jsonpatch.escapeKey('a/b~c')", "a~1b~0c"),
        ("'%s-%d'.format(['a', 1])", "a-1"),
        ("{'a': 1}.?b.orValue(2)", 2),
        ("cel.bind(x, 2, x * x)", 4),
    ],
)
def test_functions_have_their_values(expression: str, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("self.nope", "no such key: nope"),
        ("self.items[7]", "index out of bounds: 7"),
        ("1 / 0", "division by zero"),
        ("[].min()", "min called on empty list"),
        ("self.many.all(a, self.many.all(b, true))", "operation cancelled: actual cost limit exceeded"),
    ],
)
def test_what_has_no_value_says_why(expression: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        value(expression, self={"items": [1, 2], "many": [*range(9_000)]})


def test_what_is_no_expression_is_shown_where() -> None:
    with pytest.raises(CompileError) as refused:
        compile_expression("self.a == other", ("self",))
    assert str(refused.value).startswith("ERROR: <input>:1:11: undeclared reference to 'other'")


def test_an_expression_of_another_type_than_asked_for_is_refused() -> None:
    with pytest.raises(CompileError, match="must evaluate to bool"):
        compile_expression("'text'", (), ("bool",))
    assert compile_expression("self.any", ("self",), ("bool",)).returns == "dyn"


def test_a_program_knows_the_variables_it_uses() -> None:
    names = ("self", "oldSelf")
    assert compile_expression("self.a == oldSelf.a", names).names == {"self", "oldSelf"}
    assert compile_expression("self.all(oldSelf, oldSelf > 1)", names).names == {"self"}


def test_lazy_variables_are_asked_for_only_where_they_are_needed() -> None:
    asked: list[str] = []

    def variable(name: str) -> Any:
        asked.append(name)
        return {"b": 3}

    program = compile_expression("self.skip || variables.a.b == 3", ("self",), (), ("a",))
    assert program.evaluate({"self": {"skip": True}}, variable) is True
    assert asked == []
    assert program.evaluate({"self": {"skip": False}}, variable) is True
    assert asked == ["a"]


def test_objects_of_mutations_are_maps_with_what_was_said() -> None:
    source = "Object{spec: Object.spec{replicas: 3, ?gone: self.?gone}}"
    program = compile_expression(source, ("self",), ("map",), (), True)
    assert program.evaluate({"self": {}}) == {"spec": {"replicas": 3}}
    with pytest.raises(CompileError, match=r'unexpected type name "Object\.other"'):
        compile_expression("Object{spec: Object.other{}}", (), ("map",), (), True)


def test_values_are_shaped_by_their_schema() -> None:
    schema = {
        "properties": {
            "a-b": {"type": "number"},
            "wait": {"type": "string", "format": "duration"},
            "plain": {"type": "string"},
        }
    }
    assert shaped(schema)
    assert not shaped({"properties": {"plain": {"type": "string"}}})
    given = {"a-b": 1, "wait": "1h30m", "plain": "x"}
    assert conform(given, schema) == {
        "a__dash__b": 1.0,
        "wait": timedelta(hours=1, minutes=30),
        "plain": "x",
    }
    assert [escape(name) for name in ("in", "x.y", "1a")] == ["__in__", "x__dot__y", None]


def test_a_pattern_that_would_backtrack_takes_no_time() -> None:
    assert value("self.find('(a+)+$')", self="a" * 5_000 + "b") == ""
    assert value("self.matches('^(a+)+$')", self="a" * 5_000 + "b") is False


PARTS = ["1", "-1", "2.5", "'a'", "b'a'", "true", "null", "[1]", "['a']", "{'a': 1}", "self", "self.list",
         "1u", "timestamp('9999-12-31T23:59:59Z')", "duration('-2562047h')", "optional.none()",
         "quantity('1')", "ip('::1')", "type(1)", "9223372036854775807", "lists.range(3)"]  # fmt: skip
FORMS = ["{} + {}", "{} - {}", "{} == {}", "{} < {}", "{} in {}", "{{{}: {}}}", "[{}][{}]", "({}) ? ({}) : 1",
         "dyn({}).contains({})", "dyn({}).join({})", "sets.contains(dyn({}), dyn({}))", "dyn({}).indexOf({})",
         "dyn({}).replace({}, 'x')", "'%s %d'.format([{}, {}])", "[{}, {}].sort()", "[{}, {}].max()",
         "dyn({}).map(x, {})", "dyn({}).all(i, v, v == {})", "string(dyn({})) + string(dyn({}))",
         "dyn({}).substring({})", "dyn({})[?{}]", "dyn({}).getHours() == {}", "-dyn({}) == {}"]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_whatever_is_written_has_a_value_or_a_reason(form: str) -> None:
    pairs = [
        (one, PARTS[(place + turn) % len(PARTS)]) for place, one in enumerate(PARTS) for turn in (0, 3, 8)
    ]
    for one, other in pairs:
        with contextlib.suppress(CompileError, EvaluationError):
            program = compile_expression(form.format(one, other), ("self",))
            program.evaluate({"self": {"list": [1, "a", None, {}], "deep": {"er": []}}})
