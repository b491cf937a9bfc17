"""GET of a collection: everything at once, or in pages that together show one revision."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from podium.api.ask import Ask, Outcome
from podium.api.core import Core, shown
from podium.api.kinds import Kind
from podium.api.store.base import Compacted, Entry, Store
from podium.api.types.errors import StatusError, bad_request
from podium.api.verbs.selecting import Predicate, Selection, select
from podium.api.verbs.versions import Continue, TooOld, check_match, not_older_than, parse, too_large

# How many objects are translated, or shown to a watcher, at a time: some milliseconds of decoding.
TURN = 250
# Looking at so many takes a millisecond at most.
STEP = 50
# Seconds after which others get their turn on the loop.
TURN_SECONDS = 0.003
# Among so many objects it is quicker to look at each than to know all labels there are.
MANY = 250


class ListOptions(NamedTuple):
    """metav1.ListOptions, as far as lists go. Of a list of the present, `readable` leaves out what nobody can
    read; without, such an object fails whatever looks into it."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    token: str = ""
    resource_version: str = ""
    match: str = ""
    send_initial_events: bool | None = None
    readable: bool = False


class Page(NamedTuple):
    """`token` continues the list, "" at its end; `remaining` counts what is behind it (None: unknown)."""

    items: Sequence[Outcome]
    revision: int
    token: str = ""
    remaining: int | None = None


async def list_page(core: Core, ask: Ask, options: ListOptions) -> Page:
    """Raises 400, 410, 422, 504."""
    check_match(
        options.resource_version,
        options.match,
        options.token,
        watching=False,
        initial=options.send_initial_events,
    )
    selection = select(ask.kind, options.labels, options.fields)
    start = _start(core.store, options)
    prefix = ask.kind.below(ask.namespace)
    if start.revision < 0:
        page = await _current(core, ask, prefix, selection, options, start.after)
    else:
        page = await _as_it_was(core, ask.kind, prefix, selection, options, start)
    if ask.kind.translation is not None:
        entries = [item for item in page.items if isinstance(item, Entry)]
        return page._replace(items=await ask.kind.translation.view(entries))
    if ask.kind.conversion:
        return page._replace(items=[shown(ask.kind, item) for item in page.items])
    return page


def _start(store: Store, options: ListOptions) -> Continue:
    """Where to begin and at which revision (-1: the newest). Raises 400, 504."""
    version = options.resource_version
    if options.token:
        if version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        return Continue.decode(options.token)
    if not version or version == "0":
        return Continue(-1, "")
    exact = options.match == "Exact" or (not options.match and options.limit > 0)
    if not exact:
        not_older_than(store, version)
        return Continue(-1, "")
    wanted = parse(version)
    if wanted > store.revision:
        raise too_large(wanted, store.revision)
    return Continue(wanted if wanted != store.revision else -1, "")


async def _current(
    core: Core, ask: Ask, prefix: str, selection: Selection, options: ListOptions, after: str
) -> Page:
    """From memory. Snapshot and revision are taken in one step of the loop, so they belong together."""
    indexed = await _indexed(core.store, ask.kind, prefix, selection)
    revision, limit, matches = core.store.revision, options.limit, selection.matches
    if limit and matches is None:
        behind = prefix + after if after else ""
        first, left = await core.store.list_at(prefix, revision, after=behind, limit=limit)
        token = _token(prefix, revision, first[-1]) if left else ""
        return Page(first, revision, token, left or None)
    if selection.name and ask.namespace:
        entry = core.store.get(ask.kind.key(ask.namespace, selection.name))
        entries: Sequence[Entry] = [entry] if entry else []
    elif indexed:
        entries, matches = core.store.selected(prefix, selection.labels), selection.fields
    else:
        entries = core.store.list(prefix)
    if after:
        entries = [entry for entry in entries if entry.key > prefix + after]
    if options.readable:
        entries = [entry for entry in entries if entry.readable]
    if matches is not None:
        entries = await _matching(ask.kind, entries, matches, limit + 1 if limit else 0)
    return _cut(prefix, entries, revision, limit, counted=selection.matches is None)


async def _indexed(store: Store, kind: Kind, prefix: str, selection: Selection) -> bool:
    """Whether the store selects by labels: where there are many objects, and the request sees them as they
    are stored. In the same step of the loop it does."""
    if selection.labels.everything or kind.translation is not None or store.count(prefix) <= MANY:
        return False
    while True:
        if store.learn(prefix):
            return True
        await asyncio.sleep(0)


def _cut(prefix: str, entries: Sequence[Entry], revision: int, limit: int, *, counted: bool = True) -> Page:
    if not limit or len(entries) <= limit:
        return Page(entries, revision)
    left = len(entries) - limit if counted else None
    return Page(entries[:limit], revision, _token(prefix, revision, entries[limit - 1]), left)


def _token(prefix: str, revision: int, last: Entry) -> str:
    return Continue(revision, last.key[len(prefix) :]).encode()


async def _matching(kind: Kind, entries: Sequence[Entry], matches: Predicate, most: int) -> list[Entry]:
    found: list[Entry] = []
    step = STEP if kind.translation is None else TURN
    began = perf_counter()
    for start in range(0, len(entries), step):
        if start and perf_counter() - began > TURN_SECONDS:
            await asyncio.sleep(0)
            began = perf_counter()
        found += await _selected(kind, entries[start : start + step], matches)
        if most and len(found) >= most:
            return found[:most]
    return found


async def _selected(kind: Kind, entries: Sequence[Entry], matches: Predicate) -> list[Entry]:
    """Selectors look at objects as the request sees them."""
    if kind.translation is None:
        return [entry for entry in entries if matches(entry)]
    views = await kind.translation.view(entries)
    return [entry for entry, view in zip(entries, views, strict=True) if matches(view)]


async def _as_it_was(
    core: Core, kind: Kind, prefix: str, selection: Selection, options: ListOptions, start: Continue
) -> Page:
    """At an older revision, from the log. Raises 410."""
    matches, limit, revision = selection.matches, options.limit, start.revision
    after = prefix + start.after if start.after else ""
    try:
        if matches is not None:
            found = await _matching_then(core.store, kind, prefix, revision, after, matches, limit)
            return _cut(prefix, found, revision, limit, counted=False)
        entries, left = await core.store.list_at(prefix, revision, after=after, limit=limit)
    except Compacted:
        raise _gone(options, start) from None
    return (
        Page(entries, revision, _token(prefix, revision, entries[-1]), left)
        if left
        else Page(entries, revision)
    )


async def _matching_then(
    store: Store, kind: Kind, prefix: str, revision: int, after: str, matches: Predicate, limit: int
) -> list[Entry]:
    """More than `limit` of those that matched at `revision`, unless there were fewer. Raises Compacted."""
    found: list[Entry] = []
    while True:
        entries, left = await store.list_at(prefix, revision, after=after, limit=TURN)
        found += await _selected(kind, entries, matches)
        if not left or (limit and len(found) > limit):
            return found
        after = entries[-1].key


def _gone(options: ListOptions, start: Continue) -> StatusError:
    if options.token:
        return TooOld(Continue(-1, start.after))
    return StatusError(410, "Expired", "The resourceVersion for the provided list is too old.")
