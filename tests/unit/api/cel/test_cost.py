"""What expressions cost: estimated from schemas, and counted while they are evaluated."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from podium.api.cel import Budget, CostExceeded, compile_expression
from podium.api.cel.estimate import estimate, too_costly
from podium.api.cel.patience import patiently
from podium.api.cel.sizes import shape

NUMBERS = {"type": "array", "items": {"type": "number"}}
TEXTS = {"type": "array", "items": {"type": "string"}}
TEXT = {"type": "string"}
PATH = "spec.versions[0].schema.openAPIV3Schema"


@pytest.mark.parametrize(
    ("schema", "rule", "cost"),
    [
        (NUMBERS, "self.all(x, true)", 4_718_591),
        (NUMBERS | {"maxItems": 10}, "self.all(x, true)", 32),
        (TEXTS, "self.all(x, true)", 3_145_727),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "self.all(x, true)", 1_348_169),
        (TEXTS, "self.join(' ') == 'aa bb'", 329_853_068_905),
        (TEXTS, "self.isSorted() == true", 329_854_432_052),
        (TEXT, "self.lowerAscii() == 'lower!'", 314_575),
        (TEXT | {"maxLength": 10}, "self.lowerAscii() == 'lower!'", 6),
        (TEXT | {"enum": ["A", "LongValue"]}, "self.contains('A')", 2),
        ({"x-kubernetes-int-or-string": True, "maxLength": 20}, "isQuantity(self)", 9),
    ],
)
def test_the_estimate_is_what_kubernetes_estimates(schema: dict[str, Any], rule: str, cost: int) -> None:
    found = shape(schema)
    assert found is not None
    assert estimate(rule, {"self": found}) == cost


def nested(**limits: int) -> dict[str, Any]:
    inner = {**TEXTS, **limits, "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a == b))"}]}
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": {"names": inner}}}}


def test_a_rule_whose_cost_has_no_bound_is_refused_with_the_advice_to_bound_it() -> None:
    causes = too_costly(nested(), PATH)
    where = f"{PATH}.properties[spec].properties[names].x-kubernetes-validations[0].rule"
    assert [cause.field for cause in causes] == [where, where, PATH]
    assert "estimated rule cost exceeds budget by factor of more than 100x (try simplifying" in (
        causes[0].message
    )
    assert "contributed to estimated rule cost total" in causes[1].message
    assert "estimated rule cost total for entire OpenAPIv3 schema exceeds" in causes[2].message


def test_the_same_rule_with_bounds_is_taken() -> None:
    schema = nested(maxItems=10)
    schema["properties"]["spec"]["properties"]["names"]["items"] = {"type": "string", "maxLength": 20}
    assert too_costly(schema, PATH) == []


def test_a_schema_that_was_taken_once_is_judged_by_its_sum_alone() -> None:
    schema = nested(maxItems=2_000)
    assert [cause.field for cause in too_costly(schema, PATH, judge_each=False)][-1] == PATH


@pytest.mark.parametrize(
    "expression",
    [
        "self.all(a, self.all(b, a + b > -1))",
        "self.map(a, self.map(b, b)).size() > 0",
        "self.exists(a, self == self && a < 0)",
        "cel.bind(t, self.map(a, string(a)).join('x'), t.replace('', t)).size() > 0",
        "self.transformList(i, v, self.filter(x, x != v)).size() > 0",
    ],
)
def test_what_costs_too_much_is_stopped(expression: str) -> None:
    program = compile_expression(expression, ("self",))
    with pytest.raises(CostExceeded, match="operation cancelled: actual cost limit exceeded"):
        program.evaluate({"self": [*range(5_000)]})


def test_a_loop_over_many_items_costs_time_in_proportion() -> None:
    program = compile_expression("self.map(x, x + 1).filter(x, x > 0).size()", ("self",))
    assert program.evaluate({"self": [*range(30_000)]}) == 30_000


def test_expressions_that_belong_together_share_a_budget() -> None:
    program = compile_expression("self.all(x, x >= 0)", ("self",))
    budget = Budget(100_000)
    values = {"self": [*range(10_000)]}
    program.evaluate(values, budget=budget)
    with pytest.raises(CostExceeded, match="running out of cost budget"):
        program.evaluate(values, budget=budget)


def test_a_long_evaluation_goes_on_beside_the_event_loop() -> None:
    program = compile_expression("self.all(x, x >= 0)", ("self",))
    where: list[str] = []

    def work(count: int) -> bool:
        where.append(threading.current_thread().name)
        return bool(program.evaluate({"self": [*range(count)]}))

    async def both() -> None:
        assert await patiently(lambda: work(10))
        assert await patiently(lambda: work(50_000))

    asyncio.run(both())
    assert where[:2] == ["MainThread", "MainThread"]
    assert where[2] != "MainThread"


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)+$", "^([a-zA-Z]+)*$"])
def test_a_pattern_cannot_make_its_search_explode(pattern: str) -> None:
    program = compile_expression(f"self.matches(r'{pattern}')", ("self",))
    begun = time.process_time()
    assert program.evaluate({"self": "a" * 5_000 + "!"}) is False
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "expression",
    ["lists.range(2000000).size() > 0", "lists.range(9223372036854775807) == []", "self + self == self"],
)
def test_no_list_grows_without_bound(expression: str) -> None:
    with pytest.raises(CostExceeded):
        compile_expression(expression, ("self",)).evaluate({"self": [*range(600_000)]})
