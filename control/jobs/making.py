"""A Job's pod as it is sent to the API server."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.control.jobs import facts
from podium.control.jobs.policies import judge
from podium.control.pods import from_template

GENERATED_BASE = 58  # characters that the server keeps of a generateName
_VARIABLE = "JOB_COMPLETION_INDEX"


def pod_for(job: Obj, index: int | None, replaced: Obj | None = None) -> Obj:
    """The pod of one index, or any pod (None). `replaced` is the failed pod whose failures it inherits,
    where they are limited per index."""
    made = from_template(job["spec"]["template"], job)
    meta = made["metadata"]
    finalizers = meta.get("finalizers") or []
    meta["finalizers"] = [*(name for name in finalizers if name != facts.TRACKING), facts.TRACKING]
    if index is None:
        return made
    name, spec = job["metadata"]["name"], made["spec"]
    meta["generateName"] = _base(name, index)
    meta["labels"] = {**(meta.get("labels") or {}), facts.INDEX: str(index)}
    meta["annotations"] = {**(meta.get("annotations") or {}), facts.INDEX: str(index)}
    if job["spec"].get("backoffLimitPerIndex") is not None:
        meta["annotations"] |= _inherited(job, replaced)
    made["spec"] = {**spec, "hostname": f"{name}-{index}", "containers": _told(spec["containers"])}
    if spec.get("initContainers"):
        made["spec"]["initContainers"] = _told(spec["initContainers"])
    return made


def _base(name: str, index: int) -> str:
    ending = f"-{index}-"
    return name[: GENERATED_BASE - len(ending)] + ending


def _inherited(job: Obj, replaced: Obj | None) -> dict[str, str]:
    """The failures of this index so far, as annotations."""
    if replaced is None:
        return {facts.FAILURES: "0"}
    counts = judge(job["spec"].get("podFailurePolicy"), replaced).counts
    found = {facts.FAILURES: str(facts.count_of(replaced, facts.FAILURES) + counts)}
    if ignored := facts.count_of(replaced, facts.IGNORED_FAILURES) + (not counts):
        found[facts.IGNORED_FAILURES] = str(ignored)
    return found


def _told(containers: Iterable[Obj]) -> list[Obj]:
    """The containers, with their index in the environment unless they set the variable themselves."""
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{facts.INDEX}']"}}
    variable = {"name": _VARIABLE, "valueFrom": source}
    return [
        container
        if any(entry["name"] == _VARIABLE for entry in container.get("env") or ())
        else {**container, "env": [*(container.get("env") or ()), variable]}
        for container in containers
    ]
