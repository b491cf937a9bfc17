"""AuthorizationConfiguration: who is asked whether somebody may, in which order.

Source: API reference, apiserver.config.k8s.io/v1 AuthorizationConfiguration; docs, "Configuring the API
Server using an Authorization Config File"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from podium.api.auth.configuration import (
    check_fields,
    document,
    duplicate,
    invalid,
    refuse,
    required,
    seconds,
    unsupported,
)
from podium.api.auth.webhooks.authorization import AccessReviewer, Settings
from podium.api.auth.webhooks.remote import Remote, Session, place_of
from podium.api.cel import CompileError, Program, compile_expression
from podium.api.types.errors import Cause

KIND = "AuthorizationConfiguration"
VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
WEBHOOK = "Webhook"
TYPES = ("AlwaysAllow", "Node", "RBAC", WEBHOOK)
LONGEST = 30.0
MOST_CONDITIONS = 64
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WEBHOOK: dict[str, type] = {
    "authorizedTTL": str, "cacheAuthorizedRequests": bool, "unauthorizedTTL": str,
    "cacheUnauthorizedRequests": bool, "timeout": str, "subjectAccessReviewVersion": str,
    "matchConditionSubjectAccessReviewVersion": str, "failurePolicy": str, "connectionInfo": dict,
    "matchConditions": list,
}  # fmt: skip


class Asked(NamedTuple):
    """A webhook that is asked: its kubeconfig, the seconds that it has to answer in, and the rest."""

    kubeconfig: Path
    timeout: float = LONGEST
    settings: Settings = Settings()

    def reviewer(self, session: Session) -> AccessReviewer:
        """Raises ConfigError."""
        return AccessReviewer(Remote(place_of(self.kubeconfig), session, self.timeout), self.settings)


def read(text: str) -> list[str | Asked]:
    """The modes in the order in which they are asked. Raises ConfigError."""
    given = document(text, KIND, VERSIONS)
    causes: list[Cause] = check_fields(given, "", {"apiVersion": str, "kind": str, "authorizers": list})
    refuse(causes)
    listed = given.get("authorizers") or []
    if not listed:
        causes.append(required("authorizers", "at least one authorization mode must be defined"))
    found: list[str | Asked] = []
    types: set[str] = set()
    names: set[str] = set()
    for index, entry in enumerate(listed):
        path = f"authorizers[{index}]"
        faults = check_fields(entry, path, {"type": str, "name": str, "webhook": dict})
        if not faults:
            faults = _named(entry, path, types, names)
            mode = _mode(entry, path, faults)
            found += [mode] if mode is not None else []
        causes += faults
    refuse(causes)
    return found


def _named(entry: Mapping[str, Any], path: str, types: set[str], names: set[str]) -> list[Cause]:
    kind, name = entry.get("type") or "", entry.get("name") or ""
    if not kind:
        return [required(f"{path}.type")]
    if kind not in TYPES:
        return [unsupported(f"{path}.type", kind, TYPES)]
    if kind in types and kind != WEBHOOK:
        return [duplicate(f"{path}.type", kind)]
    types.add(kind)
    again = name in names
    names.add(name)
    if not name:
        return [required(f"{path}.name")]
    if again:
        return [duplicate(f"{path}.name", name)]
    if not _NAME.fullmatch(name) or len(name) > 253:
        why = "authorizer name is invalid: must be a lowercase RFC 1123 subdomain"
        return [invalid(f"{path}.name", name, why)]
    return []


def _mode(entry: Mapping[str, Any], path: str, causes: list[Cause]) -> str | Asked | None:
    kind, webhook = entry.get("type") or "", entry.get("webhook")
    if kind != WEBHOOK:
        if webhook is not None:
            causes.append(invalid(f"{path}.webhook", "non-null", "may only be specified when type=Webhook"))
        return kind
    if webhook is None:
        causes.append(required(f"{path}.webhook", "required when type=Webhook"))
        return None
    causes += check_fields(webhook, f"{path}.webhook", _WEBHOOK)
    return None if causes else _webhook(entry.get("name") or "", webhook, path, causes)


def _webhook(name: str, given: Mapping[str, Any], path: str, causes: list[Cause]) -> Asked:
    timeout = _seconds(given, path, "timeout", causes)
    if timeout > LONGEST:
        causes.append(invalid(f"{path}.timeout", str(given.get("timeout")), "must be > 0s and <= 30s"))
    authorized = _seconds(given, path, "authorizedTTL", causes, "300s")
    unauthorized = _seconds(given, path, "unauthorizedTTL", causes, "30s")
    conditions = given.get("matchConditions") or []
    version = _choice(given, path, "subjectAccessReviewVersion", ("v1", "v1beta1"), causes)
    policy = _choice(given, path, "failurePolicy", ("NoOpinion", "Deny"), causes)
    key = "matchConditionSubjectAccessReviewVersion"
    if conditions and not given.get(key):
        causes.append(required(f"{path}.{key}", "required if match conditions are specified"))
    elif given.get(key):
        _choice(given, path, key, ("v1",), causes)
    settings = Settings(
        name,
        version or "v1",
        authorized if given.get("cacheAuthorizedRequests", True) else 0.0,
        unauthorized if given.get("cacheUnauthorizedRequests", True) else 0.0,
        policy == "Deny",
        _conditions(conditions, f"{path}.matchConditions", causes),
    )
    return Asked(_kubeconfig(given.get("connectionInfo") or {}, path, causes), timeout, settings)


def _choice(
    given: Mapping[str, Any], path: str, field: str, known: tuple[str, ...], causes: list[Cause]
) -> str:
    value = given.get(field) or ""
    if not value:
        causes.append(required(f"{path}.{field}"))
    elif value not in known:
        causes.append(unsupported(f"{path}.{field}", value, known))
    return str(value)


def _seconds(
    given: Mapping[str, Any], path: str, field: str, causes: list[Cause], default: str = ""
) -> float:
    text = given.get(field) or default
    found = seconds(text) if text else None
    if not text:
        causes.append(required(f"{path}.{field}"))
    elif not found:
        causes.append(invalid(f"{path}.{field}", text, "must be > 0s"))
    return found or LONGEST


def _kubeconfig(given: Mapping[str, Any], path: str, causes: list[Cause]) -> Path:
    path = f"{path}.connectionInfo"
    causes += check_fields(given, path, {"type": str, "kubeConfigFile": str})
    kind, file = given.get("type") or "", given.get("kubeConfigFile") or ""
    if not kind:
        causes.append(required(f"{path}.type"))
    elif kind != "KubeConfigFile":
        causes.append(unsupported(f"{path}.type", kind, ("KubeConfigFile",)))
    elif not file:
        causes.append(required(f"{path}.kubeConfigFile"))
    elif not Path(file).is_absolute():
        causes.append(invalid(f"{path}.kubeConfigFile", file, "must be an absolute path"))
    elif not Path(file).is_file():
        causes.append(invalid(f"{path}.kubeConfigFile", file, "must be a regular file"))
    return Path(file)


def _conditions(listed: Sequence[Any], path: str, causes: list[Cause]) -> tuple[Program, ...]:
    if len(listed) > MOST_CONDITIONS:
        text = f"Too many: {len(listed)}: must have at most {MOST_CONDITIONS} items"
        causes.append(Cause("FieldValueTooMany", text, path))
        return ()
    found: dict[str, Program] = {}
    for index, entry in enumerate(listed):
        place = f"{path}[{index}].expression"
        faults = check_fields(entry, f"{path}[{index}]", {"expression": str})
        causes += faults
        source = "" if faults else entry.get("expression") or ""
        if not source.strip():
            causes.append(required(place))
        elif source in found:
            causes.append(duplicate(place, source))
        else:
            try:
                found[source] = compile_expression(source, ("request",), ("bool",))
            except CompileError as error:
                causes.append(invalid(place, source, f"compilation failed: {error}"))
    return tuple(found.values())
