"""Values made from an OpenAPI schema: mostly of the right shape, some of no shape at all.

All of them come from one `random.Random`, so that a seed repeats them (and hypothesis can shrink them)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from random import Random
from typing import Any

DEPTH = 7
REFERENCE = len("#/components/schemas/")
NAMES = ["a", "b", "web", "x-1", "default", "kube-system", "web.example.com", "a" * 63, "0"]
WORDS = [
    *NAMES, "nginx", "main", "http", "80", "100m", "16Mi", "1e3", "-1", "tcp", "TCP", "Always", "Never", "/data",
    "10.0.0.1", "10.43.0.77", "::1", "fd00::1", "10.0.0.0/8", "app=web", "a in (b,c)", "self.a == self.b", "object.spec.x > 1",
    "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000Z", "AAEC", "* * * * *", "CRON_TZ=UTC * * * * *", "50%", "v1", "apps/v1",
    "rbac.authorization.k8s.io", "kubernetes.io/hostname", "app", "^a+$", "metadata.name", "{.spec.a}", "true", "Service", "Pod",
]  # fmt: skip
# Each has broken some server once.
STRANGE_TEXTS = [
    "", " ", "\x00", "\n", "\u202e", "\ud7ff", "😀", "é" * 300, "../../etc/passwd", "%2e%2e", "a/b", "a" * 300, "a" * 5000, "-", ".", "..", "a..b", "A_B",
    "(a+)+$", "(" * 50, "[" * 50, "9" * 400, "1e999999999", "1e-999999999", "0x10", "1E1E1", "999999999999999999999Gi", "NaN", "Infinity", "-0", "١",
    "9999-99-99T99:99:99Z", "0000-00-00T00:00:00Z", "2024-01-01T00:00:00+99:99", "=", "a=b=c", "a in (", "!", "!!a", ",", "10.0.0.0/99", "256.1.1.1",
    "::ffff:10.0.0.1", "fe80::1%eth0", "$(A)", "{{", "${", "null", "[]", "{}", "a,b" * 100, "\\", '"', "TZ=Nowhere * * * * *", "99 99 99 99 99", "*/0 * * * *",
    "self" + ".a" * 200, "[1,2,3].map(x, [1,2,3].map(y, x*y))", "'a'.matches('(a*)*b')",
]  # fmt: skip
STRANGE_NUMBERS = [
    0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 0.1, -0.0, 1e300, 1e-300,
]  # fmt: skip
STRANGE = [
    None,
    True,
    False,
    [],
    {},
    [None],
    [[]],
    {"": None},
    {"a": {}},
    [1, "a", None],
    {"kind": "Pod", "apiVersion": "v1"},
]


class Values:
    """`wild` of 100 values are not what the schema says."""

    def __init__(self, random: Random, schemas: Mapping[str, Any], wild: float = 3.0) -> None:
        self.random = random
        self.schemas = schemas
        self.wild = wild

    def chance(self, percent: float) -> bool:
        return self.random.random() * 100 < percent

    def strange(self) -> Any:
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.choice(STRANGE_TEXTS)
        if kind == 1:
            return self.random.choice(STRANGE_NUMBERS)
        if kind == 2:
            return copy.deepcopy(self.random.choice(STRANGE))
        return self.nested(self.random.choice((3, 30, 150)))

    def nested(self, depth: int) -> Any:
        value: Any = "x"
        for level in range(depth):
            value = [value] if level % 2 else {self.random.choice(("a", "spec", "items")): value}
        return value

    def text(self) -> str:
        return self.random.choice(STRANGE_TEXTS if self.chance(self.wild) else WORDS)

    def of(self, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """A value for the schema."""
        if self.chance(self.wild):
            return self.strange()
        if "$ref" in schema:
            return self.of(self.schemas[schema["$ref"][REFERENCE:]], depth)
        for combined in ("allOf", "oneOf", "anyOf"):
            if schema.get(combined):
                return self.of(self.random.choice(schema[combined]), depth)
        if schema.get("enum"):
            return self.random.choice(schema["enum"])
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                most = 0 if depth > DEPTH else self.random.choice((1, 1, 1, 2, 3))
                return [self.of(schema["items"], depth + 1) for _ in range(most)]
            case "integer":
                return self.random.choice((0, 1, 2, 80, 30000, 8080, 5))
            case "number":
                return self.random.choice((0, 1.5))
            case "boolean":
                return self.random.random() < 0.5
            case "string":
                return self._string(schema.get("format", ""))
        return self.strange()

    def _string(self, form: str) -> str:
        if form == "date-time" and self.chance(80):
            return "2024-01-01T00:00:00Z"
        if form == "byte" and self.chance(80):
            return "AAEC"
        return self.text()

    def _object(self, schema: Mapping[str, Any], depth: int) -> Any:
        properties = schema.get("properties") or {}
        made = {}
        required = set(schema.get("required") or ())
        share = max(4, 40 - 6 * depth)
        for name, inner in properties.items():
            if depth <= DEPTH and (name in required or self.chance(share)):
                made[name] = self._named(name, inner, depth)
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and depth <= DEPTH:
            for _ in range(self.random.randrange(3)):
                made[self.text()] = self.of(more, depth + 1)
        if self.chance(self.wild):
            made[self.text()] = self.strange()
        return made

    def _named(self, name: str, schema: Mapping[str, Any], depth: int) -> Any:
        if name in ("name", "namespace") and not self.chance(self.wild * 2):
            return self.random.choice(NAMES)
        return self.of(schema, depth + 1)

    def spoiled(self, value: Any) -> Any:
        """A copy with a place or two changed to something else."""
        value = copy.deepcopy(value)
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            places = list(_places(value))
            if not places:
                return self.strange()
            holder, key = self.random.choice(places)
            act = self.random.randrange(5)
            if act == 0:
                del holder[key]
            elif act == 1 and isinstance(holder, dict):
                holder[self.text()] = self.strange()
            elif act == 2 and isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            elif act == 3:
                holder[key] = self.text()
            else:
                holder[key] = self.strange()
        return value

    def json_patch(self, value: Any) -> Any:
        """Operations on `value`, most of them on places that are there."""
        paths = list(_pointers(value)) or [""]
        operations = []
        for _ in range(self.random.choice((1, 1, 2, 5, 30))):
            path = self.random.choice(paths) if self.chance(80) else self.random.choice(POINTERS)
            operation: Any = {
                "op": self.random.choice(("add", "remove", "replace", "move", "copy", "test")),
                "path": path,
            }
            if self.chance(80):
                operation["value"] = self.strange()
            if self.chance(60):
                operation["from"] = self.random.choice(paths)
            operations.append(self.strange() if self.chance(self.wild) else operation)
        return operations

    def raw(self, value: Any) -> bytes:
        """The value as JSON, now and then as something that only looks like it."""
        text = json.dumps(value).encode()
        if not self.chance(self.wild):
            return text
        at = self.random.randrange(len(text) + 1)
        return self.random.choice((
            text[:at], text[:at] + b"\xff\xfe" + text[at:], text[:at] + b"\x00" + text[at:], b"\xef\xbb\xbf" + text, text + text,
            text.replace(b'"', b"'"), text.replace(b": ", b": NaN,", 1), text.replace(b"{", b'{"a":1,"a":2,', 1), b"[" * 20000, b'{"a":' * 20000,
            b"", b"null", b"[]", b'"x"', b"1e400", b"-", b"k8s\x00" + text, b"k8s\x00\x0a\xff\xff\xff\xff\x0f", b"&a [*a,*a]", b"a: &x {b: *x}",
            b'{"metadata":{"name":"\\ud800"}}', text.replace(b"1", b"1" + b"0" * 400, 1), b"!!python/object:os.system {}", b"a:\n" * 3000,
        ))  # fmt: skip


POINTERS = ["", "/", "//", "/a", "/spec", "/metadata/name", "/metadata/uid", "/metadata/labels/a~1b", "/metadata/labels/~2", "/spec/containers/-", "/spec/containers/99999999999", "/spec/containers/-1", "/spec/containers/01", "a", "/metadata/managedFields/0", "/kind", "/apiVersion", "/status"]  # fmt: skip


def _places(value: Any) -> Any:
    """(holder, key) of everything inside."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


def _pointers(value: Any, path: str = "") -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        here = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
        yield here
        yield from _pointers(inner, here)
