"""ServiceAccounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj


class ServiceAccounts(Strategy):
    columns = cells.table("Name", "Age")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], cells.age(obj, now)]
