"""Whether some rules are covered by others: nobody gives more than he has. Pure, and for a thread: what is
wanted and what is owned may be thousands of rules each.

Source: docs, "Using RBAC Authorization", privilege escalation prevention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from math import prod

import orjson

from podium.api.auth.rules import EVERY, Grain, Rule, Rules
from podium.api.types import Obj

# Whoever is refused is told that many grains that he has not.
LISTED = 1_000
# Comparisons of a grain with a rule: some seconds.
BEARABLE = 20_000_000


class Endless(Exception):
    """There is more to be compared than anybody waits for."""


def grains(rule: Obj) -> Iterator[Grain]:
    """In the order in which the rule lists them."""
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or ("",):
                    yield Grain(verb, group, resource, name)
    for path in rule.get("nonResourceURLs") or ():
        for verb in rule["verbs"]:
            yield Grain(verb, path=path)


def uncovered(owned: Sequence[Rule], wanted: Iterable[Obj]) -> list[Grain]:
    """What `wanted` (PolicyRules) allow and no single one of `owned` does: the first `LISTED` of it. A few
    lists of words are millions of grains, but what `owned` does not tell apart is looked at once.

    Raises Endless."""
    told, missing = _Told(owned), list[Grain]()
    for rule in wanted:
        parts = told.parts(rule)
        found: list[Grain] = []
        for grain in parts.first():
            if not told.covers(grain):
                found += islice(parts.like(grain), LISTED - len(missing) - len(found))
                if len(missing) + len(found) >= LISTED:
                    return missing + found
        if parts.size <= LISTED:
            lacking = frozenset(found)
            found = [grain for grain in grains(rule) if grain in lacking]
        missing += found
    return missing


class _Told:
    """What is owned, and the words that it tells apart."""

    def __init__(self, owned: Sequence[Rule]) -> None:
        self._owned = Rules(owned)
        self._left = BEARABLE
        self._judged: dict[Grain, bool] = {}
        self._words = tuple(
            frozenset(chain.from_iterable(words))
            for words in (
                (own.groups for own in owned),
                (own.resources for own in owned),
                (own.verbs for own in owned),
                (own.names for own in owned),
            )
        )

    def covers(self, grain: Grain) -> bool:
        known = self._judged.get(grain)
        if known is None:
            buckets = self._owned.for_paths() if grain.path else self._owned.near(grain.resource)
            self._left -= sum(map(len, buckets)) + 1
            if self._left < 0:
                raise Endless
            known = any(own.covers(grain) for bucket in buckets for own in bucket)
            self._judged[grain] = known
        return known

    def parts(self, rule: Obj) -> _Parts:
        groups, _, verbs, names = (_apart(words) for words in self._words)
        return _Parts(
            _classes(rule.get("apiGroups") or (), groups),
            _classes(rule.get("resources") or (), self._resource),
            _classes(rule["verbs"], verbs),
            _classes(rule.get("resourceNames") or ("",), names),
            rule.get("nonResourceURLs") or (),
        )

    def _resource(self, word: str) -> str | None:
        resources = self._words[1]
        if word in resources:
            return word
        _, slash, subresource = word.partition("/")
        whole = f"{EVERY}/{subresource}"
        return whole if slash and whole in resources else None


_Classes = dict[str | None, list[str]]


class _Parts:
    """Of a rule: its words, those together that nothing owned tells apart. Paths are told apart by how they
    begin: each stands for itself."""

    def __init__(
        self, groups: _Classes, resources: _Classes, verbs: _Classes, names: _Classes, paths: Sequence[str]
    ) -> None:
        self._all = [
            {words[0]: words for words in classes.values()} for classes in (groups, resources, verbs, names)
        ]
        self._paths = paths
        counts = [sum(map(len, words.values())) for words in self._all]
        self.size = prod(counts) + counts[2] * len(paths)

    def first(self) -> Iterator[Grain]:
        """One for each that nothing owned tells from it."""
        groups, resources, verbs, names = map(list, self._all)
        return _product(groups, resources, verbs, names, self._paths)

    def like(self, grain: Grain) -> Iterator[Grain]:
        """Everything that is covered where `grain` is."""
        groups, resources, verbs, names = self._all
        if grain.path:
            return _product((), (), verbs[grain.verb], (), [grain.path])
        return _product(
            groups[grain.group], resources[grain.resource], verbs[grain.verb], names[grain.name], ()
        )


def _product(
    groups: Sequence[str],
    resources: Sequence[str],
    verbs: Sequence[str],
    names: Sequence[str],
    paths: Sequence[str],
) -> Iterator[Grain]:
    return grains(
        {
            "apiGroups": groups,
            "resources": resources,
            "verbs": verbs,
            "resourceNames": names,
            "nonResourceURLs": paths,
        }
    )


def _apart(words: frozenset[str]) -> Callable[[str], str | None]:
    return lambda word: word if word in words else None


def _classes(words: Iterable[str], of: Callable[[str], str | None]) -> _Classes:
    found: _Classes = {}
    for word in words:
        found.setdefault(of(word), []).append(word)
    return found


def described(missing: Iterable[Grain]) -> list[str]:
    """A line for each resource or path, sorted."""
    lines, verbs = set(), dict[Grain, list[str]]()
    for grain in missing:
        if grain.path:
            lines.add(f"{{NonResourceURLs:{_quoted(grain.path)}, Verbs:{_quoted(grain.verb)}}}")
        else:
            verbs.setdefault(grain._replace(verb=""), []).append(grain.verb)
    for grain, allowed in verbs.items():
        named = f", ResourceNames:{_quoted(grain.name)}" if grain.name else ""
        where = f"APIGroups:{_quoted(grain.group)}, Resources:{_quoted(grain.resource)}{named}"
        lines.add(f"{{{where}, Verbs:{_quoted(*allowed)}}}")
    return sorted(lines)


def _quoted(*texts: str) -> str:
    return "[" + " ".join(orjson.dumps(text).decode() for text in texts) + "]"
