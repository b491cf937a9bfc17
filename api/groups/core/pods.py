"""Pods."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups.core import (
    label_keys,
    pod_annotations,
    pod_cells,
    pod_defaults,
    pod_facts,
    pod_validation,
    pod_warnings,
)
from podium.api.groups.core.pod_validation import update
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import names


class Pods(Strategy):
    has_generation = True
    columns = pod_cells.COLUMNS
    fields = same(
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    )  # fmt: skip
    status_keeps = ("ownerReferences",)

    def default(self, obj: Obj) -> None:
        pod_defaults.pod(obj)
        if status := obj.get("status"):
            _pair_addresses(status)

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        obj["status"] = {"phase": "Pending", "qosClass": pod_facts.of(obj["spec"]).qos}
        if obj["spec"].get("schedulingGates"):
            obj["status"]["conditions"] = [dict(GATED)]
        label_keys.merge(obj)

    def prepare_status(self, new: Obj, old: Obj) -> None:
        super().prepare_status(new, old)
        status, former = new.setdefault("status", {}), old.get("status") or {}
        for key in ("qosClass", "observedGeneration"):
            if not status.get(key) and former.get(key):
                status[key] = former[key]

    def validate_create(self, obj: Obj) -> list[Cause]:
        return super().validate_create(obj) + pod_validation.check_new_pod(obj)

    def check(self, obj: Obj) -> list[Cause]:
        return pod_annotations.check(obj) + _faults(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = pod_annotations.check_update(new, old)
        if new["spec"] == old["spec"]:
            return found
        return found + self.check(new) + update.check_update(new["spec"], old["spec"])

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        """Also judges a subresource that changes a part of the spec (ephemeralcontainers, resize)."""
        found = pod_annotations.check_update(new, old) + update.check_status(new, old)
        if new["spec"] != old["spec"]:
            found += self.check(new) + update.check_ephemeral(new["spec"], old["spec"])
        return found

    def warnings(self, obj: Obj) -> list[str]:
        found = _warnings(obj)
        messages = names.dns_label(obj["metadata"].get("name", ""))
        if not messages:
            return found
        text = (
            "this is used in the Pod's hostname, which can result in surprising behavior; "
            "a DNS label is recommended"
        )
        return [*found, f"metadata.name: {text}: [{' '.join(messages)}]"]

    def grace_period(self, obj: Obj, requested: int | None) -> int:
        """What is asked for, else what the pod says; none for a pod that no node has or that is done."""
        if not obj["spec"].get("nodeName"):
            return 0
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        period = obj["spec"].get("terminationGracePeriodSeconds", 0) if requested is None else requested
        return 1 if period < 0 else int(period)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return pod_cells.row(obj, now)

    def row_conditions(self, obj: Obj) -> list[Obj]:
        return pod_cells.conditions(obj)

    def field(self, obj: Obj, path: str) -> str:
        if path == "spec.hostNetwork":
            return "true" if obj["spec"].get("hostNetwork") else "false"
        if path == "status.podIPs":
            return ""
        return super().field(obj, path)


GATED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


def _faults(pod: Obj) -> list[Cause]:
    """Those outside the metadata; they are looked for once in specs that have none."""
    facts = pod_facts.of(pod["spec"])
    if facts.valid:
        return []
    found = pod_validation.check_pod(pod)
    facts.valid = not found and pod_facts.stands_alone(pod["spec"])
    return found


def _warnings(pod: Obj) -> list[str]:
    facts = pod_facts.of(pod["spec"])
    if facts.harmless:
        return pod_warnings.of_annotations(pod)
    found = pod_warnings.check(pod)
    facts.harmless = len(found) == len(pod_warnings.of_annotations(pod))
    return found


def _pair_addresses(status: Obj) -> None:
    """The singular fields are the first of the plural ones, whichever of the two a client wrote."""
    for one, many in (("podIP", "podIPs"), ("hostIP", "hostIPs")):
        if status.get(one) and not status.get(many):
            status[many] = [{"ip": status[one]}]
        elif status.get(many) and not status.get(one):
            status[one] = status[many][0].get("ip", "")


class PodTemplates(Strategy):
    has_generation = True
    columns = pod_cells.TEMPLATE_COLUMNS

    def default(self, obj: Obj) -> None:
        pod_defaults.template(obj.setdefault("template", {}))

    def check(self, obj: Obj) -> list[Cause]:
        return pod_validation.check_template(obj["template"], "template")

    def warnings(self, obj: Obj) -> list[str]:
        return pod_warnings.check(obj.get("template") or {}, "template")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return pod_cells.template_row(obj)
