"""One evaluation: its variables, and what it has cost so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from podium.api.cel.errors import CostExceeded

# What one evaluation may cost.
CALL_LIMIT = 1_000_000
# What all expressions that belong together may: a policy's for one binding, a custom resource's rules.
BUDGET = 10_000_000
# What the matchConditions of one webhook or binding may.
CONDITIONS_BUDGET = 2_500_000

Variables = Callable[[str], Any]


class Budget:
    """Of several evaluations together. One unit is about a quarter of a microsecond."""

    def __init__(self, limit: int = BUDGET) -> None:
        self.left = limit

    def spend(self, cost: int) -> None:
        """Raises CostExceeded."""
        self.left -= cost
        if self.left < 0:
            raise CostExceeded(
                "validation failed due to running out of cost budget, no further validation rules will be run"
            )


class Frame:
    """`values` are the variables with those of the loops around; it is the evaluation's own."""

    __slots__ = ("cost", "limit", "values", "variables")

    def __init__(self, values: Mapping[str, Any], variables: Variables | None, limit: int) -> None:
        self.values = dict(values)
        self.variables = variables
        self.cost = 0
        self.limit = limit

    def charge(self, cost: int) -> None:
        """Raises CostExceeded."""
        self.cost += cost
        if self.cost > self.limit:
            raise CostExceeded


Run = Callable[[Frame], Any]
