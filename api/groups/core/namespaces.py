"""Namespaces. They go in two steps: deletion marks them Terminating, and they are gone once the finalizer
`kubernetes` in their spec has been removed through the subresource `finalize`, by the controller that empties
them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

FINALIZER = "kubernetes"
STANDARD_FINALIZERS = (FINALIZER, "orphan", "foregroundDeletion")
NAME_LABEL = "kubernetes.io/metadata.name"


class Namespaces(Strategy):
    name_rule = staticmethod(names.dns_label)
    columns = cells.table("Name", "Status", "Age")
    fields = same("status.phase")
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        if name := obj["metadata"].get("name"):
            labels = obj["metadata"].get("labels") or {}
            if labels.get(NAME_LABEL) != name:
                obj["metadata"]["labels"] = {**labels, NAME_LABEL: name}
        obj.setdefault("status", {}).setdefault("phase", "Active")

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        obj["status"] = {"phase": "Active"}
        spec = obj.setdefault("spec", {})
        finalizers = spec.get("finalizers") or []
        if FINALIZER not in finalizers:
            spec["finalizers"] = [*finalizers, FINALIZER]

    def prepare_update(self, new: Obj, old: Obj) -> None:
        """Finalizers of the spec change through the subresource `finalize` only (`prepare_finalize`)."""
        super().prepare_update(new, old)
        former = (old.get("spec") or {}).get("finalizers")
        spec = {**(new.get("spec") or {})}
        spec.pop("finalizers", None)
        new["spec"] = {**spec, "finalizers": former} if former else spec

    def prepare_finalize(self, new: Obj, old: Obj) -> None:
        """Leaves nothing of `new` but the finalizers of its spec."""
        finalizers = (new.get("spec") or {}).get("finalizers")
        self.prepare_status(new, old)
        new["status"] = old.get("status") or {}
        new["spec"] = {"finalizers": finalizers} if finalizers else {}

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        for finalizer in (obj.get("spec") or {}).get("finalizers") or ():
            path = "spec.finalizers"
            found += values.named(finalizer, path, names.qualified)
            if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
                detail = "name is neither a standard finalizer name nor is it fully qualified"
                found.append(causes.invalid(path, finalizer, detail))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return []

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        phase = (new.get("status") or {}).get("phase")
        if new["metadata"].get("deletionTimestamp"):
            if phase != "Terminating":
                detail = "may only be 'Active' if `deletionTimestamp` is empty"
                return [causes.invalid("status.Phase", phase, detail)]
        elif phase != "Active":
            detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
            return [causes.invalid("status.Phase", phase, detail)]
        return []

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], (obj.get("status") or {}).get("phase", ""), cells.age(obj, now)]
