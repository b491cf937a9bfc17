"""What classes, claims and slices of devices have in common: selectors, configurations, names.

Source: API reference, resource.k8s.io/v1; KEP-4381.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from podium.api.groups.core.volume_sources import driver_name
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, expressions, names, values

LONGEST_EXPRESSION = LONGEST_PARAMETERS = 10 * 1024
LONGEST_POOL, LONGEST_ID = 253, 32
MOST_SELECTORS, MOST_CONFIGS, MOST_BINDINGS = 32, 32, 4
_IDENTIFIER = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_IDENTIFIER_TEXT = names.form_error(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
    "characters or '_'",
    "[A-Za-z_][A-Za-z0-9_]*",
    "my_name",
    "MY_NAME",
    "MyName",
)

Check = Callable[[Any, str], list[Cause]]


def each(entries: Sequence[Any] | None, most: int, check: Check, path: str) -> list[Cause]:
    """The faults of a list, of which nothing else is said when it is too long."""
    listed = entries or ()
    if len(listed) > most:
        return [causes.too_many(path, len(listed), most)]
    return [cause for index, entry in enumerate(listed) for cause in check(entry, f"{path}[{index}]")]


def unique(
    entries: Sequence[Any] | None, most: int, check: Check, path: str, key: Callable[[Any], Any]
) -> list[Cause]:
    """Like `each`, of a list that names nothing twice."""
    found = each(entries, most, check, path)
    listed = entries or ()
    if len(listed) > most:
        return found
    keys = [key(entry) for entry in listed]
    return found + [
        causes.duplicate(f"{path}[{index}]", value)
        for index, value in enumerate(keys)
        if value in keys[:index]
    ]


def selector(given: Obj, path: str) -> list[Cause]:
    """A DeviceSelector: an expression about a device."""
    cel, where = given.get("cel"), f"{path}.cel"
    if cel is None:
        return [causes.required(where)]
    expression, where = cel.get("expression") or "", f"{where}.expression"
    if len(expression) > LONGEST_EXPRESSION:
        return [causes.too_long(where, LONGEST_EXPRESSION)]
    return expressions.fault(expression, where, ("device",), ("bool",))


def selectors(given: Sequence[Obj] | None, path: str) -> list[Cause]:
    return each(given, MOST_SELECTORS, selector, path)


def configuration(given: Obj, path: str) -> list[Cause]:
    """A DeviceConfiguration: what a driver is told in its own words."""
    opaque, where = given.get("opaque"), f"{path}.opaque"
    if opaque is None:
        return [causes.required(where)]
    found = driver_name(opaque.get("driver") or "", f"{where}.driver")
    return found + raw(opaque.get("parameters"), f"{where}.parameters", LONGEST_PARAMETERS)


def raw(data: Any, path: str, longest: int) -> list[Cause]:
    """Any JSON object, not too long."""
    if data is None:
        return [causes.required(path)]
    if len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()) > longest:
        return [causes.too_long(path, longest)]
    if not isinstance(data, dict):
        return [causes.invalid(path, "<value omitted>", "must be a valid JSON object")]
    return []


def pool_name(name: str, path: str) -> list[Cause]:
    if not name:
        return [causes.required(path)]
    found = [causes.too_long(path, LONGEST_POOL)] if len(name) > LONGEST_POOL else []
    return found + [
        cause for part in name.split("/") for cause in values.named(part, path, names.dns_subdomain)
    ]


def qualified(name: str, path: str) -> list[Cause]:
    """An attribute's or a capacity's name: a C identifier, perhaps of a domain."""
    domain, slash, last = name.rpartition("/")
    if not slash:
        return _identifier(last, path)
    if "/" in domain:
        return []
    found = (
        driver_name(domain, path) if domain else [causes.invalid(path, "", "the domain must not be empty")]
    )
    if not last:
        return [*found, causes.invalid(path, "", "the name must not be empty")]
    return found + _identifier(last, path)


def fully_qualified(name: str, path: str) -> list[Cause]:
    found = qualified(name, path)
    if "/" not in name:
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        found.append(causes.invalid(path, name, detail))
    return found


def _identifier(text: str, path: str) -> list[Cause]:
    found = [causes.too_long(path, LONGEST_ID)] if len(text) > LONGEST_ID else []
    return found if _IDENTIFIER.fullmatch(text) else [*found, causes.invalid(path, text, _IDENTIFIER_TEXT)]


def bindings(part: Obj, path: str) -> list[Cause]:
    """Conditions that have to hold, and those that must not, before a pod is bound."""
    wanted, fatal = part.get("bindingConditions") or [], part.get("bindingFailureConditions") or []
    found: list[Cause] = []
    for key, given in (("bindingConditions", wanted), ("bindingFailureConditions", fatal)):
        found += each(given, MOST_BINDINGS, lambda name, where: values.named(name, where, names.qualified),
                      f"{path}.{key}")  # fmt: skip
    found += values.duplicates(wanted, f"{path}.bindingConditions")
    for index, name in enumerate(fatal):
        where = f"{path}.bindingFailureConditions[{index}]"
        if name in fatal[:index]:
            found.append(causes.duplicate(where, name))
        if name in wanted:
            detail = "bindingFailureConditions must not overlap with bindingConditions"
            found.append(causes.invalid(where, name, detail))
    if fatal and not wanted:
        detail = "bindingConditions are required to use bindingFailureConditions"
        found.append(causes.invalid(f"{path}.bindingConditions", None, detail))
    if wanted and not fatal:
        detail = "bindingFailureConditions are required to use bindingConditions"
        found.append(causes.invalid(f"{path}.bindingFailureConditions", None, detail))
    return found
