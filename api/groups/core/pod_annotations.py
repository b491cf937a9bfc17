"""Annotations that mean something for a pod. Source: docs, "Well-Known Labels, Annotations and Taints"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_COST = re.compile(r"0|-?[1-9]\d*")
_PROFILES = ("", "runtime/default", "unconfined")


def check(pod: Obj, path: str = "metadata.annotations") -> list[Cause]:
    """Of a pod or a template, whose annotations have another path."""
    annotations = pod["metadata"].get("annotations")
    if not annotations:
        return []
    found: list[Cause] = []
    if MIRROR in annotations and not pod["spec"].get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        found.append(causes.invalid(f"{path}[{MIRROR}]", annotations[MIRROR], detail))
    cost = annotations.get(DELETION_COST)
    if cost is not None and not (_COST.fullmatch(cost) and -(2**31) <= int(cost) < 2**31):
        found.append(causes.invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))
    known = {
        entry.get("name")
        for key in ("initContainers", "containers", "ephemeralContainers")
        for entry in pod["spec"].get(key) or ()
    }
    for key, profile in annotations.items():
        if key.startswith(APP_ARMOR):
            name = key.removeprefix(APP_ARMOR)
            if name not in known:
                found.append(causes.invalid(f"{path}[{key}]", name, "container not found"))
            if profile not in _PROFILES and not profile.startswith("localhost/"):
                detail = f"invalid AppArmor profile name: {causes.render(profile)}"
                found.append(causes.invalid(f"{path}[{key}]", profile, detail))
    return found


def check_update(new: Obj, old: Obj) -> list[Cause]:
    """What was said with them from the start stays said; both are Pods."""
    wanted, former = (pod["metadata"].get("annotations") or {} for pod in (new, old))
    if wanted == former:
        return []
    return _kept(wanted, former) + check(new)


def _kept(new: Mapping[str, str], old: Mapping[str, str]) -> list[Cause]:
    found: list[Cause] = []
    for key in (*old, *(key for key in new if key not in old)):
        what = "AppArmor annotations" if key.startswith(APP_ARMOR) else "mirror pod annotation"
        if new.get(key) != old.get(key) and (key == MIRROR or key.startswith(APP_ARMOR)):
            verb = "remove or update" if key in old else "add"
            found.append(causes.forbidden(_path(key), f"may not {verb} {what}"))
    return found


def _path(key: str) -> str:
    return f"metadata.annotations[{key}]"
