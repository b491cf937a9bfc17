"""FlowSchemas and PriorityLevelConfigurations."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from podium.api.groups import cells, flow_rules
from podium.api.strategy import Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, names, values

PRECEDENCE, HIGHEST_PRECEDENCE = 1000, 10000
SHARES, HAND_SIZE, QUEUES, QUEUE_LENGTH = 30, 8, 64, 50
TYPES = ("Exempt", "Limited")
EXEMPT = "exempt"
DISTINGUISHERS = ("ByNamespace", "ByUser")
LEVEL_PATH = "spec.priorityLevelConfiguration.name"
ZERO_SHARES = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
MOST_QUEUES, HASH_BITS = 10_000_000, 60


class FlowSchemas(Strategy):
    has_generation = True
    columns = cells.table(
        "Name", "PriorityLevel", "MatchingPrecedence", "DistinguisherMethod", "Age", "MissingPL"
    )

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec["matchingPrecedence"] = spec.get("matchingPrecedence") or PRECEDENCE

    def check(self, obj: Obj) -> list[Cause]:
        spec, name = obj["spec"], obj["metadata"].get("name", "")
        return _schema(spec, name) + _fixed(name, spec, "flow_schema")

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return _conditions(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        conditions = (obj.get("status") or {}).get("conditions") or ()
        missing = next((entry.get("status") for entry in conditions if entry.get("type") == "Dangling"), "?")
        return [
            obj["metadata"]["name"], (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
            spec.get("matchingPrecedence", 0),
            (spec.get("distinguisherMethod") or {}).get("type") or cells.NONE, cells.age(obj, now), missing,
        ]  # fmt: skip


class PriorityLevels(Strategy):
    has_generation = True
    columns = cells.table(
        "Name", "Type", "NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit", "Age"
    )

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        if (exempt := spec.get("exempt")) is not None:
            exempt.setdefault("nominalConcurrencyShares", 0)
            exempt.setdefault("lendablePercent", 0)
        if (limited := spec.get("limited")) is None:
            return
        limited.setdefault("nominalConcurrencyShares", SHARES)
        limited.setdefault("lendablePercent", 0)
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for key, value in (
                ("handSize", HAND_SIZE),
                ("queues", QUEUES),
                ("queueLengthLimit", QUEUE_LENGTH),
            ):
                queuing[key] = queuing.get(key) or value

    def check(self, obj: Obj) -> list[Cause]:
        spec, name = obj["spec"], obj["metadata"].get("name", "")
        kind, found = spec.get("type"), []
        if ZERO_SHARES in (obj["metadata"].get("annotations") or {}):
            detail = f"annotation '{ZERO_SHARES}' is forbidden"
            found.append(causes.forbidden("metadata.annotations", detail))
        if (name == EXEMPT) != (kind == "Exempt"):
            detail = "must be 'Exempt' if and only if `name` is 'exempt'"
            found.append(causes.invalid("spec.type", kind or "", detail))
        match kind:
            case "Exempt":
                found += _exempt(spec)
            case "Limited":
                found += _limited(spec)
            case _:
                found.append(causes.not_supported("spec.type", kind or "", TYPES))
        if name != EXEMPT:
            return found + _fixed(name, spec, "priority_level")
        if spec.keys() - {"exempt"} != {"type"} or kind != "Exempt":
            detail = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
            found.append(causes.invalid("spec", spec, detail))
        return found

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return _conditions(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        limited = spec.get("limited") or {}
        queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
        keys = ("queues", "handSize", "queueLengthLimit")
        return [
            obj["metadata"]["name"], spec.get("type", ""), limited.get("nominalConcurrencyShares",
            cells.NONE),
            *(queuing.get(key, cells.NONE) for key in keys), cells.age(obj, now),
        ]  # fmt: skip


def _fixed(name: str, spec: Obj, kind: str) -> list[Cause]:
    """The objects that every cluster has are as they are."""
    # Those tables belong to what acts on them, which builds on the kinds.
    from podium.api.fairness import objects

    if name not in objects.MANDATORY or spec == getattr(objects, kind)(name)["spec"]:
        return []
    return [causes.invalid("spec", spec, f"spec of '{name}' must equal the fixed value")]


def _conditions(obj: Obj) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, entry in enumerate((obj.get("status") or {}).get("conditions") or ()):
        path, kind = f"status.conditions[{index}].type", entry.get("type", "")
        if kind in seen:
            found.append(causes.duplicate(path, kind))
        seen.add(kind)
        if not kind:
            found.append(causes.required(path))
    return found


def _exempt(spec: Obj) -> list[Cause]:
    found: list[Cause] = []
    if spec.get("limited") is not None:
        found.append(causes.forbidden("spec.limited", "must be nil if the type is not Limited"))
    exempt = spec.get("exempt") or {}
    return found + _shares(exempt, "spec.exempt") + _lendable(exempt, "spec.exempt")


def _limited(spec: Obj) -> list[Cause]:
    found: list[Cause] = []
    if spec.get("exempt") is not None:
        found.append(causes.forbidden("spec.exempt", "must be nil if the type is Limited"))
    limited, path = spec.get("limited"), "spec.limited"
    if limited is None:
        return [*found, causes.required(path, "must not be empty when type is Limited")]
    found += _shares(limited, path)
    found += _response(limited.get("limitResponse") or {}, f"{path}.limitResponse")
    found += _lendable(limited, path)
    borrowed = limited.get("borrowingLimitPercent")
    if borrowed is not None and borrowed < 0:
        detail = "if specified, must be a non-negative integer"
        found.append(causes.invalid(f"{path}.borrowingLimitPercent", borrowed, detail))
    return found


def _shares(part: Obj, path: str) -> list[Cause]:
    shares = part.get("nominalConcurrencyShares", 0)
    detail = "must be a non-negative integer"
    return [] if shares >= 0 else [causes.invalid(f"{path}.nominalConcurrencyShares", shares, detail)]


def _lendable(part: Obj, path: str) -> list[Cause]:
    share = part.get("lendablePercent", 0)
    detail = values.in_range(0, 100)
    return [] if 0 <= share <= 100 else [causes.invalid(f"{path}.lendablePercent", share, detail)]


def _response(response: Obj, path: str) -> list[Cause]:
    queuing, where = response.get("queuing"), f"{path}.queuing"
    match response.get("type"):
        case "Reject":
            detail = "must be nil if limited.limitResponse.type is not Limited"
            return [] if queuing is None else [causes.forbidden(where, detail)]
        case "Queue":
            if queuing is None:
                detail = "must not be empty if limited.limitResponse.type is Limited"
                return [causes.required(where, detail)]
            return _queuing(queuing, where)
    return [causes.not_supported(f"{path}.type", response.get("type", ""), ("Queue", "Reject"))]


def _queuing(queuing: Obj, path: str) -> list[Cause]:
    length, queues, hand = (queuing[key] for key in ("queueLengthLimit", "queues", "handSize"))
    found = [] if length > 0 else [causes.invalid(f"{path}.queueLengthLimit", length, "must be positive")]
    if queues <= 0:
        found.append(causes.invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > MOST_QUEUES:
        detail = f"must not be greater than {MOST_QUEUES}"
        found.append(causes.invalid(f"{path}.queues", queues, detail))
    detail = ""
    if hand <= 0:
        detail = "must be positive"
    elif hand > queues:
        detail = f"should not be greater than queues ({queues})"
    elif math.ceil(math.log2(queues) * hand) > HASH_BITS:
        detail = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than "
            f"{HASH_BITS}"
        )
    return [*found, causes.invalid(f"{path}.handSize", hand, detail)] if detail else found


def _schema(spec: Obj, name: str) -> list[Cause]:
    found: list[Cause] = []
    precedence, path = spec["matchingPrecedence"], "spec.matchingPrecedence"
    if precedence <= 0:
        found.append(causes.invalid(path, precedence, "must be a positive value"))
    if precedence > HIGHEST_PRECEDENCE:
        detail = f"must not be greater than {HIGHEST_PRECEDENCE}"
        found.append(causes.invalid(path, precedence, detail))
    if precedence == 1 and name != EXEMPT:
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        found.append(causes.invalid(path, precedence, detail))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in DISTINGUISHERS:
        found.append(causes.not_supported("spec.distinguisherMethod.type", method, DISTINGUISHERS))
    level, path = (spec.get("priorityLevelConfiguration") or {}).get("name"), LEVEL_PATH
    if level:
        found += values.named(level, path, names.dns_subdomain)
    else:
        found.append(causes.required(path, "must reference a priority level"))
    for index, rule in enumerate(spec.get("rules") or ()):
        found += flow_rules.check(rule, f"spec.rules[{index}]")
    return found


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.FLOW_SCHEMAS: FlowSchemas,
    resources.PRIORITY_LEVEL_CONFIGURATIONS: PriorityLevels,
}
