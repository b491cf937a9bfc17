"""What may grow, and what is kept while it is in use."""

from __future__ import annotations

from typing import Any

import pytest

from podium.api.admission import AdmissionRequest, Cluster
from podium.api.admission.storage import (
    NOT_BOUND,
    NOT_EXPANDABLE,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, VOLUME_ATTRIBUTES_CLASSES

CLASSES = {"grows": {"allowVolumeExpansion": True}, "stays": {"allowVolumeExpansion": False}, "silent": {}}
WORLD = Cluster(lambda resource, namespace, name: CLASSES.get(name), lambda *_: ())


def claim(size: str, name: str | None = "grows", phase: str = "Bound") -> Obj:
    spec: dict[str, Any] = {"resources": {"requests": {"storage": size}}}
    if name is not None:
        spec["storageClassName"] = name
    return {"metadata": {"name": "data"}, "spec": spec, "status": {"phase": phase}}


async def resize(new: Obj, old: Obj) -> None:
    request = AdmissionRequest("UPDATE", PERSISTENT_VOLUME_CLAIMS, "", "test", "data", new, old)
    await PersistentVolumeClaimResize().validate(request, WORLD)


async def test_a_bound_claim_grows_where_its_class_says_so() -> None:
    await resize(claim("2Gi"), claim("1Gi"))


async def test_what_does_not_grow_is_not_asked() -> None:
    await resize(claim("1024Mi", "stays"), claim("1Gi", "stays"))
    await resize(claim("1Mi", None), claim("1Gi", None))


@pytest.mark.parametrize(
    ("name", "phase", "why"),
    [
        ("grows", "Pending", NOT_BOUND),
        ("stays", "Bound", NOT_EXPANDABLE),
        ("silent", "Bound", NOT_EXPANDABLE),
        ("gone", "Bound", NOT_EXPANDABLE),
        (None, "Bound", NOT_EXPANDABLE),
    ],
)
async def test_other_claims_do_not_grow(name: str | None, phase: str, why: str) -> None:
    with pytest.raises(StatusError, match=why) as refused:
        await resize(claim("2Gi", name, phase), claim("1Gi", name, phase))
    assert refused.value.code == 403


async def test_a_class_of_attributes_is_guarded_from_its_creation() -> None:
    obj: Obj = {"metadata": {"name": "gold"}}
    request = AdmissionRequest("CREATE", VOLUME_ATTRIBUTES_CLASSES, "", "", "gold", obj, None)
    await StorageObjectInUseProtection().mutate(request, WORLD)
    assert obj["metadata"]["finalizers"] == ["kubernetes.io/vac-protection"]
