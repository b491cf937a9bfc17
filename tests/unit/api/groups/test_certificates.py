"""Signing requests: what is asked for is checked at the door, and what was decided stays so."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS
from podium.api.validation.conditions import kept
from tests.unit import signing

from .build import created, strategy

SIGNER = "kubernetes.io/kube-apiserver-client"
CUT = base64.b64encode(
    b"-----BEGIN CERTIFICATE REQUEST-----\neA==\n-----END CERTIFICATE REQUEST-----\n"
).decode()


def request(**spec: Any) -> Obj:
    made = signing.request("r", signing.pem(), SIGNER, ["client auth"])
    return {**made, "spec": {**made["spec"], **spec}}


def faults(obj: Obj) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in strategy(CERTIFICATE_SIGNING_REQUESTS).check(obj)]


def conditions(*kinds: str, status: str = "True") -> list[Obj]:
    return [{"type": kind, "status": status, "reason": "R"} for kind in kinds]


def with_status(obj: Obj, **status: Any) -> Obj:
    return {**obj, "status": {**(obj.get("status") or {}), **status}}


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"request": "eA=="}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"request": CUT}, "spec.request: Invalid value"),
        ({"usages": []}, "spec.usages: Required value"),
        ({"usages": ["client auth", "flying"]}, 'spec.usages[1]: Unsupported value: "flying"'),
        ({"usages": ["client auth", "client auth"]}, 'spec.usages[1]: Duplicate value: "client auth"'),
        ({"signerName": ""}, "spec.signerName: Required value"),
        ({"signerName": "mine"},
         'must be a fully qualified domain and path of the form "example.com/signer-name"'),
        ({"signerName": "kubernetes.io/legacy-unknown"},
         "the legacy signerName is not allowed via this API version"),
        ({"expirationSeconds": 599}, "may not specify a duration less than 600 seconds (10 minutes)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_request_is_said(spec: dict[str, Any], fault: str) -> None:
    found = faults(request(**spec))
    assert len(found) == 1
    assert fault in found[0]


def test_a_good_request_is_taken() -> None:
    assert faults(request(expirationSeconds=600)) == []


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (conditions("Approved", "Denied"), "Approved and Denied conditions are mutually exclusive"),
        (conditions("Approved", "Approved"), 'status.conditions[1].type: Duplicate value: "Approved"'),
        (conditions("Approved", status="False"), 'status.conditions[0].status: Unsupported value: "False"'),
        (conditions(""), "status.conditions[0].type: Required value"),
    ],
)
def test_conditions_that_contradict_are_refused(written: list[Obj], fault: str) -> None:
    assert fault in " ".join(faults(with_status(request(), conditions=written)))


def test_a_decision_is_made_through_approval_alone_and_stays() -> None:
    checks = strategy(CERTIFICATE_SIGNING_REQUESTS)
    old = created(CERTIFICATE_SIGNING_REQUESTS, request())
    approved = with_status(old, conditions=conditions("Approved"))
    (added,) = checks.check_status(approved, old)
    assert added.message == 'Forbidden: updates may not add a condition of type "Approved"'
    (removed,) = kept(old, approved, ["Approved"])
    assert removed.message == 'Forbidden: updates may not remove a condition of type "Approved"'
    failed = with_status(approved, conditions=conditions("Approved", "Failed"))
    assert checks.check_status(failed, approved) == []


def test_a_certificate_is_written_once_and_is_one() -> None:
    checks = strategy(CERTIFICATE_SIGNING_REQUESTS)
    old = with_status(request(), certificate="eA==")
    (fault, *_) = checks.check_status(with_status(old, certificate="eQ=="), old)
    assert fault.message == "Forbidden: updates may not modify existing certificate content"
    (fault,) = checks.check_status(with_status(request(), certificate="eA=="), request())
    assert "must contain at least one CERTIFICATE PEM block" in fault.message
