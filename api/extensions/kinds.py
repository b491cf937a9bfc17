"""From a CustomResourceDefinition to the kinds that are served because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podium.api.discovery import version_order
from podium.api.extensions.conversion import Call, Shapes, Translator, Webhook
from podium.api.extensions.fitting import Pruner
from podium.api.extensions.nodes import Node
from podium.api.extensions.strategy import CustomResources
from podium.api.kinds import Kind
from podium.api.schema import Definitions, Schema
from podium.api.schema.walk import ANY, STRING, Field, Path, Type, Unknown
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import condition_is_true
from podium.api.types.resources import Resource

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
ENDING_VERBS = ("delete", "deletecollection", "get", "list", "watch")


class CustomKind(Kind):
    """A kind whose schema is its own and not one of the published definitions."""

    says_kind = True

    def __init__(
        self,
        strategy: CustomResources,
        definitions: Definitions,
        schema: Schema,
        stored: Resource,
        translation: Translator | None,
        warnings: Sequence[str],
        versions: Mapping[str, Type],
    ) -> None:
        super().__init__(strategy, definitions)
        self.stored = stored
        self.translation = translation
        self.warnings = warnings
        self.versions = versions
        # In the place of the cached properties. Whoever has a finalizer can always take it away, also when
        # discovery names fewer verbs because all objects are going.
        self.__dict__["schema"] = schema
        self.__dict__["verbs"] = frozenset((*self.resource.verbs, "patch", "update"))

    def refused(self, verb: str) -> StatusError:
        resource = self.resource
        if verb in Resource._field_defaults["verbs"]:
            message = f"{verb} not allowed while custom resource definition is terminating"
            return StatusError(
                405, "MethodNotAllowed", message, {"group": resource.group, "kind": resource.plural}
            )
        return super().refused(verb)

    def knows(self, group: str, version: str, name: str) -> bool:
        mine = self.resource
        return (group, version, name) == (mine.group, mine.version, mine.kind) or super().knows(
            group, version, name
        )


def kinds_of(definition: Obj, definitions: Definitions, call: Call) -> list[CustomKind]:
    """One for each version that is served. Raises ValueError for a definition that cannot be (an expression
    that is none)."""
    pruner = Pruner(definitions.type_of(OBJECT_META))
    versions = definition["spec"]["versions"]
    nodes = {entry["name"]: _node(entry) for entry in versions}
    storage = next(entry for entry in versions if entry.get("storage"))
    kept = resource_of(definition, storage)
    shapes = Shapes({name: root_of(node) for name, node in nodes.items()}, pruner)
    conversion = definition["spec"].get("conversion") or {}
    webhook = Webhook(conversion["webhook"], call) if conversion.get("strategy") == "Webhook" else None
    # What was written under another schema, or in another version, is made to fit when it is read.
    changed = len(versions) > 1 or definition["metadata"].get("generation", 1) > 1
    made: list[CustomKind] = []
    types = {name: root_type(node, pruner, definitions.type_of(OBJECT_META)) for name, node in nodes.items()}
    for entry in versions:
        if entry.get("served"):
            node, resource = nodes[entry["name"]], resource_of(definition, entry)
            schema = Schema(resource.group, resource.version, resource.kind, types[entry["name"]])
            translator = Translator(resource, kept, shapes, webhook) if changed else None
            ending = condition_is_true(definition, "Terminating")
            strategy = CustomResources(resource, entry, node, ending=ending)
            warnings = deprecations(definition, entry)
            made.append(CustomKind(strategy, definitions, schema, kept, translator, warnings, types))
    return made


def deprecations(definition: Obj, version: Obj) -> list[str]:
    """What the users of a version are warned of."""
    if not version.get("deprecated"):
        return []
    if text := version.get("deprecationWarning"):
        return [text]
    spec, name = definition["spec"], version["name"]
    newer = [
        entry["name"]
        for entry in spec["versions"]
        if entry.get("served")
        and not entry.get("deprecated")
        and version_order(entry["name"]) < version_order(name)
    ]
    group, kind = spec["group"], spec["names"]["kind"]
    advice = f"; use {group}/{min(newer, key=version_order)} {kind}" if newer else ""
    return [f"{group}/{name} {kind} is deprecated{advice}"]


def _node(version: Obj) -> Node:
    return Node((version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"})


def resource_of(definition: Obj, version: Obj) -> Resource:
    spec, names = definition["spec"], definition["status"]["acceptedNames"]
    parts = version.get("subresources") or {}
    resource = Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        spec["scope"] == "Namespaced",
        tuple(names.get("shortNames") or ()),
        tuple(names.get("categories") or ()),
        tuple(name for name in ("status", "scale") if parts.get(name) is not None),
        singular=names.get("singular", ""),
        list_kind=names.get("listKind", ""),
        strategic=False,
    )
    return resource._replace(verbs=ENDING_VERBS) if condition_is_true(definition, "Terminating") else resource


def root_of(node: Node) -> Node:
    """The root, for pruning: every object has a kind."""
    if "kind" in node.properties and "apiVersion" in node.properties:
        return node
    root = Node({"type": "object"})
    for name in Node.__slots__:
        setattr(root, name, getattr(node, name))
    text = Node({"type": "string"})
    root.properties = {"apiVersion": text, "kind": text, **node.properties}
    return root


def root_type(node: Node, pruner: Pruner, meta: Type) -> Type:
    """The type of whole objects, which prunes where those of built-in kinds refuse: what does not fit is the
    strategy's to tell."""
    root = root_of(node)

    def walk(value: Obj, path: Path, unknown: Unknown) -> Any:
        for key in ("apiVersion", "kind"):
            if key in value:
                value[key] = STRING.enter(value[key], (path, key), unknown)
        given = value.pop("metadata", None)
        pruner.prune(value, root, path, unknown)
        if given is not None:
            value["metadata"] = meta.enter(given, (path, "metadata"), unknown)
        return value

    made = typed(root)
    made.walk = walk
    made.fields["metadata"] = Field(meta)
    return made


# What has no schema: maps come apart into their fields, lists do not.
FREE = Type("map[string]interface {}", dict, coerce=ANY.coerce, zero=lambda: None)
FREE.item = FREE


# They take whatever comes, as ANY does, and tell of what type it should be.
SCALARS = {
    name: Type(name, kind, coerce=ANY.coerce, zero=lambda: None)
    for name, kind in (("boolean", bool), ("integer", int), ("number", float), ("string", str))
}


def typed(node: Node) -> Type:
    """How a value comes apart, for server-side apply."""
    if node.type == "array" and node.items is not None:
        return Type("[]interface {}", list, coerce=ANY.coerce, item=typed(node.items), zero=lambda: None)
    if node.type != "object" and not node.preserve:
        return SCALARS.get(node.type, ANY)
    if isinstance(node.additional, Node) and not node.properties:
        made = Type(FREE.go, dict, coerce=ANY.coerce, item=typed(node.additional), zero=lambda: None)
    elif node.properties or node.type == "object":
        made = Type(FREE.go, dict, coerce=ANY.coerce, zero=lambda: None)
        made.fields = {key: _field(child) for key, child in node.properties.items()}
        if node.preserve or node.additional is True:
            made.item = FREE
        if not made.fields and made.item is None:
            return ANY
    else:
        return FREE
    made.atomic = node.map_type == "atomic"
    return made


def _field(node: Node) -> Field:
    return Field(typed(node), list_type=node.list_type or node.map_type, list_keys=node.list_keys)
