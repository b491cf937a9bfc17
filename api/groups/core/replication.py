"""ReplicationControllers."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core import pod_defaults, pod_validation, pod_warnings
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, values


class ReplicationControllers(Strategy):
    has_generation = True
    columns = cells.table(
        "Name", "Desired:integer", "Current:integer", "Ready:integer", "Age", *cells.CONTAINERS
    )
    fields = same("status.replicas")
    first_status = MappingProxyType({"replicas": 0})
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        if (template := spec.get("template")) is None:
            return
        pod_defaults.template(template)
        if labels := (template.get("metadata") or {}).get("labels"):
            if not spec.get("selector"):
                spec["selector"] = dict(labels)
            if not obj["metadata"].get("labels"):
                obj["metadata"]["labels"] = dict(labels)

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = values.not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
        if not spec.get("selector"):
            found.append(causes.required("spec.selector"))
        found += values.not_negative(spec.get("replicas"), "spec.replicas")
        template, path = spec.get("template"), "spec.template"
        if template is None:
            return [*found, causes.required(path)]
        labels = (template.get("metadata") or {}).get("labels") or {}
        if any(labels.get(key) != value for key, value in (spec.get("selector") or {}).items()):
            detail = "`selector` does not match template `labels`"
            found.append(causes.invalid(f"{path}.metadata.labels", labels, detail))
        found += pod_validation.check_template(template, path)
        return found + always_restarts(template["spec"], f"{path}.spec", "ReplicationController")

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status = new.get("status") or {}
        keys = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
        found: list[Cause] = []
        for key in ("replicas", *keys, "observedGeneration"):
            found += values.not_negative(status.get(key), f"status.{key}")
        parts = [(key, "replicas", "status.replicas") for key in keys]
        for key, whole, shown in (*parts, ("availableReplicas", "readyReplicas", "readyReplicas")):
            if status.get(key, 0) > status.get(whole, 0):
                detail = f"cannot be greater than {shown}"
                found.append(causes.invalid(f"status.{key}", status[key], detail))
        return found

    def warnings(self, obj: Obj) -> list[str]:
        return pod_warnings.check(obj["spec"].get("template") or {}, "spec.template")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, status = obj["spec"], obj.get("status") or {}
        return [
            obj["metadata"]["name"], spec.get("replicas", 0), status.get("replicas", 0),
            status.get("readyReplicas", 0), cells.age(obj, now), *cells.containers(spec.get("template")),
            cells.labels(spec.get("selector")),
        ]  # fmt: skip

    def field(self, obj: Obj, path: str) -> str:
        return super().field(obj, path) or ("0" if path == "status.replicas" else "")

    def scale_selector(self, obj: Obj) -> str:
        return ",".join(
            f"{key}={value}" for key, value in sorted((obj["spec"].get("selector") or {}).items())
        )


def always_restarts(spec: Obj, path: str, owner: str) -> list[Cause]:
    """Pods that somebody keeps running neither end by themselves nor by a deadline."""
    found = []
    if spec.get("restartPolicy") != "Always":
        found.append(causes.not_supported(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {owner} is not Supported"
        found.append(causes.forbidden(f"{path}.activeDeadlineSeconds", detail))
    return found
