"""Requests made from the served documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from tests.conformance.fuzz.values import NAMES, REFERENCE, STRANGE_NUMBERS, STRANGE_TEXTS, Values

METHODS = ("get", "put", "post", "patch", "delete")
PATCHES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml",
    "application/apply-patch+cbor",
)  # fmt: skip
TYPES = (
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "x" * 500,
    ";;;",
)
ACCEPTS = (
    "application/json", "*/*", "", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json", "application/vnd.kubernetes.protobuf", "text/html", ";q=x", "application/json;as=Nothing;v=v9",
)  # fmt: skip
SELECTORS = (
    "app=web", "app!=web", "app in (web,b)", "app notin ()", "!app", "app", "a=b,c", "", "=", "a in (", ",,,", "a" * 2000, "(a+)+=b", "a=b=c", "app=" + "é" * 10, "x>1",
    "a in (" + "b," * 5000 + "c)",
)  # fmt: skip
FIELDS = (
    "metadata.name=a", "metadata.namespace=default", "spec.nodeName=", "status.phase=Running", "metadata.name!=a", "nothing=1", "a\\", "metadata.name=a\\,b",
    "=", "metadata.name", "type=Warning,reason!=x",
)  # fmt: skip
QUERY: dict[str, tuple[str, ...]] = {
    "labelSelector": SELECTORS, "fieldSelector": FIELDS, "limit": ("1", "0", "-1", "x", "99999999999999999999", "1.5"),
    "continue": ("x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiIn0", "e30", "", "%%%", "bnVsbA", "W10", "/" * 3000), "resourceVersion": ("0", "1", "-1", "x", "99999999999999999999", ""),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x", ""), "watch": ("true", "1", "false", "x"), "timeoutSeconds": ("1", "0", "-1", "x", "99999999999999999999"),
    "allowWatchBookmarks": ("true", "x"), "sendInitialEvents": ("true", "false", "x"), "dryRun": ("All", "x", ""), "fieldManager": ("me", "x" * 200, "\x00", ""),
    "fieldValidation": ("Strict", "Warn", "Ignore", "x"), "force": ("true", "false", "x"), "gracePeriodSeconds": ("0", "-5", "x", "99999999999999999999"), "propagationPolicy": ("Orphan", "Foreground", "Background", "x"),
    "orphanDependents": ("true", "x"), "pretty": ("true", "x"), "shardSelector": ("x",), "ignoreStoreReadErrorWithClusterBreakingPotential": ("true",), "follow": ("true",), "tailLines": ("-1", "x"),
    "container": ("x",), "command": ("ls",), "path": ("..",), "ports": ("1", "x"),
}  # fmt: skip
FILLED = re.compile(r"\{([^}]+)\}")
# These reach elsewhere, or last as long as the other side wants.
ELSEWHERE = ("/proxy", "/exec", "/attach", "/portforward", "/log")


class Operation(NamedTuple):
    """`schema` is of the body, {} where there is none."""

    method: str
    path: str
    schema: Mapping[str, Any]
    queries: tuple[str, ...]

    @property
    def collection(self) -> str:
        return self.path.split("/{name}")[0]


@dataclass(frozen=True)
class Call:
    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def watches(self) -> bool:
        return "watch=" in self.target


class Documents(NamedTuple):
    operations: list[Operation]
    schemas: dict[str, Any]


def read(documents: Iterable[Mapping[str, Any]]) -> Documents:
    """Of all groups' OpenAPI v3 documents."""
    operations: list[Operation] = []
    schemas: dict[str, Any] = {}
    for document in documents:
        schemas.update(document.get("components", {}).get("schemas") or {})
        for path, item in document["paths"].items():
            shared = [each.get("name", "") for each in item.get("parameters") or ()]
            for method in METHODS:
                if method in item and "/watch/" not in path:
                    operation = item[method]
                    content = (operation.get("requestBody") or {}).get("content") or {}
                    schema = next(iter(content.values()), {}).get("schema") or {}
                    queries = [each.get("name", "") for each in operation.get("parameters") or ()]
                    names = tuple(name for name in (*shared, *queries) if name in QUERY)
                    operations.append(Operation(method, path, schema, names))
    return Documents(operations, schemas)


