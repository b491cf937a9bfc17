"""What a policy's expressions see of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podium.api.cel import Budget, EvaluationError, compile_expression
from podium.api.types import Obj

NAMES = ("object", "oldObject", "request", "params", "namespaceObject", "authorizer")


class Evaluation:
    """One policy's expressions over one request and one of its parameters. A variable is evaluated when the
    first expression asks for it, and once."""

    def __init__(self, spec: Obj, values: Mapping[str, Any]) -> None:
        self._values = values
        self._expressions = {entry["name"]: entry["expression"] for entry in spec.get("variables") or ()}
        self._order = tuple(self._expressions)
        self._found: dict[str, Any] = {}
        self._budget = Budget()

    def value(self, expression: str, returns: tuple[str, ...] = (), *, structs: bool = False) -> Any:
        """Raises CompileError, EvaluationError."""
        return self._evaluate(expression, self._order, returns, structs)

    def _evaluate(
        self, expression: str, known: tuple[str, ...], returns: tuple[str, ...], structs: bool
    ) -> Any:
        program = compile_expression(expression, NAMES, returns, known, structs)
        return program.evaluate(self._values, self._variable, self._budget)

    def _variable(self, name: str) -> Any:
        if name not in self._found:
            # Only those before it: no variable can depend on itself.
            before = self._order[: self._order.index(name)]
            try:
                self._found[name] = self._evaluate(self._expressions[name], before, (), False)
            except EvaluationError as error:
                raise EvaluationError(f'composited variable "{name}" fails to evaluate: {error}') from None
        return self._found[name]


def visible(namespace: Obj | None) -> Obj | None:
    """What policies get to know of a namespace."""
    if namespace is None:
        return None
    meta = {key: value for key, value in namespace["metadata"].items() if key != "managedFields"}
    return {"apiVersion": "v1", "kind": "Namespace", **namespace, "metadata": meta}
