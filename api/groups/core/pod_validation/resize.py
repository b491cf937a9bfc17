"""What may change in a pod through its resize subresource: cpu and memory, of containers and of the pod as a
whole. Source: KEP-1287, KEP-5419."""

from __future__ import annotations

from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.types.qos import qos_class
from podium.api.validation import causes

MIRROR = "kubernetes.io/config.mirror"
RESIZABLE = ("cpu", "memory")
_LISTS = ("containers", "initContainers")


def move(new: Obj, sent: Obj) -> None:
    """Brings what a resize may change from the spec that was sent into a copy of the former pod. Containers
    that are not the former ones are taken as they are, for `check` to refuse."""
    spec, wanted = dict(new["spec"]), sent["spec"]
    resources = wanted.get("resources")
    for field in _LISTS:
        entries, others = spec.get(field) or [], wanted.get(field) or []
        if [each["name"] for each in entries] != [each.get("name") for each in others]:
            spec[field] = others
            continue
        if entries:
            pairs = zip(entries, others, strict=True)
            spec[field] = [_resized(entry, other) for entry, other in pairs]
    spec.pop("resources", None)
    new["spec"] = spec if resources is None else {**spec, "resources": resources}


def _resized(container: Obj, wanted: Obj) -> Obj:
    kept = {key: value for key, value in container.items() if key not in ("resources", "resizePolicy")}
    return kept | {key: wanted[key] for key in ("resources", "resizePolicy") if key in wanted}


def check(new: Obj, old: Obj) -> list[Cause]:
    """The faults of a resize (both are Pods), beyond those of the spec by itself."""
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [causes.forbidden("", "static pods cannot be resized")]
    if (old["spec"].get("os") or {}).get("name") == "windows":
        return [causes.forbidden("", "windows pods cannot be resized")]
    found: list[Cause] = []
    before = (old.get("status") or {}).get("qosClass") or qos_class(old["spec"])
    if before != qos_class(new["spec"]):
        detail = "Pod QOS Class may not change as a result of resizing"
        found.append(causes.invalid("spec", before, detail))
    if not _is_supported(old.get("status") or {}):
        found.append(causes.forbidden("spec", "Pod running on node without support for resize"))
    found += _pod_level(new["spec"].get("resources"), old["spec"].get("resources"))
    if disorder := _order(new["spec"], old["spec"]):
        return found + disorder
    for field in _LISTS:
        pairs = zip(new["spec"].get(field) or (), old["spec"].get(field) or (), strict=True)
        for index, (wanted, former) in enumerate(pairs):
            found += _container(wanted, former, f"spec.{field}[{index}]")
    return found


def _is_supported(status: Obj) -> bool:
    """A node that can resize tells the resources of what it runs."""
    running = (
        each for each in status.get("containerStatuses") or () if "running" in (each.get("state") or {})
    )
    first = next(running, None)
    return first is None or first.get("resources") is not None


def _pod_level(new: Obj | None, old: Obj | None) -> list[Cause]:
    if old is not None and new is None:
        return [causes.forbidden("spec.resources", "pod-level resources cannot be removed")]
    new, old = new or {}, old or {}
    found = [
        causes.forbidden(f"spec.resources.{key}", f"pod-level resource {key} cannot be removed")
        for key in ("requests", "limits")
        if _removed(new.get(key), old.get(key))
    ]
    if _fixed(new) != _fixed(old):
        detail = "only cpu and memory resources are mutable at pod-level"
        found.append(causes.forbidden("spec", detail))
    return found


def _order(new: Obj, old: Obj) -> list[Cause]:
    found = []
    for field in _LISTS:
        wanted, former = new.get(field) or (), old.get(field) or ()
        if len(wanted) != len(former):
            detail = f"{field} may not be added or removed on resize"
            found.append(causes.forbidden(f"spec.{field}", detail))
            continue
        found += [
            causes.forbidden(
                f"spec.{field}[{index}].name", f"{field} may not be renamed or reordered on resize"
            )
            for index, (one, other) in enumerate(zip(wanted, former, strict=True))
            if one.get("name") != other["name"]
        ]
    return found


def _container(new: Obj, old: Obj, path: str) -> list[Cause]:
    wanted, former = new.get("resources") or {}, old.get("resources") or {}
    found = [
        causes.forbidden(f"{path}.resources.{key}", f"resource {key} cannot be removed")
        for key in ("requests", "limits")
        if _removed(wanted.get(key), former.get(key))
    ]
    is_init = path.startswith("spec.initContainers")
    if _fixed(wanted) != _fixed(former) or new.get("resizePolicy") != old.get("resizePolicy"):
        where, detail = "spec", "only cpu and memory resources are mutable"
        if is_init:
            where, detail = path, "only cpu and memory resources for init or sidecar containers are mutable"
        found.append(causes.forbidden(where, detail))
    if is_init and new != old and new.get("restartPolicy") != "Always":
        detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
        found += [
            causes.forbidden(path, detail)
            for policy in new.get("resizePolicy") or ()
            if policy.get("restartPolicy") == "RestartContainer"
        ]
    return found


def _removed(new: Obj | None, old: Obj | None) -> bool:
    return bool((old or {}).keys() - (new or {}).keys())


def _fixed(resources: Obj) -> Obj:
    """What a resize leaves as it is."""
    amounts = {
        key: {
            name: quantity.parse(text)
            for name, text in (resources.get(key) or {}).items()
            if name not in RESIZABLE
        }
        for key in ("requests", "limits")
    }
    return {**amounts, "claims": resources.get("claims") or []}
