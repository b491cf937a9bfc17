"""Groups under k8s.io and kubernetes.io belong to the community: a definition in one of them says who
approved it.

Source: docs, "Extend the Kubernetes API"; API reference, the annotation api-approved.kubernetes.io.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

ANNOTATION = "api-approved.kubernetes.io"
POLICY = "KubernetesAPIApprovalPolicyConformant"
PROTECTED = ("k8s.io", "kubernetes.io")
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


class Approval(NamedTuple):
    """As the condition of the definition says it."""

    status: str
    reason: str
    message: str


def approval(definition: Obj) -> Approval | None:
    """None for a group that belongs to nobody."""
    group = definition["spec"].get("group") or ""
    if not any(group == each or group.endswith(f".{each}") for each in PROTECTED):
        return None
    text = (definition["metadata"].get("annotations") or {}).get(ANNOTATION) or ""
    must = f'protected groups must have approval annotation "{ANNOTATION}"'
    if not text:
        return Approval("False", "MissingAnnotation", f"{must}, {_SEE}")
    if text.startswith("unapproved"):
        return Approval("False", "UnapprovedAnnotation", f"not approved: {causes.render(text)}")
    if _is_url(text):
        return Approval("True", "ApprovedAnnotation", f"approved in {text}")
    how = 'with either a URL or a reason starting with "unapproved"'
    return Approval("False", "InvalidAnnotation", f"{must} {how}, {_SEE}")


def check_approval(new: Obj, old: Obj | None = None) -> list[Cause]:
    """What was there before may stay."""
    found = approval(new)
    if found is None or found.reason in ("ApprovedAnnotation", "UnapprovedAnnotation"):
        return []
    before = approval(old) if old is not None else None
    if before is not None and before.reason == found.reason:
        return []
    path = f"metadata.annotations[{ANNOTATION}]"
    if found.reason == "MissingAnnotation":
        return [causes.required(path, found.message)]
    return [causes.invalid(path, new["metadata"]["annotations"][ANNOTATION], found.message)]


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)
