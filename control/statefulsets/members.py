"""Carries out the steps of one StatefulSet's plan: its pods and their claims in the API server, and the
events that tell of them."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError, conflict, unavailable
from podium.api.types.meta import deleting, name_of
from podium.api.types.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.control.controller import namespace_ends
from podium.control.statefulsets import retention
from podium.control.statefulsets.identity import (
    claim_names,
    claims,
    identity_matches,
    ordinal_of,
    repaired,
    storage_matches,
)
from podium.control.statefulsets.plan import Claims, Create, Delete, Provide, Repair, Step


class Members:
    """The pods and claims of one StatefulSet during one reconcile. `created` and `deleted` are the pods that
    were written, for whoever must not plan before the cache shows them."""

    def __init__(self, client: Client, recorder: EventRecorder, stateful_set: Obj, known: Claims) -> None:
        self._client, self._recorder = client, recorder
        self._set, self._known = stateful_set, known
        self.created: list[Obj] = []
        self.deleted: list[Obj] = []

    async def take(self, step: Step) -> StatusError | None:
        """Makes one step; the failure, if it has to be tried again."""
        verb = "create" if isinstance(step, Create) else "delete" if isinstance(step, Delete) else "update"
        try:
            await self._take(step)
        except ConnectionError as error:
            return unavailable(str(error))
        except StatusError as error:
            if verb == "create" and error.reason == "AlreadyExists":
                return error  # its own from before, not cached yet, or a stranger's of that name
            if not namespace_ends(error):
                self._tell(verb, f"Pod {name_of(step.pod)}", error)
            return error
        return None

    async def _take(self, step: Step) -> None:
        match step:
            case Create():
                await self._provide(step.pod)
                self.created.append(await self._client.create(PODS, step.pod))
                self._tell("create", f"Pod {name_of(step.pod)}")
            case Delete():
                await self._delete(step.pod)
            case Provide():
                await self._provide(step.pod)
            case Repair():
                await self._repair(step.pod)
            case _:
                await self._set_owners(step.pod)

    async def _delete(self, pod: Obj) -> None:
        meta = pod["metadata"]
        self.deleted.append(pod)
        try:
            await self._client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except StatusError as error:
            self.deleted.remove(pod)
            if error.code not in (404, 409):
                raise
            return
        self._tell("delete", f"Pod {name_of(pod)}")

    async def _provide(self, pod: Obj) -> None:
        """Makes the pod's claims that are missing, and gives all of them their owners."""
        for claim in claims(self._set, ordinal_of(pod)):
            known = self._known(name_of(claim))
            if known is None:
                await self._create_claim(pod, claim)
            elif deleting(known):
                name = name_of(claim)
                raise conflict(PERSISTENT_VOLUME_CLAIMS.plural, name, f"pvc {name} is being deleted")
        await self._set_owners(pod)

    async def _create_claim(self, pod: Obj, claim: Obj) -> None:
        subject = f"Claim {name_of(claim)} Pod {name_of(pod)}"
        try:
            await self._client.create(PERSISTENT_VOLUME_CLAIMS, claim)
        except StatusError as error:
            if error.reason == "AlreadyExists":
                return
            if not namespace_ends(error):
                self._tell("create", subject, error)
            raise
        self._tell("create", subject, success="success")

    async def _set_owners(self, pod: Obj) -> None:
        for claim in self._present(pod):
            if retention.has_other_controller(claim, self._set, pod):
                message = (
                    f"PersistentVolumeClaim {name_of(claim)} has a conflicting OwnerReference that acts as a "
                    "manging controller, the retention policy is ignored for this claim"
                )
                self._recorder.event(self._set, "Warning", "ConflictingController", message)
            if not retention.is_right(claim, self._set, pod):
                right = retention.corrected(claim, self._set, pod)
                await self._client.update(PERSISTENT_VOLUME_CLAIMS, right)

    def _present(self, pod: Obj) -> Iterable[Obj]:
        names = claim_names(self._set, ordinal_of(pod)).values()
        return [claim for name in names if (claim := self._known(name)) is not None]

    async def _repair(self, pod: Obj) -> None:
        if not storage_matches(self._set, pod):
            await self._provide(pod)
        await self._set_owners(pod)
        if not identity_matches(pod) or not storage_matches(self._set, pod):
            await self._client.update(PODS, repaired(self._set, pod))
        self._tell("update", f"Pod {name_of(pod)}")

    def _tell(
        self, verb: str, subject: str, error: StatusError | None = None, success: str = "successful"
    ) -> None:
        said = f"{verb.title()} {subject} in StatefulSet {name_of(self._set)}"
        if error is None:
            self._recorder.event(self._set, "Normal", f"Successful{verb.title()}", f"{said} {success}")
        else:
            message = f"{said} failed error: {error.message}"
            self._recorder.event(self._set, "Warning", f"Failed{verb.title()}", message)
