"""Macros that go over lists and maps. The library's parser writes the common ones out as folds, which are
recognised by their shape here, because a fold that adds to a list copies it at each turn; those over two
variables come as calls.

Source: CEL language definition, "Macros"; docs, "CEL options, language features and libraries".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cmp_to_key
from typing import Any

from podium.api.cel import syntax
from podium.api.cel.errors import CompileError, CostExceeded, EvaluationError
from podium.api.cel.frames import Frame, Run
from podium.api.cel.kinds import overload
from podium.api.cel.operators import order

Build = Callable[[Any, frozenset[str]], Run]
Turns = Iterable[tuple[Any, Any]]
# What a turn costs besides what is evaluated in it: the test to go on, the step, what is added to a list.
TURN, ADDED = 3, 12
_MISSING = object()


def comprehension(build: Build, loop: Any, bound: frozenset[str]) -> Run:
    if syntax.is_bind(loop):
        return _bind(loop.accu_var, build(loop.accu_init, bound), build(loop.result, bound | {loop.accu_var}))
    over = build(loop.iter_range, bound)
    inner = bound | {loop.iter_var}
    names = ("", loop.iter_var)
    step = loop.loop_step.call_expr
    match loop.accu_init.WhichOneof("kind"):
        case "const_expr" if loop.accu_init.const_expr.WhichOneof("kind") == "bool_value":
            return _quantified(over, names, build(step.args[1], inner), loop.accu_init.const_expr.bool_value)
        case "const_expr":
            return _exactly_one(over, names, build(step.args[0], inner))
    if step.function == "_+_":
        return _mapped(over, names, None, build(step.args[1].list_expr.elements[0], inner))
    added = step.args[1].call_expr.args[1].list_expr.elements[0]
    return _mapped(over, names, build(step.args[0], inner), build(added, inner))


def macro(build: Build, call: Any, bound: frozenset[str]) -> Run | None:
    """None for what is an ordinary call."""
    if not is_macro(call):
        return None
    over = build(call.target, bound)
    names = [each.ident_expr.name for each in call.args[: 1 if call.function == "sortBy" else 2]]
    inner = bound | set(names)
    rest = [build(each, inner) for each in call.args[len(names) :]]
    if call.function == "sortBy":
        return _sorted_by(over, names[0], rest[0])
    first, second = names
    if first == second:
        raise CompileError(f"duplicate variable name: {first}")
    condition, body = (None, rest[0]) if len(rest) == 1 else (rest[0], rest[1])
    match call.function:
        case "all":
            return _quantified(over, (first, second), body, True)
        case "exists":
            return _quantified(over, (first, second), body, False)
        case "existsOne" | "exists_one":
            return _exactly_one(over, (first, second), body)
        case "transformList":
            return _mapped(over, (first, second), condition, body)
    return _transformed(over, (first, second), condition, body, entry=call.function == "transformMapEntry")


MACROS = {
    "all": (3,),
    "exists": (3,),
    "existsOne": (3,),
    "exists_one": (3,),
    "transformList": (3, 4),
    "transformMap": (3, 4),
    "transformMapEntry": (3, 4),
    "sortBy": (2,),
}


def is_macro(call: Any) -> bool:
    """One that the library's parser does not know."""
    if len(call.args) not in MACROS.get(call.function, ()) or not call.HasField("target"):
        return False
    count = 1 if call.function == "sortBy" else 2
    return all(each.WhichOneof("kind") == "ident_expr" for each in call.args[:count])


def gives_bool(expr: Any) -> bool:
    return bool(expr.call_expr.function in ("all", "exists", "existsOne", "exists_one"))


def _turns(holder: Any, two: bool) -> Turns:
    if isinstance(holder, Mapping):
        return holder.items() if two else ((None, key) for key in holder)
    if isinstance(holder, (list, tuple)):
        return enumerate(holder)
    raise overload()


