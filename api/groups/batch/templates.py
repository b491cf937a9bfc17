"""What may change in a Job's pod template. Source: batch/v1 JobSpec; KEP-2926, KEP-5440."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.types.meta import condition_is_true
from podium.api.validation import causes

_DIRECTIVES = ("nodeSelector", "tolerations", "schedulingGates")


def updated(new: Obj, old: Obj) -> list[Cause]:
    """While a job is suspended and none of its pods is left, it can still be said where its pods may run and
    what they need."""
    template, former = new["spec"]["template"], old["spec"]["template"]
    status = old.get("status") or {}
    idle = not status.get("active") and (not status.get("startTime") or condition_is_true(old, "Suspended"))
    if not (old["spec"].get("suspend") and idle):
        if template != former:
            return [causes.immutable("spec.template", template)]
        return []
    expected = {**_with_directives(former["spec"], template["spec"])}
    for part in ("containers", "initContainers"):
        if expected.get(part):
            expected[part] = _with_resources(expected[part], template["spec"].get(part) or ())
    if template["spec"] != expected:
        return [causes.immutable("spec.template.spec", template["spec"])]
    return []


def _with_directives(former: Obj, new: Obj) -> Obj:
    """The former pod spec with the new one's scheduling directives: of the affinity, only that to nodes."""
    kept = {key: value for key, value in former.items() if key not in (*_DIRECTIVES, "affinity")}
    kept |= {key: new[key] for key in _DIRECTIVES if key in new}
    affinity = {key: value for key, value in (former.get("affinity") or {}).items() if key != "nodeAffinity"}
    wanted = new.get("affinity")
    if wanted is not None:
        if "nodeAffinity" in wanted:
            affinity["nodeAffinity"] = wanted["nodeAffinity"]
        kept["affinity"] = affinity
    elif affinity:
        kept["affinity"] = affinity
    return kept


def _with_resources(former: Sequence[Obj], new: Sequence[Obj]) -> list[Obj]:
    """The former containers with the resources of the new ones, where they are the same containers."""
    if [entry.get("name") for entry in former] != [entry.get("name") for entry in new]:
        return list(former)
    pairs = zip(former, new, strict=True)
    return [{**before, "resources": after.get("resources", {})} for before, after in pairs]
