"""What is asked of the API server for a pod's claims, from caches that have moved on since it was decided."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from podium.api.types import Obj
from podium.control.scheduler.binder import NotBound, VolumeBinder
from podium.control.scheduler.storage import Binding, VolumePlan

CLAIM: Obj = {
    "metadata": {"name": "data", "namespace": "ns", "uid": "own", "resourceVersion": "7"},
    "spec": {},
}


class Client:
    def __init__(self) -> None:
        self.written: list[Obj] = []

    async def update(self, resource: object, obj: Obj) -> Obj:
        self.written.append(obj)
        return obj


async def promise(reference: Obj | None) -> tuple[list[Obj], str]:
    """The volumes that were written, and why the pod could not be bound; it has gone, if for nothing else."""
    volume = {"metadata": {"name": "v"}, "spec": {"claimRef": reference} if reference else {}}
    client: Any = Client()
    known: Any = SimpleNamespace(
        claims=SimpleNamespace(get=lambda *_: CLAIM),
        volumes=SimpleNamespace(get=lambda *_: volume),
        pods=SimpleNamespace(get=lambda *_: None),
    )
    needs: Any = SimpleNamespace(name="p", namespace="ns", uid="pod")
    plan = VolumePlan("a", (Binding("v", "ns/data"),), ())
    with pytest.raises(NotBound) as refusal:
        await VolumeBinder(client, known).bind(needs, plan, 1.0)
    return client.written, str(refusal.value)


async def test_a_free_volume_is_promised_to_the_claim() -> None:
    [written], _ = await promise(None)
    assert written["spec"]["claimRef"]["uid"] == "own"
    assert written["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}


async def test_a_volume_that_a_user_reserved_stays_his_doing() -> None:
    [written], _ = await promise({"namespace": "ns", "name": "data"})
    assert written["spec"]["claimRef"]["uid"] == "own"
    assert not written["metadata"].get("annotations")


async def test_a_volume_that_another_claim_got_meanwhile_is_left_to_it() -> None:
    written, why = await promise({"namespace": "ns", "name": "other", "uid": "another"})
    assert (written, why) == ([], 'persistentvolume "v" is bound to another claim by now')
