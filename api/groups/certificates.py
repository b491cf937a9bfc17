"""CertificateSigningRequests. Who asks is the server's to say; what was asked never changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy, same
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes

SHORTEST = 600


class CertificateSigningRequests(Strategy):
    columns = cells.table("Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition")
    fields = same("spec.signerName")

    def prepare_update(self, new: Obj, old: Obj) -> None:
        super().prepare_update(new, old)
        new["spec"] = old.get("spec") or {}

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found = [causes.required(f"spec.{key}") for key in ("request", "signerName") if not spec.get(key)]
        if not spec.get("usages"):
            found.append(causes.required("spec.usages"))
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < SHORTEST:
            detail = f"may not specify a duration less than {SHORTEST} seconds (10 minutes)"
            found.append(causes.invalid("spec.expirationSeconds", seconds, detail))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return []

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        seconds = spec.get("expirationSeconds")
        duration = cells.NONE if seconds is None else cells.human(timedelta(seconds=seconds))
        return [
            obj["metadata"]["name"], cells.age(obj, now), spec.get("signerName") or cells.NONE,
            spec.get("username", ""), duration, _condition(obj),
        ]  # fmt: skip


def _condition(obj: Obj) -> str:
    status = obj.get("status") or {}
    kinds = {entry.get("type") for entry in status.get("conditions") or ()}
    text = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        text += ",Failed"
    return f"{text},Issued" if status.get("certificate") else text


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.CERTIFICATE_SIGNING_REQUESTS: CertificateSigningRequests
}
