"""Where a pod may run: affinity, tolerations, spreading, gates."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values
from podium.api.validation.selectors import label_selector

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
WEIGHT = "must be in the range 1-100"


def check(spec: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    if affinity := spec.get("affinity"):
        found += _affinity(affinity, f"{path}.affinity")
    if tolerations := spec.get("tolerations"):
        found += check_tolerations(tolerations, f"{path}.tolerations")
    if constraints := spec.get("topologySpreadConstraints"):
        found += _spread(constraints, f"{path}.topologySpreadConstraints")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        where = f"{path}.readinessGates[{index}].conditionType"
        found += values.named(gate.get("conditionType", ""), where, names.qualified)
    if gates := spec.get("schedulingGates"):
        for index, gate in enumerate(gates):
            found += values.named(gate.get("name", ""), f"{path}.schedulingGates[{index}]", names.qualified)
        found += values.duplicates((gate.get("name") for gate in gates), f"{path}.schedulingGates")
    return found


def _affinity(affinity: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    if node := affinity.get("nodeAffinity"):
        where = f"{path}.nodeAffinity"
        if (selector := node.get(REQUIRED)) is not None:
            found += node_selector(selector, f"{where}.{REQUIRED}")
        for index, term in enumerate(node.get(PREFERRED) or ()):
            place = f"{where}.{PREFERRED}[{index}]"
            found += _weight(term, place)
            found += _node_term(term.get("preference") or {}, f"{place}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        if pods := affinity.get(kind):
            where = f"{path}.{kind}"
            for index, term in enumerate(pods.get(REQUIRED) or ()):
                found += _pod_term(term, f"{where}.{REQUIRED}[{index}]")
            for index, term in enumerate(pods.get(PREFERRED) or ()):
                place = f"{where}.{PREFERRED}[{index}]"
                found += _weight(term, place)
                found += _pod_term(term.get("podAffinityTerm") or {}, f"{place}.podAffinityTerm")
    return found


def _weight(term: Obj, path: str) -> list[Cause]:
    weight = term.get("weight", 0)
    return [] if 1 <= weight <= 100 else [causes.invalid(f"{path}.weight", weight, WEIGHT)]


def node_selector(selector: Obj, path: str) -> list[Cause]:
    """A core/v1 NodeSelector."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        detail = "must have at least one node selector term"
        return [causes.required(f"{path}.nodeSelectorTerms", detail)]
    found: list[Cause] = []
    for index, term in enumerate(terms):
        found += _node_term(term, f"{path}.nodeSelectorTerms[{index}]")
    return found


