"""Label and field selectors: the string form of requests and the LabelSelector form of objects.

Source: API reference, "Labels and Selectors", metav1.LabelSelector.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from podium.api.types import Obj

Labels = Mapping[str, str]


class Requirement(NamedTuple):
    """One clause. `operator` is In, NotIn, Exists, DoesNotExist, Gt or Lt; `values` is empty for the two of
    existence."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
        return self._compares(labels)

    def _compares(self, labels: Labels) -> bool:
        try:
            have, bound = int(labels[self.key]), int(self.values[0])
        except (KeyError, ValueError):
            return False
        return have > bound if self.operator == "Gt" else have < bound


class Selector(NamedTuple):
    """All requirements must hold; with none it selects everything. `nothing` selects no object at all (a nil
    LabelSelector)."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Labels | None) -> bool:
        if self.nothing:
            return False
        have = labels or {}
        return all(requirement.matches(have) for requirement in self.requirements)

    @property
    def everything(self) -> bool:
        return not self.requirements and not self.nothing


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARE = re.compile(r"(?P<key>[^\s=!<>]+)\s*(?P<operator>==|=|!=|<|>)\s*(?P<value>[^\s=!<>]*)")
_OPERATORS = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt", "in": "In", "notin": "NotIn"}

_STOPS = re.compile("[(),]")


def is_label_key(text: str) -> bool:
    """Whether `text` is a qualified name: an optional DNS prefix and a slash, and a name of at most 63
    characters."""
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return False
    return bool(_NAME.fullmatch(name))


def is_label_value(text: str) -> bool:
    return text == "" or bool(_NAME.fullmatch(text))


def parse_labels(text: str) -> Selector:
    """A request's `labelSelector`. Raises ValueError that says what is wrong."""
    requirements = tuple(_requirement(part) for part in _split(text))
    for requirement in requirements:
        if not is_label_key(requirement.key):
            raise ValueError(f"unable to parse requirement: invalid label key {requirement.key!r}")
        for entry in requirement.values:
            if not is_label_value(entry):
                raise ValueError(f"unable to parse requirement: invalid label value {entry!r}")
    return Selector(requirements)


def _split(text: str) -> list[str]:
    """At commas outside parentheses."""
    if not text.strip():
        return []
    parts, depth, start = [], 0, 0
    for found in _STOPS.finditer(text):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")":
            depth = max(0, depth - 1)
        elif not depth:
            parts.append(text[start : found.start()].strip())
            start = found.end()
    return [*parts, text[start:].strip()]


def _requirement(part: str) -> Requirement:
    if found := _SET.fullmatch(part):
        values = tuple(entry.strip() for entry in found["values"].split(","))
        return Requirement(found["key"], _OPERATORS[found["operator"]], values)
    if found := _COMPARE.fullmatch(part):
        if found["operator"] in "<>" and not re.fullmatch(r"-?\d+", found["value"]):
            raise ValueError(f"for 'Gt', 'Lt' operators, the value must be an integer: {part!r}")
        return Requirement(found["key"], _OPERATORS[found["operator"]], (found["value"],))
    if part.startswith("!") and part[1:].strip():
        return Requirement(part[1:].strip(), "DoesNotExist")
    if part and not re.search(r"[\s()=!<>]", part):
        return Requirement(part, "Exists")
    raise ValueError(f"unable to parse requirement: found {part!r}, expected: identifier, '!' or an operator")


def from_label_selector(selector: Obj | None) -> Selector:
    """A metav1.LabelSelector; None selects nothing, {} everything."""
    if selector is None:
        return NOTHING
    requirements = [
        Requirement(key, "In", (value,)) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for entry in selector.get("matchExpressions") or ():
        requirements.append(Requirement(entry["key"], entry["operator"], tuple(entry.get("values") or ())))
    return Selector(tuple(requirements))


_TEXTS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


def selector_text(selector: Obj | None) -> str:
    """A LabelSelector in its string form, "" for one without terms."""
    if not selector:
        return ""
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for term in selector.get("matchExpressions") or ():
        values = ",".join(sorted(term.get("values") or ()))
        form = _TEXTS.get(term.get("operator", ""), "<error>")
        key = term.get("key", "")
        parts.append((key, form.format(key=key, values=values)))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def from_map(labels: Labels | None) -> Selector:
    """The equality selector of Services and ReplicationControllers; None or {} selects nothing there."""
    if not labels:
        return NOTHING
    return Selector(tuple(Requirement(key, "In", (value,)) for key, value in labels.items()))


class FieldTerm(NamedTuple):
    path: str
    value: str
    negated: bool


def parse_fields(text: str) -> tuple[FieldTerm, ...]:
    """A request's `fieldSelector`: `path=value,path!=value`, with `\\,`, `\\=` and `\\\\` escaped. Raises
    ValueError."""
    terms = []
    for part in re.split(r"(?<!\\),", text):
        if not part:
            continue
        found = re.fullmatch(r"(?P<path>[^=!]+)(?P<operator>!=|==|=)(?P<value>.*)", part)
        if not found:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
        value = re.sub(r"\\([\\,=])", r"\1", found["value"])
        terms.append(FieldTerm(found["path"].strip(), value, found["operator"] == "!="))
    return tuple(terms)


def fields_match(terms: tuple[FieldTerm, ...], getter: Callable[[str], str]) -> bool:
    """Whether all terms hold, with `getter` giving the value of a path ("" where absent)."""
    return all((getter(term.path) == term.value) != term.negated for term in terms)