class _Scope:
    """The loop's variables, which hide those of the same name until it ends."""

    def __init__(self, frame: Frame, names: Iterable[str]) -> None:
        self._values = frame.values
        self._hidden = [(name, frame.values.get(name, _MISSING)) for name in names]

    def __enter__(self) -> dict[str, Any]:
        return self._values

    def __exit__(self, *_: object) -> None:
        for name, value in self._hidden:
            if value is _MISSING:
                self._values.pop(name, None)
            else:
                self._values[name] = value


def _bind(name: str, value: Run, result: Run) -> Run:
    def run(frame: Frame) -> Any:
        frame.charge(10)
        given = value(frame)
        with _Scope(frame, (name,)) as values:
            values[name] = given
            return result(frame)

    return run


def _quantified(over: Run, names: tuple[str, str], predicate: Run, every: bool) -> Run:
    """Whether it holds for all, or for any. The element that decides wins over errors of others."""
    first, second = names

    def run(frame: Frame) -> Any:
        failure: EvaluationError | None = None
        turns = _turns(over(frame), bool(first))
        with _Scope(frame, names) as values:
            for one, other in turns:
                frame.charge(TURN)
                values[first], values[second] = one, other
                try:
                    holds = predicate(frame)
                except CostExceeded:
                    raise
                except EvaluationError as error:
                    failure = error
                    continue
                if holds is not every:
                    if holds is not (not every):
                        failure = overload()
                        continue
                    return not every
        if failure is not None:
            raise failure
        return every

    return run


def _exactly_one(over: Run, names: tuple[str, str], predicate: Run) -> Run:
    first, second = names

    def run(frame: Frame) -> Any:
        found = 0
        turns = _turns(over(frame), bool(first))
        with _Scope(frame, names) as values:
            for one, other in turns:
                frame.charge(TURN)
                values[first], values[second] = one, other
                found += _truth(predicate(frame))
        return found == 1

    return run


def _mapped(over: Run, names: tuple[str, str], condition: Run | None, value: Run) -> Run:
    first, second = names

    def run(frame: Frame) -> Any:
        made = []
        turns = _turns(over(frame), bool(first))
        with _Scope(frame, names) as values:
            for one, other in turns:
                values[first], values[second] = one, other
                if condition is None or _truth(condition(frame)):
                    frame.charge(ADDED)
                    made.append(value(frame))
                else:
                    frame.charge(TURN)
        return made

    return run


def _transformed(over: Run, names: tuple[str, str], condition: Run | None, value: Run, *, entry: bool) -> Run:
    first, second = names

    def run(frame: Frame) -> Any:
        made: dict[Any, Any] = {}
        turns = _turns(over(frame), True)
        with _Scope(frame, names) as values:
            for one, other in turns:
                values[first], values[second] = one, other
                if condition is not None and not _truth(condition(frame)):
                    frame.charge(TURN)
                    continue
                frame.charge(ADDED)
                _insert(made, value(frame) if entry else {one: value(frame)})
        return made

    return run


def _insert(made: dict[Any, Any], entries: Any) -> None:
    if not isinstance(entries, Mapping):
        raise overload()
    for key, value in entries.items():
        if key in made:
            raise EvaluationError(f"insert failed: key {key} already exists")
        made[key] = value


def _compared(one: tuple[Any, Any], other: tuple[Any, Any]) -> int:
    return order(one[0], other[0])


_by_key = cmp_to_key(_compared)


def _sorted_by(over: Run, name: str, key: Run) -> Run:
    def run(frame: Frame) -> Any:
        given = over(frame)
        keyed: list[tuple[Any, Any]] = []
        with _Scope(frame, (name,)) as values:
            for _, item in _turns(given, False):
                frame.charge(ADDED)
                values[name] = item
                keyed.append((key(frame), item))
        keyed.sort(key=_by_key)
        return [item for _, item in keyed]

    return run


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise overload()