def _node_term(term: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, entry in enumerate(term.get("matchExpressions") or ()):
        found += _node_expression(entry, f"{path}.matchExpressions[{index}]")
    for index, entry in enumerate(term.get("matchFields") or ()):
        found += _node_field(entry, f"{path}.matchFields[{index}]")
    return found


def _node_expression(entry: Obj, path: str) -> list[Cause]:
    given, found = entry.get("values") or (), []
    match entry.get("operator"):
        case "In" | "NotIn":
            if not given:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                found.append(causes.required(f"{path}.values", detail))
        case "Exists" | "DoesNotExist":
            if given:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                found.append(causes.forbidden(f"{path}.values", detail))
        case "Gt" | "Lt":
            if len(given) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                found.append(causes.required(f"{path}.values", detail))
        case operator:
            found.append(causes.invalid(f"{path}.operator", operator or "", "not a valid selector operator"))
    found += values.named(entry.get("key", ""), f"{path}.key", names.qualified)
    for index, value in enumerate(given):
        found += values.named(value, f"{path}.values[{index}]", names.label_value)
    return found


def _node_field(entry: Obj, path: str) -> list[Cause]:
    given, found = entry.get("values") or (), []
    if entry.get("operator") in ("In", "NotIn"):
        if len(given) != 1:
            detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            found.append(causes.required(f"{path}.values", detail))
    else:
        detail = "not a valid selector operator"
        found.append(causes.invalid(f"{path}.operator", entry.get("operator", ""), detail))
    if entry.get("key") != "metadata.name":
        found.append(causes.invalid(f"{path}.key", entry.get("key", ""), "not a valid field selector key"))
    else:
        for index, value in enumerate(given):
            found += values.named(value, f"{path}.values[{index}]", names.dns_subdomain)
    return found


def _pod_term(term: Obj, path: str) -> list[Cause]:
    found = label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    found += label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    found += _label_keys(term, path)
    for name in term.get("namespaces") or ():
        found += values.named(name, f"{path}.namespace", names.dns_label)
    if not term.get("topologyKey"):
        found.append(causes.required(f"{path}.topologyKey", "can not be empty"))
        return found
    return found + values.named(term["topologyKey"], f"{path}.topologyKey", names.qualified)


def _label_keys(part: Obj, path: str) -> list[Cause]:
    """Of a pod, the keys are part of its selector already; seen there twice, the user named one as well."""
    selector, matched = part.get("labelSelector"), part.get("matchLabelKeys") or ()
    mismatched = part.get("mismatchLabelKeys") or ()
    found: list[Cause] = []
    for field, keys in (("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)):
        if keys and selector is None:
            why = "must not be specified when labelSelector is not set"
            found.append(causes.forbidden(f"{path}.{field}", why))
        elif keys:
            for index, key in enumerate(keys):
                found += values.named(key, f"{path}.{field}[{index}]", names.qualified)
    known = set((selector or {}).get("matchLabels") or ())
    for key in (entry.get("key") for entry in (selector or {}).get("matchExpressions") or ()):
        if key in matched and key in known:
            why = "exists in both matchLabelKeys and labelSelector"
            found.append(causes.invalid(f"{path}[{matched.index(key)}]", key, why))
        known.add(key)
    for index, key in enumerate(matched):
        if key in mismatched:
            why = "exists in both matchLabelKeys and mismatchLabelKeys"
            found.append(causes.invalid(f"{path}.matchLabelKeys[{index}]", key, why))
    return found


def check_tolerations(tolerations: Sequence[Obj], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, entry in enumerate(tolerations):
        where = f"{path}[{index}]"
        key, operator, value = entry.get("key", ""), entry.get("operator", ""), entry.get("value", "")
        if key:
            found += values.named(key, f"{where}.key", names.qualified)
        elif operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            found.append(causes.invalid(f"{where}.operator", operator, detail))
        if entry.get("tolerationSeconds") is not None and entry.get("effect") != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(causes.invalid(f"{where}.effect", entry.get("effect", ""), detail))
        found += _toleration_value(operator, value, where)
        if entry.get("effect"):
            found += values.one_of(entry["effect"], f"{where}.effect", EFFECTS)
    return found


def _toleration_value(operator: str, value: str, path: str) -> list[Cause]:
    match operator:
        case "Equal" | "":
            messages = names.label_value(value)
            return [causes.invalid(f"{path}.operator", value, ";".join(messages))] if messages else []
        case "Exists":
            if not value:
                return []
            detail = "value must be empty when `operator` is 'Exists'"
            return [causes.invalid(f"{path}.operator", value, detail)]
    return [causes.not_supported(f"{path}.operator", operator, ("Equal", "Exists"))]


def _spread(constraints: Sequence[Obj], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for index, entry in enumerate(constraints):
        where = f"{path}[{index}]"
        key, action = entry.get("topologyKey", ""), entry.get("whenUnsatisfiable", "")
        found += values.positive(entry.get("maxSkew", 0), f"{where}.maxSkew")
        if not key:
            found.append(causes.required(f"{where}.topologyKey", "can not be empty"))
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            supported = ("DoNotSchedule", "ScheduleAnyway")
            found.append(causes.not_supported(f"{where}.whenUnsatisfiable", action, supported))
        if (key, action) in seen:
            found.append(
                causes.duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
            )
        seen.add((key, action))
        found += _min_domains(entry, where)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            found += values.optional_one_of(entry.get(field), f"{where}.{field}", ("Honor", "Ignore"))
        found += label_selector(entry.get("labelSelector"), f"{where}.labelSelector")
        found += _label_keys(entry, where)
    return found


def _min_domains(entry: Obj, path: str) -> list[Cause]:
    least = entry.get("minDomains")
    found = values.positive(least, f"{path}.minDomains")
    action = entry.get("whenUnsatisfiable")
    if least is not None and action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        found.append(causes.invalid(f"{path}.minDomains", least, detail))
    return found
