"""Priority: a pod's class becomes its number. Two classes are the system's and are always there."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.groups.scheduling import SYSTEM
from podium.api.types import Obj
from podium.api.types.resources import PODS, PRIORITY_CLASSES

PREEMPT = "PreemptLowerPriority"


class Wanted(NamedTuple):
    name: str
    value: int
    policy: str | None


class Priority:
    name = "Priority"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if not request.concerns(PODS) or request.obj is None:
            return
        spec = request.obj["spec"]
        if request.operation == "UPDATE" and request.old is not None:
            for key in ("priority", "preemptionPolicy"):
                if spec.get(key) is None and request.old["spec"].get(key) is not None:
                    spec[key] = request.old["spec"][key]
        elif request.operation == "CREATE":
            _apply(request, spec, _wanted(request, spec, cluster))

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """There is one default at most."""
        if (
            not request.concerns(PRIORITY_CLASSES)
            or request.obj is None
            or not request.obj.get("globalDefault")
        ):
            return
        present = _default(cluster)
        if present and present["metadata"]["name"] != request.name:
            name = present["metadata"]["name"]
            why = f"PriorityClass {name} is already marked as default. Only one default can exist"
            raise request.refuse(why)


def _wanted(request: AdmissionRequest, spec: Obj, cluster: Cluster) -> Wanted:
    name = spec.get("priorityClassName")
    if not name:
        default = _default(cluster)
        return _of(default) if default else Wanted("", 0, PREEMPT)
    found = cluster.lookup(PRIORITY_CLASSES, "", name)
    if found is not None:
        return _of(found)
    if name in SYSTEM:
        return Wanted(name, SYSTEM[name], PREEMPT)
    raise request.refuse(f"no PriorityClass with name {name} was found")


def _of(priority_class: Obj) -> Wanted:
    value = priority_class.get("value", 0)
    return Wanted(priority_class["metadata"]["name"], value, priority_class.get("preemptionPolicy"))


def _default(cluster: Cluster) -> Obj | None:
    defaults = [entry for entry in cluster.every(PRIORITY_CLASSES) if entry.get("globalDefault")]
    return min(defaults, key=lambda entry: entry.get("value", 0)) if defaults else None


def _apply(request: AdmissionRequest, spec: Obj, wanted: Wanted) -> None:
    why = "must not be provided in pod spec; priority admission controller computed"
    given = spec.get("priority")
    if given is not None and given != wanted.value:
        text = (
            f"the integer value of priority ({given}) {why} {wanted.value} from the given PriorityClass name"
        )
        raise request.refuse(text)
    policy = spec.get("preemptionPolicy")
    if wanted.policy and policy is not None and policy != wanted.policy:
        text = f"the string value of PreemptionPolicy ({policy}) {why} {wanted.policy} "
        text += "from the given PriorityClass name"
        raise request.refuse(text)
    if wanted.name:
        spec["priorityClassName"] = wanted.name
    spec["priority"] = wanted.value
    if wanted.policy:
        spec["preemptionPolicy"] = wanted.policy
