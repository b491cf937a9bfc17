"""DELETE of a collection: of everything in it that the request selects."""

from __future__ import annotations

import asyncio

from podium.api.ask import Ask, Outcome
from podium.api.core import Core
from podium.api.types.errors import StatusError
from podium.api.verbs.delete import DeleteOptions, delete
from podium.api.verbs.list import ListOptions, Page, list_page

# Deletions under way at once: enough for the store to commit many together.
TOGETHER = 50


async def delete_collection(core: Core, ask: Ask, wanted: ListOptions, options: DeleteOptions) -> Page:
    """The page of what was selected, as it was before. Raises 400, 403, 409, 410, 422."""
    page = await list_page(core, ask, wanted)
    for start in range(0, len(page.items), TOGETHER):
        batch = page.items[start : start + TOGETHER]
        await asyncio.gather(*(_delete(core, ask, options, item) for item in batch))
    return page


async def _delete(core: Core, ask: Ask, options: DeleteOptions, item: Outcome) -> None:
    meta = item.obj["metadata"]
    try:
        await delete(core, ask.for_name(meta["name"], meta.get("namespace", "")), options)
    except StatusError as error:
        # Somebody else deleted it meanwhile.
        if error.code != 404:
            raise
