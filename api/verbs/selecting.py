"""Which objects of a collection a request means: its label and field selectors, made into one quick
function."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import orjson

from podium.api.kinds import Kind
from podium.api.store.base import Entry
from podium.api.types.errors import bad_request
from podium.api.types.selectors import EVERYTHING, FieldTerm, Selector, parse_fields, parse_labels

Predicate = Callable[[Entry], bool]
_TEXT = re.compile("[A-Za-z]")


class Selection(NamedTuple):
    """`matches` is None where everything is selected. `name` is the one object that can match, "" where
    that is open. `labels` and `fields` are the two parts of `matches`."""

    matches: Predicate | None = None
    name: str = ""
    labels: Selector = EVERYTHING
    fields: Predicate | None = None


def select(kind: Kind, labels: str, fields: str) -> Selection:
    """Raises 400."""
    if not labels and not fields:
        return Selection()
    try:
        selector, terms = parse_labels(labels), parse_fields(fields)
    except ValueError as error:
        raise bad_request(str(error)) from None
    for term in terms:
        if term.path not in kind.strategy.field_labels:
            raise bad_request(kind.strategy.unknown_label(term.path))
    of_fields = _fields_test(kind, terms)
    tests = [test for test in (_labels_test(selector), of_fields) if test]
    name = next((term.value for term in terms if term.path == "metadata.name" and not term.negated), "")
    return Selection(_both(tests), name, selector, of_fields)


def _both(tests: list[Predicate]) -> Predicate | None:
    if len(tests) == 2:
        first, second = tests
        return lambda entry: first(entry) and second(entry)
    return tests[0] if tests else None


def _labels_test(selector: Selector) -> Predicate | None:
    if selector.everything:
        return None
    if all(
        requirement.operator == "In" and len(requirement.values) == 1 for requirement in selector.requirements
    ):
        return _equalities(
            [(requirement.key, requirement.values[0]) for requirement in selector.requirements]
        )
    return lambda entry: selector.matches(entry.labels)


def _equalities(pairs: list[tuple[str, str]]) -> Predicate:
    """By far the most frequent selectors: `a=b` and `a=b,c=d`. An object in whose bytes the pair does not
    stand cannot have the label: most of those that do not match are told without decoding them."""
    needles = [orjson.dumps(key) + b":" + orjson.dumps(value) for key, value in pairs]
    if len(pairs) == 1:
        [(only, wanted)], [needle] = pairs, needles

        def test_one(entry: Entry) -> bool:
            labels = entry.known_labels
            if labels is None:
                if needle not in entry.value:
                    return False
                labels = entry.labels
            return labels.get(only) == wanted

        return test_one

    def test(entry: Entry) -> bool:
        if entry.known_labels is None and not all(needle in entry.value for needle in needles):
            return False
        labels = entry.labels
        return all(labels.get(key) == value for key, value in pairs)

    return test


def _fields_test(kind: Kind, terms: tuple[FieldTerm, ...]) -> Predicate | None:
    if not terms:
        return None
    field, wanted = kind.strategy.field, [(term.path, term.value, not term.negated) for term in terms]
    needles = [needle for term in terms if (needle := _needle(term))]

    def told(entry: Entry) -> bool:
        """Whether the bytes alone tell that the object is not meant."""
        return not entry.decoded and not all(needle in entry.value for needle in needles)

    if len(wanted) == 1:
        [(path, value, equal)] = wanted
        return lambda entry: not told(entry) and (field(entry.obj, path) == value) is equal

    def test(entry: Entry) -> bool:
        return not told(entry) and all(
            (field(entry.obj, path) == value) is equal for path, value, equal in wanted
        )

    return test


def _needle(term: FieldTerm) -> bytes:
    """What stands in the bytes of each object that meets the term, as far as that is known: texts stand there
    as they are, numbers and truth do not, and what is not there may count as something."""
    plain = not term.negated and _TEXT.search(term.value) and term.value not in ("true", "false")
    return orjson.dumps(term.value) if plain else b""
