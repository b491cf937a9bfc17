"""What is made of a webhook's answer. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from podium.api.schema import patches
from podium.api.types import Obj
from podium.api.types.errors import StatusError


class CallFailed(Exception):
    """The webhook gave no answer that could be used; its failure policy says what that means."""


class Verdict(NamedTuple):
    """`patch` are the operations of a JSON patch, None where nothing is to be changed."""

    allowed: bool
    status: Obj
    patch: list[Obj] | None
    warnings: list[str]
    annotations: Mapping[str, str] = MappingProxyType({})


def verdict(answer: Any, uid: str, version: str, *, mutating: bool) -> Verdict:
    """Raises CallFailed."""
    if not isinstance(answer, dict):
        raise _unusable("the answer is no object")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise _unusable("webhook response was absent")
    expected = f"admission.k8s.io/{version}"
    type_ = (answer.get("apiVersion"), answer.get("kind"))
    if type_ != (expected, "AdmissionReview"):
        wanted = f"expected webhook response of {expected}, Kind=AdmissionReview"
        raise _unusable(f"{wanted}, got {type_[0] or ''}, Kind={type_[1] or ''}")
    if response.get("uid") != uid:
        raise _unusable(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    warnings = [text for text in response.get("warnings") or () if isinstance(text, str)]
    status = response.get("status")
    patch = _patch(response, version, mutating)
    told = response.get("auditAnnotations")
    annotations = (
        {key: text for key, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}
    )
    allowed = response.get("allowed") is True
    return Verdict(allowed, status if isinstance(status, dict) else {}, patch, warnings, annotations)


def _unusable(why: str) -> CallFailed:
    return CallFailed(f"received invalid webhook response: {why}")


def _patch(response: Obj, version: str, mutating: bool) -> list[Obj] | None:
    encoded, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        if version == "v1" and (encoded or kind):
            what = "patch" if encoded else "patchType"
            raise _unusable(f"validating webhook may not return response.{what}")
        return None
    if not encoded:
        if kind:
            raise _unusable("webhook returned response.patchType but not response.patch")
        return None
    if not kind:
        raise _unusable("webhook returned response.patch but not response.patchType")
    if kind != "JSONPatch":
        raise _unusable(f'webhook returned invalid response.patchType of "{kind}"')
    try:
        operations = orjson.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, TypeError, ValueError) as error:
        raise CallFailed(f"received undecodable patch: {error}") from None
    if not isinstance(operations, list):
        raise CallFailed("received undecodable patch: a JSON patch is a list of operations")
    return operations or None


def patched(obj: Obj, operations: list[Obj]) -> Obj:
    """Raises CallFailed for a patch that does not fit the object."""
    try:
        made = patches.json_patch(obj, operations)
    except StatusError as error:
        raise CallFailed(error.message) from None
    if not isinstance(made, dict):
        raise CallFailed("the patch does not leave an object")
    return made


def denial(name: str, status: Obj) -> StatusError:
    """The answer to the client for a webhook that did not allow the request."""
    by = f'admission webhook "{name}" denied the request'
    told = status.get("message") or status.get("reason")
    code = status.get("code")
    if not isinstance(code, int) or not 400 <= code <= 599:
        code = 400
    details = status.get("details")
    return StatusError(
        code,
        str(status.get("reason") or ""),
        f"{by}: {told}" if told else f"{by} without explanation",
        details if isinstance(details, dict) else None,
    )
