"""Who a StatefulSet's pods are: ordinals, names, host names, claims. Pure.

Source: kubernetes.io "StatefulSets", section "Pod Identity"; apps/v1 StatefulSetSpec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from podium.api.types import Obj
from podium.api.types.meta import name_of, namespace_of
from podium.control.history.revisions import POD_LABEL
from podium.control.pods import from_template

NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)")
_MAX_ORDINAL = 2**31 - 1


def split_name(pod: Obj) -> tuple[str, int]:
    """(the StatefulSet's name, the ordinal) that a pod's name says; ordinal -1 where it says none."""
    found = _NAME.fullmatch(name_of(pod))
    if found is None or int(found[2]) > _MAX_ORDINAL:
        return "", -1
    return found[1], int(found[2])


def ordinal_of(pod: Obj) -> int:
    return split_name(pod)[1]


def is_member(stateful_set: Obj, pod: Obj) -> bool:
    """Whether the pod's name is one that this StatefulSet gives."""
    parent, ordinal = split_name(pod)
    return parent == name_of(stateful_set) and name_of(pod) == f"{parent}-{ordinal}"


def start_of(stateful_set: Obj) -> int:
    return int((stateful_set["spec"].get("ordinals") or {}).get("start", 0))


def wanted(stateful_set: Obj) -> int:
    return int(stateful_set["spec"].get("replicas", 1))


def ordinals(stateful_set: Obj) -> range:
    start = start_of(stateful_set)
    return range(start, start + wanted(stateful_set))


def revision_of(pod: Obj) -> str:
    """The name of the revision a pod was made from."""
    return str((pod["metadata"].get("labels") or {}).get(POD_LABEL, ""))


def claim_name(stateful_set: Obj, template: Obj, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{name_of(stateful_set)}-{ordinal}"


def claim_templates(stateful_set: Obj) -> list[Obj]:
    return list(stateful_set["spec"].get("volumeClaimTemplates") or ())


def claim_names(stateful_set: Obj, ordinal: int) -> dict[str, str]:
    """Volume → claim of one ordinal."""
    return {
        template["metadata"]["name"]: claim_name(stateful_set, template, ordinal)
        for template in claim_templates(stateful_set)
    }


def claims(stateful_set: Obj, ordinal: int) -> Iterator[Obj]:
    """The PersistentVolumeClaims of one ordinal, as they are to be created."""
    selected = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    for template in claim_templates(stateful_set):
        given = template["metadata"]
        meta = {part: given[part] for part in ("annotations", "finalizers") if given.get(part)}
        meta |= {"name": claim_name(stateful_set, template, ordinal), "namespace": namespace_of(stateful_set)}
        if labels := {**(given.get("labels") or {}), **selected}:
            meta["labels"] = labels
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": meta,
            "spec": template["spec"],
        }


def build(stateful_set: Obj, template: Obj, revision: str, ordinal: int) -> Obj:
    """The pod of one ordinal, from `template`, which `revision` is the name of."""
    pod = from_template(template, stateful_set)
    name = f"{name_of(stateful_set)}-{ordinal}"
    labels = {**(pod["metadata"].get("labels") or {}), **_labels(name, ordinal), POD_LABEL: revision}
    spec = {**pod["spec"], "hostname": name, "subdomain": stateful_set["spec"].get("serviceName", "")}
    if volumes := _volumes(stateful_set, spec, ordinal):
        spec["volumes"] = volumes
    return {**pod, "metadata": {**pod["metadata"], "name": name, "labels": labels}, "spec": spec}


def _labels(name: str, ordinal: int) -> dict[str, str]:
    return {NAME_LABEL: name, INDEX_LABEL: str(ordinal)}


def _volumes(stateful_set: Obj, spec: Obj, ordinal: int) -> list[Obj]:
    """Those of the claim templates, in place of the template's own of the same names."""
    claimed = claim_names(stateful_set, ordinal)
    made = [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in claimed.items()
    ]
    return made + [volume for volume in spec.get("volumes") or () if volume["name"] not in claimed]


def identity_matches(pod: Obj) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(NAME_LABEL) == name_of(pod))


def storage_matches(stateful_set: Obj, pod: Obj) -> bool:
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    return all(
        (volumes.get(name, {}).get("persistentVolumeClaim") or {}).get("claimName") == claim
        for name, claim in claim_names(stateful_set, ordinal_of(pod)).items()
    )


def repaired(stateful_set: Obj, pod: Obj) -> Obj:
    """The pod with its identity and its claims set right."""
    ordinal = ordinal_of(pod)
    labels = {**(pod["metadata"].get("labels") or {}), **_labels(name_of(pod), ordinal)}
    spec = pod["spec"]
    if not storage_matches(stateful_set, pod):
        spec = {**spec, "volumes": _volumes(stateful_set, spec, ordinal)}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}, "spec": spec}
