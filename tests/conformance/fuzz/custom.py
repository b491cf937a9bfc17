"""A custom resource with something of everything that a schema may have."""

from __future__ import annotations

from typing import Any

GROUP, PLURAL = "fuzz.example", "widgets"
_POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 7}},
    "required": ["x"],
}
_SPEC: dict[str, Any] = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 3},
        "ratio": {"type": "number", "multipleOf": 0.5},
        "name": {"type": "string", "pattern": "^(a+)+[a-z0-9.-]*$", "maxLength": 63},
        "when": {"type": "string", "format": "date-time", "nullable": True},
        "port": {"x-kubernetes-int-or-string": True},
        "blob": {"type": "string", "format": "byte"},
        "colour": {"type": "string", "enum": ["red", "green"]},
        "points": {
            "type": "array", "maxItems": 20, "items": {**_POINT, "required": ["x", "y"]},
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["x"],
        },
        "tags": {"type": "array", "maxItems": 20, "items": {"type": "string", "maxLength": 20}, "x-kubernetes-list-type": "set"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "embedded": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
        "by": {"type": "object", "maxProperties": 10, "additionalProperties": _POINT},
    },
    "x-kubernetes-validations": [
        {"rule": "!has(self.tags) || self.tags.all(each, size(each) < 15)", "messageExpression": "self.tags[0] + ' is too long'"},
        {"rule": "self.size >= oldSelf.size || self.size == 1", "fieldPath": ".size"},
    ],
}  # fmt: skip
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP, "scope": "Namespaced", "names": {"kind": "Widget", "plural": PLURAL, "shortNames": ["wi"]},
        "versions": [{
            "name": "v1", "served": True, "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": _SPEC, "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}}},
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"}},
            "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}, {"name": "First", "type": "date", "jsonPath": ".spec.points[0].x"}],
            "selectableFields": [{"jsonPath": ".spec.colour"}],
        }],
    },
}  # fmt: skip
EXAMPLE: dict[str, Any] = {
    "apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": "a"},
    "spec": {
        "size": 5, "ratio": 1.5, "name": "aaa", "when": None, "port": "http", "blob": "AAEC", "colour": "red", "points": [{"x": 1}, {"x": 2, "y": 2}],
        "tags": ["a", "b"], "free": {"a": [1, {"b": None}]}, "embedded": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}, "by": {"k": {"x": 1}},
    },
}  # fmt: skip
COLLECTION = f"/apis/{GROUP}/v1/namespaces/{{namespace}}/{PLURAL}"
