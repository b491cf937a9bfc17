"""Pods created and deleted for the object that owns them, with the events that tell of it."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj
from podium.api.types.errors import StatusError, unavailable
from podium.api.types.meta import key_of
from podium.api.types.resources import PODS
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.control.batches import slow_start
from podium.control.controller import namespace_ends
from podium.control.expectations import Expectations


class PodRequests:
    """What is under way the caller has written into `expectations` before, under the owner's key; what fails
    is taken from there."""

    def __init__(self, client: Client, recorder: EventRecorder, expectations: Expectations) -> None:
        self._client, self._recorder, self._expectations = client, recorder, expectations

    async def create(self, owner: Obj, pods: Sequence[Obj]) -> tuple[int, StatusError | None]:
        """Few at first. How many were made, and the first failure that has to be tried again."""
        made, failure = await slow_start(pods, lambda pod: self._create(owner, pod))
        self._expectations.created(key_of(owner), len(pods) - made)
        return made, None if failure is not None and namespace_ends(failure) else failure

    async def _create(self, owner: Obj, pod: Obj) -> StatusError | None:
        try:
            made = await self._client.create(PODS, pod)
        except StatusError as error:
            if not namespace_ends(error):
                self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
            return error
        except ConnectionError as error:
            return unavailable(str(error))
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        return None

    async def delete(self, owner: Obj, pod: Obj) -> StatusError | None:
        """A failure that has to be tried again; a pod that has gone is none."""
        meta = pod["metadata"]
        try:
            await self._client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except StatusError as error:
            self._expectations.deleted(key_of(owner), meta["uid"])
            if error.code in (404, 409):
                return None
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            return error
        except ConnectionError as error:
            self._expectations.deleted(key_of(owner), meta["uid"])
            return unavailable(str(error))
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta['name']}")
        return None