class Calls:
    """Random requests on random operations. Objects that were answered come back (`learn`) and are changed
    from then on, since what is made up entirely seldom gets past validation."""

    def __init__(
        self, random: Random, documents: Documents, wild: float = 3.0, namespaces: Iterable[str] = ("fuzz",)
    ) -> None:
        self.random = random
        self.documents = documents
        self.values = Values(random, documents.schemas, wild)
        self.namespaces = list(namespaces)
        # What there is of a collection's objects.
        self.known: dict[str, dict[str, Any]] = {}
        self.kept: dict[str, list[Any]] = {}
        self._bodies = {
            operation.path: operation.schema
            for operation in documents.operations
            if operation.method == "post"
        }

    def any(self) -> Call:
        return self.of(self.random.choice(self.documents.operations))

    def of(self, operation: Operation) -> Call:
        values, random = self.values, self.random
        name = self._name(operation)
        path = FILLED.sub(
            lambda found: quote(self._part(found[1], name), safe="" if values.chance(90) else "/."),
            operation.path,
        )
        headers = {"Accept": "application/json" if values.chance(80) else random.choice(ACCEPTS)}
        body = b""
        if operation.method in ("post", "put", "patch") or (
            operation.method == "delete" and values.chance(30)
        ):
            headers["Content-Type"], body = self._body(operation, name)
        return Call(operation.method.upper(), f"{path}{self._query(operation)}", headers, body)

    def _part(self, parameter: str, name: str) -> str:
        values, random = self.values, self.random
        if values.chance(values.wild):
            return random.choice(STRANGE_TEXTS) or "x"
        return (
            random.choice(self.namespaces)
            if parameter == "namespace"
            else name
            if parameter == "name"
            else "x"
        )

    def _name(self, operation: Operation) -> str:
        known = list(self.known.get(operation.collection) or ())
        return self.random.choice(known if known and self.values.chance(85) else NAMES)

    def _query(self, operation: Operation) -> str:
        if not self.values.chance(40):
            chosen: list[str] = []
        else:
            usual = list(operation.queries) if self.values.chance(85) else list(QUERY)
            chosen = self.random.sample(usual, min(len(usual), self.random.choice((1, 1, 2, 3))))
        pairs = [(name, self.random.choice(QUERY[name])) for name in chosen]
        if any(name == "watch" for name, _ in pairs) and not any(
            name == "timeoutSeconds" for name, _ in pairs
        ):
            pairs.append(("timeoutSeconds", "1"))
        if operation.method == "patch" and self.values.chance(70):
            pairs += [
                ("fieldManager", self.random.choice(("me", "you"))),
                *([("force", "true")] if self.values.chance(50) else []),
            ]
        return f"?{urlencode(pairs)}" if pairs else ""

    def _body(self, operation: Operation, name: str) -> tuple[str, bytes]:
        values, random = self.values, self.random
        media = random.choice(TYPES) if values.chance(values.wild) else "application/json"
        former = (self.known.get(operation.collection) or {}).get(name)
        if operation.method == "patch":
            if not values.chance(values.wild):
                media = random.choice(PATCHES[:4])
            return media, values.raw(self._patch(operation, media, former))
        if operation.method == "put" and former is not None and values.chance(80):
            return media, values.raw(values.spoiled(former) if values.chance(80) else former)
        examples = self.kept.get(operation.collection)
        if operation.method == "post" and examples and values.chance(60) and "{name}" not in operation.path:
            made = (
                values.spoiled(random.choice(examples))
                if values.chance(70)
                else dict(random.choice(examples))
            )
        else:
            made = values.of(operation.schema) if operation.schema else values.strange()
        return media, values.raw(self._presentable(made, operation, name))

    def _presentable(self, made: Any, operation: Operation, name: str) -> Any:
        if not isinstance(made, dict) or values_wild(self.values):
            return made
        meta = made.get("metadata")
        if isinstance(meta, dict):
            given = name if operation.method == "put" else self.random.choice(NAMES)
            meta = {
                key: value
                for key, value in meta.items()
                if key not in ("namespace", "resourceVersion", "uid", "deletionTimestamp")
            }
            made = {**made, "metadata": {**meta, "name": given}}
        return made

    def _patch(self, operation: Operation, media: str, former: Any) -> Any:
        values = self.values
        schema = self._bodies.get(operation.collection) or {}
        if "json-patch" in media:
            return values.json_patch(former if former is not None else values.of(schema))
        change = values.of(schema) if schema else values.strange()
        if isinstance(change, dict) and former is not None:
            if not values.chance(20):
                keep = {key: former.get(key) for key in ("apiVersion", "kind")}
                named = {"name": former["metadata"].get("name")}
                if values.chance(50):
                    change = values.spoiled(
                        {key: former[key] for key in former if key not in ("metadata", "status")}
                    )
                if isinstance(change, dict):
                    change = {**change, **keep, "metadata": named}
            if "strategic" in media and values.chance(50):
                change = self._directives(change)
        return change

    def _directives(self, change: Any) -> Any:
        random = self.random
        if isinstance(change, dict):
            made = {
                key: self._directives(value) if random.random() < 0.7 else None
                for key, value in change.items()
            }
            if random.random() < 0.2:
                key = random.choice(
                    (
                        "$patch",
                        "$retainKeys",
                        "$deleteFromPrimitiveList/a",
                        "$setElementOrder/containers",
                        "$setElementOrder/x",
                        "$deleteFromPrimitiveList/finalizers",
                    )
                )
                made[key] = random.choice(
                    ("delete", "replace", "merge", "x", None, ["a"], [{"name": "a"}], [None], 1, {})
                )
            return made
        if isinstance(change, list):
            made_list = [self._directives(each) for each in change]
            if random.random() < 0.2:
                made_list.append(
                    random.choice(
                        (
                            {"$patch": "replace"},
                            {"$patch": "delete"},
                            {"$patch": "delete", "name": "a"},
                            {"$patch": 1},
                            None,
                            {},
                        )
                    )
                )
            return made_list
        return change

    def learn(self, operation: Operation, obj: Any) -> None:
        """An object that the server has answered with, whole."""
        meta = obj.get("metadata") if isinstance(obj, dict) else None
        if (
            not isinstance(meta, dict)
            or not isinstance(meta.get("name"), str)
            or obj.get("kind") in ("Status", "Table")
            or str(obj.get("kind")).startswith("Partial")
        ):
            return
        known = self.known.setdefault(operation.collection, {})
        if meta["name"] in known or len(known) < 10:
            known[meta["name"]] = obj
        kept = self.kept.setdefault(operation.collection, [])
        if len(kept) < 10:
            kept.append(obj)

    def forget(self, operation: Operation, call: Call) -> None:
        """The object is gone."""
        name = call.target.partition("?")[0].rpartition("/")[2]
        self.known.get(operation.collection, {}).pop(name, None)


def values_wild(values: Values) -> bool:
    return values.chance(values.wild)


def odd_number(random: Random) -> Any:
    return random.choice(STRANGE_NUMBERS)


__all__ = ["ELSEWHERE", "REFERENCE", "Call", "Calls", "Documents", "Operation", "read"]
