"""Probes and lifecycle hooks of a container."""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

SCHEMES = ("HTTP", "HTTPS")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_PROBES, _HOOKS = ("exec", "httpGet", "tcpSocket", "grpc"), ("exec", "httpGet", "tcpSocket", "sleep")


def check(container: Obj, grace: int | None, path: str) -> list[Cause]:
    """`grace` is the pod's termination grace period, which a sleeping hook must fit into."""
    found: list[Cause] = []
    if (lifecycle := container.get("lifecycle")) is not None:
        for key in ("postStart", "preStop"):
            if (hook := lifecycle.get(key)) is not None:
                found += _handler(hook, f"{path}.lifecycle.{key}", _HOOKS, grace)
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(key)) is not None:
            found += _probe(probe, key, f"{path}.{key}")
    return found


def _probe(probe: Obj, kind: str, path: str) -> list[Cause]:
    found = _handler(probe, path, _PROBES)
    for key in _COUNTS:
        found += values.not_negative(probe.get(key), f"{path}.{key}")
    grace, where = probe.get("terminationGracePeriodSeconds"), f"{path}.terminationGracePeriodSeconds"
    if grace is not None and grace <= 0:
        found.append(causes.invalid(where, grace, "must be greater than 0"))
    if kind == "readinessProbe":
        if grace is not None:
            found.append(causes.invalid(where, grace, "must not be set for readinessProbes"))
        return found
    if probe.get("successThreshold") != 1:
        found.append(causes.invalid(f"{path}.successThreshold", probe.get("successThreshold"), "must be 1"))
    return found


def _handler(handler: Obj, path: str, kinds: tuple[str, ...], grace: int | None = None) -> list[Cause]:
    given = [key for key in kinds if handler.get(key) is not None]
    if not given:
        return [causes.required(path, "must specify a handler type")]
    found = _action(given[0], handler[given[0]], f"{path}.{given[0]}", grace)
    return found + [
        causes.forbidden(f"{path}.{key}", "may not specify more than 1 handler type") for key in given[1:]
    ]


def _action(kind: str, action: Obj, path: str, grace: int | None) -> list[Cause]:
    match kind:
        case "exec":
            return [] if action.get("command") else [causes.required(f"{path}.command")]
        case "httpGet":
            return _http(action, path)
        case "tcpSocket":
            return values.port_or_name(action.get("port"), f"{path}.port")
        case "grpc":
            return values.port(action.get("port", 0), f"{path}.port")
    seconds = action.get("seconds", 0)
    if grace is not None and not 0 <= seconds <= grace:
        detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        return [causes.invalid(path, seconds, detail)]
    return []


def _http(action: Obj, path: str) -> list[Cause]:
    found = [] if action.get("path") else [causes.required(f"{path}.path")]
    found += values.port_or_name(action.get("port"), f"{path}.port")
    if action.get("scheme") not in SCHEMES:
        found.append(causes.not_supported(f"{path}.scheme", action.get("scheme", ""), SCHEMES))
    for header in action.get("httpHeaders") or ():
        found += values.named(header.get("name", ""), f"{path}.httpHeaders", names.http_header)
    return found
