"""Showing what a verb gave back in the form the client asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import orjson

from podium.api.ask import Ask, Outcome
from podium.api.core import Core
from podium.api.exchange import JSON_TYPE, NO_CACHE, Exchange, Header
from podium.api.kinds import Kind
from podium.api.negotiation import YAML, Accepted
from podium.api.tables import Tabulator, page_metadata, partial, partial_list, plain_list
from podium.api.types import Obj
from podium.api.types.errors import not_acceptable
from podium.api.verbs.list import Page

YAML_TYPE: Header = (b"content-type", YAML.encode())
HEADERS: Sequence[Header] = (JSON_TYPE, NO_CACHE)
# Characters of all warnings of an answer, and of each where those are too many.
WARNINGS, WARNING = 4096, 256


def warning_headers(warnings: Iterable[str]) -> list[Header]:
    """As in RFC 7234: `299 - "text"`, each once. Where they are too long together each is cut short, and the
    last ones fall away."""
    texts = list(dict.fromkeys(warnings))
    if sum(map(len, texts)) > WARNINGS:
        texts = list(_cut(texts))
    found = []
    for text in texts:
        shown = "".join(each if each.isprintable() else " " for each in text)
        plain = " ".join(shown.split()).replace("\\", "\\\\").replace('"', '\\"')
        found.append((b"warning", f'299 - "{plain}"'.encode()))
    return found


def _cut(texts: Iterable[str]) -> Iterator[str]:
    written = 0
    for text in texts:
        if written >= WARNINGS:
            return
        written += min(len(text), WARNING)
        yield text[:WARNING]


def headers_for(ask: Ask) -> Sequence[Header]:
    if ask.warnings or ask.kind.warnings:
        return [*HEADERS, *warning_headers([*ask.kind.warnings, *ask.warnings])]
    return HEADERS


async def present(
    core: Core, exchange: Exchange, ask: Ask, accepted: Accepted, outcome: Outcome, code: int = 200
) -> None:
    """One object."""
    headers = headers_for(ask)
    if accepted.yaml:
        await _present_yaml(exchange, code, outcome.obj, headers)
        return
    await exchange.answer(code, _formed(core, exchange, ask, accepted, outcome), headers)


def _formed(core: Core, exchange: Exchange, ask: Ask, accepted: Accepted, outcome: Outcome) -> bytes:
    if not accepted.form or outcome.obj.get("kind") != ask.kind.resource.kind:
        return outcome.value
    if accepted.form == "Table" and "get" not in ask.kind.verbs:
        plural = ask.kind.resource.plural
        raise not_acceptable(f"the resource {plural} does not support being converted to a Table")
    if accepted.form == "Table":
        return tabulator(core, exchange, ask.kind, accepted).of_one(outcome)
    return orjson.dumps(partial(outcome.obj, f"meta.k8s.io/{accepted.version}"))


def tabulator(core: Core, exchange: Exchange, kind: Kind, accepted: Accepted) -> Tabulator:
    return Tabulator(kind, exchange.query.get("includeObject", ""), accepted.version, core.clock())


async def present_page(core: Core, exchange: Exchange, ask: Ask, accepted: Accepted, page: Page) -> None:
    """A list."""
    headers = headers_for(ask)
    if accepted.form == "Table":
        table = await tabulator(core, exchange, ask.kind, accepted).of_page(page)
        await exchange.answer_pieces(200, table, headers)
    elif accepted.form:
        await exchange.answer_pieces(
            200, await partial_list(page, accepted.version, typed=accepted.typed), headers
        )
    elif accepted.yaml:
        await _present_yaml(exchange, 200, _list_object(ask.kind, page), headers)
    else:
        await exchange.answer_pieces(200, await plain_list(ask.kind, page), headers)


def _list_object(kind: Kind, page: Page) -> Obj:
    said = () if kind.says_kind else ("kind", "apiVersion")
    return {
        "kind": kind.resource.list_kind_name,
        "apiVersion": kind.resource.api_version,
        "metadata": page_metadata(page),
        "items": [{key: value for key, value in item.obj.items() if key not in said} for item in page.items],
    }


async def _present_yaml(exchange: Exchange, code: int, obj: Obj, headers: Sequence[Header]) -> None:
    # Only a human asks for YAML here (kubectl makes its own), and it takes long: beside the loop.
    import yaml

    def dump() -> bytes:
        return str(yaml.safe_dump(obj, sort_keys=False, allow_unicode=True)).encode()

    await exchange.answer(code, await asyncio.to_thread(dump), [YAML_TYPE, *headers[1:]])
