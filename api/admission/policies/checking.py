"""What is wrong with a policy before anybody meets it: its expressions, held against the types that it
matches. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from podium.api.admission.policies.evaluation import NAMES
from podium.api.kinds import Kind, Kinds
from podium.api.types import Obj

# Types that one policy is held against, at most.
MOST = 10


def warnings(policy: Obj, kinds: Kinds) -> list[Obj]:
    """ExpressionWarnings: for each expression that does not fit, what each type has to say."""
    from podium.api.cel.typed import Checker

    matched = list(_matched(policy["spec"], kinds))[:MOST]
    param = _param(policy["spec"], kinds)
    checkers = []
    for kind in matched:
        types = {"object": kind.schema.type, "oldObject": kind.schema.type}
        if param is not None:
            types["params"] = param.schema.type
        checkers.append((kind, Checker(NAMES, types)))
    found = []
    for field, expression in _expressions(policy["spec"]):
        faults = [
            f"{kind.resource.api_version}, Kind={kind.resource.kind}: compilation failed: {fault}\n"
            for kind, checker in checkers
            if (fault := checker.fault(expression))
        ]
        if faults:
            found.append({"fieldRef": field, "warning": "\n".join(faults)})
    return found


def _matched(spec: Obj, kinds: Kinds) -> Iterator[Kind]:
    """The kinds that the policy names; what it matches by a star could be anything."""
    seen: set[Kind] = set()
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        for group in rule.get("apiGroups") or ():
            for version in rule.get("apiVersions") or ():
                for plural in rule.get("resources") or ():
                    kind = kinds.find(group, version, plural)
                    if kind is not None and kind not in seen:
                        seen.add(kind)
                        yield kind


def _param(spec: Obj, kinds: Kinds) -> Kind | None:
    wanted = spec.get("paramKind") or {}
    group, _, version = (wanted.get("apiVersion") or "").rpartition("/")
    for kind in kinds.versions.get((group, version), {}).values():
        if kind.resource.kind == wanted.get("kind"):
            return kind
    return None


def _expressions(spec: Obj) -> Iterator[tuple[str, str]]:
    for index, validation in enumerate(spec.get("validations") or ()):
        yield f"spec.validations[{index}].expression", validation["expression"]
        if validation.get("messageExpression"):
            yield f"spec.validations[{index}].messageExpression", validation["messageExpression"]
