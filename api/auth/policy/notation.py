"""How a rule is written in the tables: "VERBS: WHAT...".

VERBS are separated by commas, or one of the words below. WHAT is `resource` or `resource/subresource`, either
with `.group` behind it (without: the core group; `*.*` is everything), or a path (which begins with a slash,
or is `*`), or `=name` for an object that the rule is only for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from podium.api.types import Obj

Table = Mapping[str, tuple[str, ...]]

EVENTS = "create,update,patch: events events.events.k8s.io"

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_WORDS = {"read": _READ, "write": _WRITE, "readwrite": (*_READ, *_WRITE)}


def rules(lines: Iterable[str]) -> list[Obj]:
    """rbac/v1 PolicyRules."""
    return [rule for line in lines for rule in _rules(line)]


def _rules(line: str) -> list[Obj]:
    """One for the paths, and one for the resources of each group."""
    word, _, rest = line.partition(": ")
    verbs = [*_WORDS.get(word, word.split(","))]
    names = [what[1:] for what in rest.split() if what.startswith("=")]
    paths = [what for what in rest.split() if what.startswith("/") or what == "*"]
    groups: dict[str, list[str]] = {}
    for what in rest.split():
        if what not in paths and not what.startswith("="):
            resource, _, group = what.partition(".")
            groups.setdefault(group, []).append(resource)
    found: list[Obj] = [{"verbs": verbs, "nonResourceURLs": paths}] if paths else []
    for group, resources in groups.items():
        rule: Obj = {"verbs": verbs, "apiGroups": [group], "resources": resources}
        found.append({**rule, "resourceNames": names} if names else rule)
    return found
