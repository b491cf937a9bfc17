"""GET of one object."""

from __future__ import annotations

from podium.api.ask import Ask, Outcome
from podium.api.core import Core, presented
from podium.api.verbs.versions import not_older_than


async def get(core: Core, ask: Ask, resource_version: str = "") -> Outcome:
    """The newest state. Raises 404; 504 when `resource_version` is one that is yet to come."""
    if resource_version:
        not_older_than(core.store, resource_version)
    return await presented(ask.kind, core.found(ask))
