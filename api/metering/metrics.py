"""The resource metrics API: NodeMetrics and PodMetrics, to get and to list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from podium.api.aggregation.registration import priority
from podium.api.core import Core
from podium.api.discovery import Extra
from podium.api.exchange import Exchange
from podium.api.metering.collector import Collector, Uses
from podium.api.metering.samples import Key, Use
from podium.api.metering.schema import GROUP, RESOURCES, VERSION
from podium.api.negotiation import negotiate
from podium.api.types import Obj
from podium.api.types.errors import (
    bad_request,
    method_not_allowed,
    no_such_path,
    not_acceptable,
    not_found,
)
from podium.api.types.meta import timestamp
from podium.api.types.resources import NODES, PODS, Resource
from podium.api.types.selectors import FieldTerm, Selector, fields_match, parse_fields, parse_labels

API_VERSION = f"{GROUP}/{VERSION}"
COLUMNS = (("Name", "name"), ("cpu", ""), ("memory", ""), ("Window", ""))


class Asked(NamedTuple):
    """What a path below the version names; `name` "" for all."""

    resource: Resource
    namespace: str
    name: str

    @property
    def kind(self) -> str:
        return "NodeMetrics" if self.resource == NODES else "PodMetrics"


class MetricsApi:
    """Answers for the nodes and pods that `core` knows with what the collector learns."""

    def __init__(self, core: Core, collector: Collector, clock: Callable[[], datetime]) -> None:
        self._core, self._collector, self._clock = core, collector, clock

    @property
    def extra(self) -> Extra:
        rank = priority(GROUP, VERSION)
        return Extra(GROUP, VERSION, rank.group if rank else 0, [_described(each) for each in RESOURCES])

    async def serve(self, exchange: Exchange, parts: list[str]) -> None:
        """Raises 400, 404, 405, 406."""
        asked = _asked(parts)
        if exchange.method not in ("GET", "HEAD") or exchange.query.get("watch") in ("true", "1"):
            raise method_not_allowed()
        accepted = negotiate(exchange.header(b"accept").decode("latin-1"))
        if accepted.form not in ("", "Table"):
            raise not_acceptable(f"{asked.kind} cannot be shown as {accepted.form}")
        items = await self._items(asked, exchange.query)
        if asked.name and not items:
            where = f"{asked.namespace}/{asked.name}" if asked.namespace else asked.name
            raise not_found(asked.kind.lower(), where, GROUP)
        if accepted.form == "Table":
            await exchange.object(200, _table(items, f"meta.k8s.io/{accepted.version}"))
        elif asked.name:
            await exchange.object(200, {"kind": asked.kind, "apiVersion": API_VERSION, **items[0]})
        else:
            head = {"kind": f"{asked.kind}List", "apiVersion": API_VERSION, "metadata": {}}
            await exchange.object(200, {**head, "items": items})

    async def _items(self, asked: Asked, query: dict[str, str]) -> list[Obj]:
        """Raises 400, 404."""
        chosen = self._chosen(asked, query)
        now = timestamp(self._clock())
        if asked.resource == NODES:
            uses = await self._collector.uses(obj["metadata"]["name"] for obj in chosen)
            known = ((obj, uses.get(obj["metadata"]["name"], {}).get(Key())) for obj in chosen)
            return [_node(obj, use, now) for obj, use in known if use]
        uses = await self._collector.uses(obj["spec"]["nodeName"] for obj in chosen)
        by_pod = _by_pod(uses)
        found = ((obj, by_pod.get((obj["metadata"]["namespace"], obj["metadata"]["name"]))) for obj in chosen)
        return [_pod(obj, containers, now) for obj, containers in found if containers]

    def _chosen(self, asked: Asked, query: dict[str, str]) -> list[Obj]:
        if asked.name:
            obj = self._core.lookup(asked.resource, asked.namespace, asked.name)
            if obj is None:
                raise not_found(asked.kind.lower(), "/".join(filter(None, asked[1:])), GROUP)
            found: Iterable[Obj] = [obj]
        else:
            found = self._core.every(asked.resource, asked.namespace)
        labels, fields = _selection(query)
        return [
            obj
            for obj in found
            if labels.matches(obj["metadata"].get("labels"))
            and fields_match(fields, partial(_field, obj))
            and (asked.resource == NODES or (obj.get("spec") or {}).get("nodeName"))
        ]


def _selection(query: dict[str, str]) -> tuple[Selector, tuple[FieldTerm, ...]]:
    """Raises 400."""
    try:
        labels = parse_labels(query.get("labelSelector", ""))
        fields = parse_fields(query.get("fieldSelector", ""))
    except ValueError as error:
        raise bad_request(str(error)) from None
    for term in fields:
        if term.path not in ("metadata.name", "metadata.namespace"):
            raise bad_request(f"field label not supported: {term.path}")
    return labels, fields


def _field(obj: Obj, path: str) -> str:
    return str(obj["metadata"].get(path.partition(".")[2], ""))


def _asked(parts: Sequence[str]) -> Asked:
    """Raises 404."""
    match list(parts):
        case ["nodes"]:
            return Asked(NODES, "", "")
        case ["nodes", name]:
            return Asked(NODES, "", name)
        case ["pods"]:
            return Asked(PODS, "", "")
        case ["namespaces", namespace, "pods"]:
            return Asked(PODS, namespace, "")
        case ["namespaces", namespace, "pods", name]:
            return Asked(PODS, namespace, name)
    raise no_such_path()


def _by_pod(uses: dict[str, Uses]) -> dict[tuple[str, str], dict[str, Use]]:
    found: dict[tuple[str, str], dict[str, Use]] = {}
    for of_node in uses.values():
        for key, each in of_node.items():
            if key.container:
                found.setdefault((key.namespace, key.pod), {})[key.container] = each
    return found


def _node(node: Obj, use: Use, now: str) -> Obj:
    return {"metadata": _metadata(node, now), **_moment([use]), "usage": _usage(use)}


def _pod(pod: Obj, containers: dict[str, Use], now: str) -> Obj:
    listed = [{"name": name, "usage": _usage(each)} for name, each in sorted(containers.items())]
    return {"metadata": _metadata(pod, now), **_moment(list(containers.values())), "containers": listed}


def _metadata(obj: Obj, now: str) -> Obj:
    meta = obj["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "labels") if key in meta}
    return {**kept, "creationTimestamp": now}


def _moment(uses: Sequence[Use]) -> Obj:
    """Of several, the earliest moment and the longest window: what all of them cover."""
    at = min(each.at for each in uses)
    return {
        "timestamp": timestamp(datetime.fromtimestamp(at, UTC)),
        "window": f"{max(each.window for each in uses):.3f}s",
    }


def _usage(use: Use) -> Obj:
    return {"cpu": f"{round(use.cpu * 1e9)}n", "memory": f"{round(use.memory / 1024)}Ki"}


def _described(resource: Resource) -> Obj:
    return {
        "resource": resource.plural,
        "responseKind": {"group": GROUP, "version": VERSION, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular_name,
        "verbs": list(resource.verbs),
    }


def _table(items: Sequence[Obj], api_version: str) -> Obj:
    rows = []
    for item in items:
        usages = [item["usage"]] if "usage" in item else [each["usage"] for each in item["containers"]]
        cpu = sum(int(usage["cpu"].removesuffix("n")) for usage in usages)
        memory = sum(int(usage["memory"].removesuffix("Ki")) for usage in usages)
        rows.append(
            {
                "cells": [item["metadata"]["name"], f"{-(-cpu // 10**6)}m", f"{memory}Ki", item["window"]],
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": api_version,
                    "metadata": item["metadata"],
                },
            }
        )
    columns = [
        {"name": name, "type": "string", "format": form, "description": "", "priority": 0}
        for name, form in COLUMNS
    ]
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": {},
        "columnDefinitions": columns,
        "rows": rows,
    }
