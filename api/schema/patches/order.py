"""The order of a merged list: what the patch names in the patch's order, the rest where the server had it."""

from __future__ import annotations

from typing import Any

from podium.api.types import errors


def key_of(entry: Any, merge_key: str) -> Any:
    """What identifies a list element: itself, or its merge key. Raises 400 where that is missing."""
    if not merge_key:
        return entry
    if not isinstance(entry, dict):
        raise errors.bad_request("expected a map, but received an element of another type")
    if merge_key not in entry:
        raise errors.bad_request(f"map: {entry} does not contain declared merge key: {merge_key}")
    key = entry[merge_key]
    if isinstance(key, (dict, list)):
        raise errors.bad_request(f"map: {entry}: merge key {merge_key} must be a scalar")
    return key


def arrange(merged: list[Any], wanted: list[Any], server: list[Any], merge_key: str) -> list[Any]:
    """`merged` with the elements named in `wanted` in that order. The others keep the order they have in
    `server`, and come before a named one exactly where they did in `server`, and after all of them
    otherwise."""
    wanted_rank = _ranks(wanted, merge_key)
    server_rank = _ranks(server, merge_key)
    keyed = [(key_of(entry, merge_key), entry) for entry in merged]
    named = sorted((pair for pair in keyed if pair[0] in wanted_rank), key=lambda pair: wanted_rank[pair[0]])
    others = sorted(
        (pair for pair in keyed if pair[0] not in wanted_rank),
        key=lambda pair: server_rank.get(pair[0], len(server_rank)),
    )
    result: list[Any] = []
    position = 0
    for key, entry in others:
        rank = server_rank.get(key)
        while position < len(named):
            other_rank = server_rank.get(named[position][0])
            if rank is not None and other_rank is not None and rank < other_rank:
                break
            result.append(named[position][1])
            position += 1
        result.append(entry)
    result.extend(entry for _, entry in named[position:])
    return result


def _ranks(entries: list[Any], merge_key: str) -> dict[Any, int]:
    ranks: dict[Any, int] = {}
    for index, entry in enumerate(entries):
        ranks.setdefault(key_of(entry, merge_key), index)
    return ranks
