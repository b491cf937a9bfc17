"""What a failed pod means for its Job, and when a Job has succeeded early. Source: batch/v1
PodFailurePolicy, SuccessPolicy; KEP-3329, KEP-3850, KEP-3998."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from podium.api.types import Obj
from podium.control.jobs.indexes import Indexes


class Failure(NamedTuple):
    """`action` is the rule's that matched, "" for none. `message` says why the whole job fails, "" where it
    does not."""

    action: str = ""
    message: str = ""

    @property
    def counts(self) -> bool:
        """Towards backoffLimit and backoffLimitPerIndex."""
        return self.action != "Ignore"


def judge(policy: Obj | None, pod: Obj) -> Failure:
    """What the first rule that matches the failed pod makes of it."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        cause = _cause(rule, pod)
        if not cause:
            continue
        action = rule["action"]
        if action == "FailJob":
            return Failure(action, f"{cause} matching {action} rule at index {number}")
        return Failure(action)
    return Failure()


def _cause(rule: Obj, pod: Obj) -> str:
    """What in the pod matches the rule, in words; "" for nothing."""
    status, meta = pod.get("status") or {}, pod["metadata"]
    name = f"{meta['namespace']}/{meta['name']}"
    if (wanted := rule.get("onExitCodes")) is not None:
        for container, code in _exits(status):
            if code and _matches(wanted, container, code):
                return f"Container {container} for pod {name} failed with exit code {code}"
        return ""
    for condition in status.get("conditions") or ():
        for pattern in rule.get("onPodConditions") or ():
            if (condition["type"], condition["status"]) == (pattern["type"], pattern.get("status", "True")):
                return f"Pod {name} has condition {condition['type']}"
    return ""


def _exits(status: Obj) -> Iterator[tuple[str, int]]:
    """(name, exit code) of every container that has ended, the ordinary ones first."""
    for key in ("containerStatuses", "initContainerStatuses"):
        for entry in status.get(key) or ():
            ended = (entry.get("state") or {}).get("terminated")
            if ended is not None:
                yield entry["name"], ended.get("exitCode", 0)


def _matches(wanted: Obj, container: str, code: int) -> bool:
    if wanted.get("containerName") not in (None, container):
        return False
    values = wanted.get("values") or ()
    return code in values if wanted["operator"] == "In" else code not in values


def satisfied(policy: Obj | None, succeeded: Indexes, completions: int) -> str:
    """The message of the first success rule that is met, "" for none."""
    rules: Iterable[Obj] = (policy or {}).get("rules") or ()
    for number, rule in enumerate(rules):
        if succeeded and _met(rule, succeeded, completions):
            return f"Matched rules at index {number}"
    return ""


def _met(rule: Obj, succeeded: Indexes, completions: int) -> bool:
    count = rule.get("succeededCount")
    if rule.get("succeededIndexes") is None:
        return count is not None and len(succeeded) >= count
    wanted = Indexes.parse(rule["succeededIndexes"], completions)
    if not wanted:
        return False
    found = wanted.common(succeeded)
    return found == len(wanted) or (count is not None and found >= count)
