"""What a claim asks for: requests, each for devices of a class or for the first of several that there is.

Source: API reference, DeviceClaim; KEP-4816.
"""

from __future__ import annotations

from podium.api.groups.devices import parts
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

MOST_REQUESTS = MOST_CONSTRAINTS = 32
MOST_CHOICES = 8
MODES = ("All", "ExactCount")
EFFECTS = ("NoExecute", "NoSchedule", "None")
_ONE = "exactly one of `exactly` or `firstAvailable` is required"
_UNKNOWN = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)


def default_requests(spec: Obj) -> None:
    """A ResourceClaimSpec: one device exactly, where nothing else is said."""
    for request in (spec.get("devices") or {}).get("requests") or ():
        for part in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if part is not None:
                part["allocationMode"] = part.get("allocationMode") or "ExactCount"
                if part["allocationMode"] == "ExactCount":
                    part["count"] = part.get("count") or 1
                for toleration in part.get("tolerations") or ():
                    toleration["operator"] = toleration.get("operator") or "Equal"


class Requests:
    """The names of a DeviceClaim's requests, `gpu`, and of what they choose from, `gpu/big`."""

    def __init__(self, claim: Obj) -> None:
        self.names = {
            name
            for request in claim.get("requests") or ()
            for name in (
                request.get("name", ""),
                *(f"{request.get('name')}/{sub.get('name')}" for sub in request.get("firstAvailable") or ()),
            )
        }

    def check(self, name: str, path: str) -> list[Cause]:
        """The faults of a reference to one."""
        segments = name.split("/")
        if len(segments) > 2:
            return [causes.invalid(path, name, _UNKNOWN)]
        found = [cause for part in segments for cause in values.named(part, path, names.dns_label)]
        return found if name in self.names else [*found, causes.invalid(path, name, _UNKNOWN)]

    def check_all(self, given: list[str] | None, path: str) -> list[Cause]:
        return parts.unique(given, MOST_REQUESTS, self.check, path, lambda name: name)


def device_claim(claim: Obj, path: str) -> list[Cause]:
    known = Requests(claim)

    def constraint(given: Obj, where: str) -> list[Cause]:
        return known.check_all(given.get("requests"), f"{where}.requests") + _constraint(given, where)

    def config(given: Obj, where: str) -> list[Cause]:
        found = known.check_all(given.get("requests"), f"{where}.requests")
        return found + parts.configuration(given, where)

    found = parts.unique(
        claim.get("requests"),
        MOST_REQUESTS,
        _request,
        f"{path}.requests",
        lambda request: request.get("name"),
    )
    found += parts.each(claim.get("constraints"), MOST_CONSTRAINTS, constraint, f"{path}.constraints")
    return found + parts.each(claim.get("config"), parts.MOST_CONFIGS, config, f"{path}.config")


def _request(request: Obj, path: str) -> list[Cause]:
    found = values.named(request.get("name", ""), f"{path}.name", names.dns_label)
    exactly, choices = request.get("exactly"), request.get("firstAvailable")
    if exactly is None and not choices:
        return [*found, causes.required(path, _ONE)]
    if exactly is not None and choices:
        return [*found, causes.invalid(path, None, f"{_ONE}, but multiple fields are set")]
    if exactly is not None:
        return found + _devices(exactly, f"{path}.exactly")

    def choice(given: Obj, where: str) -> list[Cause]:
        named = values.named(given.get("name", ""), f"{where}.name", names.dns_label)
        return named + _devices(given, where)

    where = f"{path}.firstAvailable"
    return found + parts.unique(choices, MOST_CHOICES, choice, where, lambda each: each.get("name"))


def _devices(part: Obj, path: str) -> list[Cause]:
    name, where = part.get("deviceClassName", ""), f"{path}.deviceClassName"
    found = values.named(name, where, names.dns_subdomain) if name else [causes.required(where)]
    found += parts.selectors(part.get("selectors"), f"{path}.selectors")
    mode, count = part.get("allocationMode", ""), part.get("count", 0)
    if mode == "All" and count:
        detail = "must not be specified when allocationMode is 'All'"
        found.append(causes.invalid(f"{path}.count", count, detail))
    elif mode == "ExactCount" and count <= 0:
        found.append(causes.invalid(f"{path}.count", count, "must be greater than zero"))
    elif mode not in MODES:
        found.append(causes.not_supported(f"{path}.allocationMode", mode, MODES))
    for index, toleration in enumerate(part.get("tolerations") or ()):
        found += _toleration(toleration, f"{path}.tolerations[{index}]")
    return found


def _toleration(toleration: Obj, path: str) -> list[Cause]:
    key, value, operator = (toleration.get(name, "") for name in ("key", "value", "operator"))
    found = values.named(key, f"{path}.key", names.qualified) if key else []
    match operator:
        case "Exists":
            if value:
                detail = "must be empty for operator `Exists`"
                found.append(causes.invalid(f"{path}.value", value, detail))
        case "Equal":
            found += values.named(value, f"{path}.value", names.label_value)
        case _:
            found += values.one_of(operator, f"{path}.operator", ("Equal", "Exists"))
    return found + values.optional_one_of(toleration.get("effect") or None, f"{path}.effect", EFFECTS)


def _constraint(constraint: Obj, path: str) -> list[Cause]:
    for key in ("matchAttribute", "distinctAttribute"):
        if (name := constraint.get(key)) is not None:
            return parts.fully_qualified(name, f"{path}.{key}")
    detail = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    return [causes.required(path, detail)]
