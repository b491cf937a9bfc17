"""Expressions that are nested more deeply than the library's parser goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podium.api.cel import CompileError, compile_expression
from podium.api.cel.parsing import parse
from podium.api.cel.patience import patiently
from podium.api.cel.programs import parse as library

ALIKE = [
    "a + b * c - d % e / f",
    "a || b && c || d && e && f || g",
    "(a || b) || c",
    "a ? b : c ? d : e",
    "(a ? b : c) ? d : e",
    "!a && !!b || -c < --d",
    "-1 - -1 + 0x1F - 1u + 1.5e3 + .5",
    "a.b.c[0].d[?1].?e.`f-g`",
    "a in [1, 2,] && b in {'x': 1, 'y': 2,}",
    "[?a, b, ?c] == {?'k': v}",
    r"""'it\'s' + "\u00e9\x41\101\n" + r'\d' + '''a
b''' """,
    r"""b'\xff\303é' + br'\x'""",
    "Object{spec: Object.spec{replicas: 1}}",
    "has(a.b) && a.all(x, x > 0) && a.exists(x, x.y) && a.exists_one(x, x)",
    "a.map(x, x + 1) + a.map(x, x > 1, x) + a.filter(x, x > 1)",
    "a.all(i, v, v > i) && a.transformMap(k, v, v)",
    "cel.bind(a, 1, a + b)",
    "a.optMap(v, v + 1).orValue(2) + a.optFlatMap(v, optional.of(v))",
    "quantity('1').isLessThan(x) // and that is it",
    ".a.b(1).c == null || true || false",
]


def plain(expr: Any) -> Any:
    """A tree in nothing but tuples."""
    kind = expr.WhichOneof("kind")
    part = getattr(expr, kind)
    match kind:
        case "const_expr":
            which = part.WhichOneof("kind")
            return which, which != "null_value" and getattr(part, which)
        case "ident_expr":
            return part.name
        case "select_expr":
            return plain(part.operand), part.field, bool(part.test_only)
        case "call_expr":
            target = plain(part.target) if part.HasField("target") else None
            return part.function, target, *map(plain, part.args)
        case "list_expr":
            return kind, tuple(part.optional_indices), *map(plain, part.elements)
        case "struct_expr":
            return kind, part.message_name, *map(entry, part.entries)
    parts = ("iter_range", "accu_init", "loop_condition", "loop_step", "result")
    return part.iter_var, part.accu_var, *(plain(getattr(part, name)) for name in parts)


def entry(given: Any) -> Any:
    key = given.field_key or plain(given.map_key)
    return key, plain(given.value), bool(given.optional_entry)


@pytest.mark.parametrize("source", ALIKE)
def test_the_tree_is_the_same_as_the_librarys(source: str) -> None:
    assert plain(parse(source)) == plain(library(source))


@pytest.mark.parametrize(
    "source",
    ["", "a b", "(a", "a)", "[1", "{1}", "a.", "a..b", "a.in", "in", "a ? b", "1a", "'a", '"\n"', "$", "for",
     "has(a)", "99999999999999999999", "-9223372036854775809", "18446744073709551616u", "a.true"],
)  # fmt: skip
def test_what_the_library_does_not_take_is_not_taken(source: str) -> None:
    for reader in (parse, library):
        with pytest.raises(CompileError):
            reader(source)


def deep(levels: int) -> dict[str, tuple[str, Any]]:
    turns = "".join(f"[{number}].map(x{number}, " for number in range(levels))
    return {
        "sum": ("1" + " + 1" * levels, levels + 1),
        "parentheses": ("(" * levels + "n" + ")" * levels, 1),
        "negation": ("!(" * levels + "true" + ")" * levels, levels % 2 == 0),
        "fields": ("deep" + ".a" * levels, {}),
        "choices": ("n == 2 ? 0 : " * levels + "n", 1),
        "lists": ("[" * levels + "n" + "]" * levels + " == 1", False),
        "calls": ("string(" * levels + "n" + ")" * levels, "1"),
        "loops": (turns + "x0" + ")" * levels + " == []", False),
    }


@pytest.mark.parametrize("name", deep(1))
@pytest.mark.parametrize("levels", [33, 240])
async def test_two_hundred_levels_are_not_too_many(name: str, levels: int) -> None:
    source, expected = deep(levels)[name]
    below: Any = {}
    for _ in range(levels):
        below = {"a": below}

    def evaluated() -> Any:
        return compile_expression(source, ("n", "deep")).evaluate({"n": 1, "deep": below})

    assert await patiently(evaluated) == expected


@pytest.mark.parametrize("name", deep(1))
@pytest.mark.parametrize("levels", [300, 5_000])
async def test_more_are_refused(name: str, levels: int) -> None:
    source, _ = deep(levels)[name]
    with pytest.raises(CompileError, match=r"recursion|too deeply|size exceeds"):
        await asyncio.to_thread(compile_expression, source, ("n", "deep"))
