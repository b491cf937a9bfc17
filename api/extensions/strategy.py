"""The strategy of one version of a custom kind, made from its definition.

Source: API reference, CustomResourceDefinitionVersion; docs, "Custom resources: advanced features".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from podium.api.extensions import checking, fitting
from podium.api.extensions.jsonpath import JsonPath
from podium.api.extensions.nodes import Node
from podium.api.extensions.rules import Rules
from podium.api.groups.cells import since
from podium.api.strategy import NAME, Column, Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause, forbidden
from podium.api.types.resources import Resource
from podium.api.types.selectors import parse_labels
from podium.api.validation import causes, metadata, names

AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
LARGEST_REPLICAS = 2**31 - 1


class CustomResources(Strategy):
    """`version` is the definition's entry for the version; `node` its schema. `ending`: all objects are
    going."""

    has_generation = True
    version_required = True

    def __init__(self, resource: Resource, version: Obj, node: Node, *, ending: bool = False) -> None:
        super().__init__(resource)
        self._ending = ending
        self.node = node
        self.rules = Rules((version.get("schema") or {}).get("openAPIV3Schema") or {}, node)
        self.lengthy = self.rules.any
        self._fills = fitting.has_defaults(node)
        listed = version.get("additionalPrinterColumns") or [AGE]
        self.columns = (NAME, *map(_column, listed))  # type: ignore[misc]
        self._cells = [(JsonPath(entry["jsonPath"]), entry["type"]) for entry in listed]
        selectable = [entry["jsonPath"] for entry in version.get("selectableFields") or ()]
        self._selectable = {path.removeprefix("."): JsonPath(path) for path in selectable}
        self.field_labels |= self._selectable.keys()
        scale = (version.get("subresources") or {}).get("scale") or {}
        self._scale: Mapping[str, list[str]] = {
            key: _steps(scale[key])
            for key in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
            if scale.get(key)
        }

    # --- the write path

    def default(self, obj: Obj) -> None:
        if self._fills:
            fitting.default(obj, self.node)

    def prepare_create(self, obj: Obj) -> None:
        """Raises 403 while all objects are going."""
        if self._ending:
            resource = self.resource
            why = "create not allowed while custom resource definition is terminating"
            raise forbidden(resource.plural, obj["metadata"].get("name") or "", why, resource.group)
        if self.has_status:
            obj.pop("status", None)
        obj["metadata"]["generation"] = 1

    def wants_something_else(self, new: Obj, old: Obj) -> bool:
        return any(new.get(key) != old.get(key) for key in (new.keys() | old.keys()) - {"metadata"})

    def unknown_label(self, label: str) -> str:
        return f"field label not supported: {label}"

    def prepare_status(self, new: Obj, old: Obj) -> None:
        """The metadata, but for the owners of fields, is the former object's too."""
        super().prepare_status(new, old)
        now = new["metadata"]
        new["metadata"] = {**old["metadata"]}
        new["metadata"].pop("managedFields", None)
        for key in ("managedFields", "resourceVersion"):
            if key in now:
                new["metadata"][key] = now[key]

    def check(self, obj: Obj) -> list[Cause]:
        found = checking.check(_bare(obj), self.node) + self._common(obj)
        return found or self.rules.check(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = checking.check(_bare(new), self.node, old=_bare(old)) + self._common(new, old)
        return found or self.rules.check(new, old)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return self.check_update(new, old)

    def _common(self, new: Obj, old: Obj | None = None) -> list[Cause]:
        found = [cause for key in new for cause in _embedded(new[key], self.node.properties.get(key), key)]
        if old is None or not checking.check_lists(old, self.node):
            found += checking.check_lists(new, self.node)
        return found + (self._scale_faults(new) if self._scale else [])

    def _scale_faults(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        for key in ("specReplicasPath", "statusReplicasPath"):
            steps = self._scale[key]
            value = _at(obj, steps)
            if value is None or (isinstance(value, int) and 0 <= value <= LARGEST_REPLICAS):
                continue
            why = "should be a non-negative integer"
            if isinstance(value, int) and value > LARGEST_REPLICAS:
                why = f"should be less than or equal to {LARGEST_REPLICAS}"
            found.append(causes.invalid(".".join(steps), value, why))
        if place := self._scale.get("labelSelectorPath"):
            value = _at(obj, place)
            try:
                parse_labels(value or "")
            except (ValueError, AttributeError) as error:
                found.append(causes.invalid(".".join(place), value, str(error)))
        return found

    # --- the read path

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [
            obj["metadata"].get("name", ""),
            *(_cell(path.find(obj), kind, now) for path, kind in self._cells),
        ]

    def field(self, obj: Obj, path: str) -> str:
        selectable = self._selectable.get(path)
        if selectable is None:
            return super().field(obj, path)
        found = selectable.find(obj)
        return "" if not found or found[0] is None else _text(found[0])

    # --- scale

    def scale_of(self, obj: Obj) -> Obj:
        scale = super().scale_of({"spec": {}, **obj})
        replicas = _at(obj, self._scale["specReplicasPath"])
        scale["spec"] = {"replicas": replicas} if replicas else {}
        scale["status"]["replicas"] = _at(obj, self._scale["statusReplicasPath"]) or 0
        return scale

    def set_scale(self, new: Obj, scale: Obj) -> None:
        *steps, last = self._scale["specReplicasPath"]
        place: Obj = new
        for step in steps:
            place = place.setdefault(step, {})
        place[last] = (scale.get("spec") or {}).get("replicas", 0)

    def scale_selector(self, obj: Obj) -> str:
        places = self._scale.get("labelSelectorPath")
        found = _at(obj, places) if places else None
        return found if isinstance(found, str) else ""


def _column(entry: Obj) -> Column:
    about = (
        entry.get("description")
        or f"Custom resource definition column (in JSONPath format): {entry['jsonPath']}"
    )
    return Column(entry["name"], entry["type"], entry.get("format", ""), about, entry.get("priority", 0))


def _cell(found: list[Any], kind: str, now: datetime) -> Any:
    value = found[0] if found else None
    if value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case "string":
            return _text(value)
        case "integer":
            return int(value) if number else None
        case "number":
            return float(value) if number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date" if isinstance(value, str):
            try:
                return since(value, now)
            except ValueError:
                return "<invalid>"
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _steps(path: str) -> list[str]:
    return path.removeprefix(".").split(".")


def _at(obj: Any, steps: list[str]) -> Any:
    for step in steps:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def _bare(obj: Obj) -> Obj:
    """What the schema speaks of: of the metadata only the name."""
    kept = {key: value for key, value in obj["metadata"].items() if key in ("name", "generateName")}
    return {**obj, "metadata": kept}


def _embedded(value: Any, node: Node | None, path: str) -> list[Cause]:
    """The faults in the names of embedded objects."""
    found: list[Cause] = []
    if node is None:
        return found
    if isinstance(value, dict):
        if node.embedded:
            found += _embedded_meta(value, path)
        for key, entry in value.items():
            child = node.properties.get(key, node.additional)
            found += _embedded(entry, child if isinstance(child, Node) else None, checking.below(path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            if node.items is None or type(entry) is node.items.plain:
                continue
            found += _embedded(entry, node.items, f"{path}[{index}]")
    return found


def _embedded_meta(value: Obj, path: str) -> list[Cause]:
    found = _embedded_names(value, path)
    meta = value.get("metadata")
    if isinstance(meta, dict):
        found += metadata.check_labels(meta.get("labels"), f"{path}.metadata.labels")
        found += metadata.check_annotations(meta.get("annotations"), f"{path}.metadata.annotations")
    return found


def _embedded_names(value: Obj, path: str) -> list[Cause]:
    """The faults in an embedded object's apiVersion and kind."""
    found = []
    for key in ("apiVersion", "kind"):
        text, place = value.get(key), f"{path}.{key}"
        if text is None or text == "":
            found.append(causes.required(place, "must not be empty"))
        elif not isinstance(text, str):
            found.append(causes.invalid(place, text, "must be a string"))
        elif key == "apiVersion" and text.count("/") > 1:
            found.append(causes.invalid(place, text, f"unexpected GroupVersion string: {text}"))
        elif key == "kind" and (faults := names.dns_1035_label(text.lower())):
            why = f"may have mixed case, but should otherwise match: {','.join(faults)}"
            found.append(causes.invalid(place, text, why))
    return found
