"""CertificateSigningRequests. Who asks is the server's to say; what was asked never changes.

Source: API reference, certificates.k8s.io/v1; docs, "Certificates and Certificate Signing Requests"."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from podium.api.groups import cells
from podium.api.strategy import Strategy, same
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.meta import timestamp
from podium.api.types.resources import Resource
from podium.api.validation import causes, names
from podium.api.validation.conditions import conditions, kept

SHORTEST = 600
LEGACY = "kubernetes.io/legacy-unknown"
APPROVAL = ("Approved", "Denied")
FINAL = ("Approved", "Denied", "Failed")
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system",
    "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc",
    "ocsp signing", "s/mime", "server auth", "signing", "timestamping",
)  # fmt: skip
_BLOCK = re.compile(rb"-----BEGIN ([^-\n]*)-----\n(.*?)-----END \1-----", re.DOTALL)


class CertificateSigningRequests(Strategy):
    columns = cells.table("Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition")
    fields = same("spec.signerName")

    @staticmethod
    def name_rule(name: str) -> names.Messages:
        """Any that a path can hold."""
        return names.path_segment(name)

    def prepare_update(self, new: Obj, old: Obj) -> None:
        super().prepare_update(new, old)
        new["spec"] = old.get("spec") or {}

    def stamp(self, new: Obj, old: Obj, now: datetime) -> None:
        """Conditions say when they were written and when they came about."""
        written = conditions(new)
        if all("lastUpdateTime" in each and "lastTransitionTime" in each for each in written):
            return
        before = {(each.get("type"), each.get("status")): each for each in conditions(old)}
        stamp = timestamp(now)
        stamped = []
        for each in written:
            former = before.get((each.get("type"), each.get("status")), {})
            since = former.get("lastTransitionTime", stamp)
            stamped.append({"lastUpdateTime": stamp, "lastTransitionTime": since, **each})
        new["status"] = {**new["status"], "conditions": stamped}

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found = []
        if fault := _request_fault(spec.get("request") or ""):
            found.append(causes.invalid("spec.request", spec.get("request") or "", fault))
        found += _usage_faults(spec.get("usages") or ())
        found += _signer_faults(spec.get("signerName") or "")
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < SHORTEST:
            detail = f"may not specify a duration less than {SHORTEST} seconds (10 minutes)"
            found.append(causes.invalid("spec.expirationSeconds", seconds, detail))
        return found + _condition_faults(conditions(obj)) + _certificate_faults(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return []

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        """A signer's part: the certificate, once, and whether it failed."""
        found = kept(new, old, FINAL)
        for kind in APPROVAL:
            before, after = (conditions(each, kind) for each in (old, new))
            if len(after) > len(before):
                found.append(_forbidden(f'updates may not add a condition of type "{kind}"'))
            elif len(after) == len(before) and after != before:
                found.append(_forbidden(f'updates may not modify a condition of type "{kind}"'))
        given, had = ((each.get("status") or {}).get("certificate") for each in (new, old))
        if had and given != had:
            detail = "updates may not modify existing certificate content"
            found.append(causes.forbidden("status.certificate", detail))
        return found + self.check(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        seconds = spec.get("expirationSeconds")
        duration = cells.NONE if seconds is None else cells.human(timedelta(seconds=seconds))
        return [
            obj["metadata"]["name"], cells.age(obj, now), spec.get("signerName") or cells.NONE,
            spec.get("username", ""), duration, _condition(obj),
        ]  # fmt: skip


def _forbidden(detail: str) -> Cause:
    return causes.forbidden("status.conditions", detail)


def _request_fault(encoded: str) -> str:
    """Why this is no signing request; "" when it is one, signed by the key that it is for."""
    try:
        block = _BLOCK.search(base64.b64decode(encoded, validate=True))
    except binascii.Error as error:
        return str(error)
    if block is None or block[1] != b"CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        request = x509.load_pem_x509_csr(block[0])
        return "" if request.is_signature_valid else "x509: the request's signature does not fit its key"
    except (ValueError, TypeError) as error:
        return f"x509: {error}"


def _usage_faults(usages: Sequence[str]) -> list[Cause]:
    if not usages:
        return [causes.required("spec.usages")]
    found = []
    for number, usage in enumerate(usages):
        path = f"spec.usages[{number}]"
        if usage not in USAGES:
            found.append(causes.not_supported(path, usage, USAGES))
        if usage in usages[:number]:
            found.append(causes.duplicate(path, usage))
    return found


def _signer_faults(name: str) -> list[Cause]:
    path = "spec.signerName"
    if not name:
        return [causes.required(path)]
    if name == LEGACY:
        return [causes.invalid(path, name, "the legacy signerName is not allowed via this API version")]
    domain, _, rest = name.partition("/")
    if not rest or "/" in rest or "." not in domain or names.dns_subdomain(domain):
        detail = 'must be a fully qualified domain and path of the form "example.com/signer-name"'
        return [causes.invalid(path, name, detail)]
    return []


def _condition_faults(listed: Sequence[Obj]) -> list[Cause]:
    found = []
    seen: list[str] = []
    for number, each in enumerate(listed):
        path, kind, status = f"status.conditions[{number}]", each.get("type") or "", each.get("status") or ""
        supported = ("True",) if kind in FINAL else ("False", "True", "Unknown")
        if not kind:
            found.append(causes.required(f"{path}.type"))
        if not status:
            found.append(causes.required(f"{path}.status"))
        elif status not in supported:
            found.append(causes.not_supported(f"{path}.status", status, supported))
        if kind in seen:
            found.append(causes.duplicate(f"{path}.type", kind))
        seen.append(kind)
        if kind in APPROVAL and set(APPROVAL) <= set(seen):
            detail = "Approved and Denied conditions are mutually exclusive"
            found.append(causes.invalid("status.conditions", kind, detail))
    return found


def _certificate_faults(obj: Obj) -> list[Cause]:
    encoded = (obj.get("status") or {}).get("certificate")
    if not encoded:
        return []
    fault = _certificate_fault(encoded)
    return [causes.invalid("status.certificate", "<certificate data>", fault)] if fault else []


def _certificate_fault(encoded: str) -> str:
    try:
        blocks = list(_BLOCK.finditer(base64.b64decode(encoded, validate=True)))
        for block in blocks:
            if block[1] != b"CERTIFICATE":
                return f'only CERTIFICATE PEM blocks are allowed, found "{block[1].decode()}"'
            x509.load_pem_x509_certificate(block[0])
    except (binascii.Error, ValueError) as error:
        return str(error)
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def _condition(obj: Obj) -> str:
    kinds = {entry.get("type") for entry in conditions(obj)}
    text = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        text += ",Failed"
    return f"{text},Issued" if (obj.get("status") or {}).get("certificate") else text


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.CERTIFICATE_SIGNING_REQUESTS: CertificateSigningRequests
}
