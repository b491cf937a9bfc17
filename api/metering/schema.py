"""What NodeMetrics and PodMetrics look like, for the OpenAPI documents.

Source: API reference, metrics.k8s.io/v1beta1.
"""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.resources import Resource

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
NODE_METRICS = Resource(GROUP, VERSION, "nodes", "NodeMetrics", False, verbs=("get", "list"), singular="node")
POD_METRICS = Resource(GROUP, VERSION, "pods", "PodMetrics", True, verbs=("get", "list"), singular="pod")
RESOURCES = (NODE_METRICS, POD_METRICS)

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_OWN = f"io.k8s.metrics.pkg.apis.metrics.{VERSION}."


def _of(name: str) -> str:
    return f"#/$defs/{name}"


_USAGE: Obj = {
    "type": "object",
    "additionalProperties": {"$ref": _of("io.k8s.apimachinery.pkg.api.resource.Quantity")},
    "description": "What was used: of cpu on average over the window, of memory at its end.",
}
_ITEMS: dict[str, Obj] = {
    "NodeMetrics": {"usage": _USAGE},
    "PodMetrics": {
        "containers": {
            "type": "array",
            "items": {"$ref": _of(f"{_OWN}ContainerMetrics")},
            "description": "What each container used.",
        }
    },
}


def _object(kind: str, about: str, properties: Obj, required: list[str], meta: str) -> Obj:
    return {
        "type": "object",
        "description": about,
        "properties": {
            "apiVersion": {"type": "string", "description": "The version of the object's schema."},
            "kind": {"type": "string", "description": "The object's kind."},
            "metadata": {"$ref": _of(_META + meta)},
            **properties,
        },
        "required": required,
        "x-kubernetes-group-version-kind": [{"group": GROUP, "version": VERSION, "kind": kind}],
    }


def _metrics(kind: str, more: Obj) -> Obj:
    about = f"{kind} tells what was used within the window that ended at the timestamp."
    properties = {
        "timestamp": {"$ref": _of(f"{_META}Time"), "description": "The end of the window."},
        "window": {"type": "string", "description": "How long the window was, as a duration: 15.03s."},
        **more,
    }
    return _object(kind, about, properties, ["timestamp", "window", *more], "ObjectMeta")


def _list(kind: str) -> Obj:
    items = {"items": {"type": "array", "items": {"$ref": _of(_OWN + kind)}, "description": "The objects."}}
    return _object(f"{kind}List", f"A list of {kind}.", items, ["items"], "ListMeta")


DEFINITIONS: dict[str, Obj] = {
    f"{_OWN}ContainerMetrics": {
        "type": "object",
        "description": "What one container used.",
        "properties": {
            "name": {"type": "string", "description": "The container's name."},
            "usage": _USAGE,
        },
        "required": ["name", "usage"],
    },
    **{_OWN + kind: _metrics(kind, more) for kind, more in _ITEMS.items()},
    **{f"{_OWN}{kind}List": _list(kind) for kind in _ITEMS},
}
