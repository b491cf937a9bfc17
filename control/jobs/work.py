"""What a Job's plan does to pods: creating, deleting, letting go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from podium.api.types import Obj
from podium.api.types.errors import StatusError, unavailable
from podium.api.types.resources import PODS
from podium.client.base import Client
from podium.client.events import EventRecorder
from podium.control.expectations import Expectations
from podium.control.jobs import facts
from podium.control.jobs.making import pod_for
from podium.control.jobs.view import View
from podium.control.podrequests import PodRequests
from podium.control.pods import is_ready


class Done(NamedTuple):
    """How many pods were made or deleted, how many of them had been ready, and the first failure."""

    pods: int = 0
    ready: int = 0
    failure: StatusError | None = None


class PodWork:
    """The requests about one controller's pods. What is under way is written into `expectations`, under the
    job's key."""

    def __init__(self, client: Client, recorder: EventRecorder, expectations: Expectations) -> None:
        self._client, self._expectations = client, expectations
        self._requests = PodRequests(client, recorder, expectations)

    async def create(self, key: str, view: View, indexes: Sequence[int | None]) -> Done:
        self._expectations.expect(key, creations=len(indexes))
        job, delayed = view.job, view.delayed
        pods = [pod_for(job, index, None if index is None else delayed.get(index)) for index in indexes]
        made, failure = await self._requests.create(job, pods)
        return Done(made, failure=failure)

    async def drop(self, key: str, job: Obj, pods: Sequence[Obj]) -> Done:
        """Deletes pods that are too many: they count as nothing, so they are let go first."""
        self._expectations.expect(key, deletions=(pod["metadata"]["uid"] for pod in pods))

        async def one(pod: Obj) -> StatusError | None:
            failure = await self._let_go(pod) or await self._requests.delete(job, pod)
            if failure is not None:
                self._expectations.deleted(key, pod["metadata"]["uid"])
            return failure

        return await _all(pods, one)

    async def stop(self, job: Obj, pods: Sequence[Obj]) -> Done:
        """Deletes the pods of a job that ends: they go once they are counted."""
        return await _all(pods, lambda pod: self._requests.delete(job, pod))

    async def let_go(self, pods: Sequence[Obj]) -> tuple[list[str], StatusError | None]:
        """Takes the finalizer from pods that are counted. The uids of those that kept it, and the first
        failure."""
        results = await asyncio.gather(*map(self._let_go, pods))
        kept = [
            pod["metadata"]["uid"] for pod, failure in zip(pods, results, strict=True) if failure is not None
        ]
        return kept, next((failure for failure in results if failure is not None), None)

    async def _let_go(self, pod: Obj) -> StatusError | None:
        if not facts.tracked(pod):
            return None
        meta = pod["metadata"]
        request = self._client.patch(PODS, meta["name"], facts.LET_GO, meta["namespace"], kind="strategic")
        try:
            await request
        except StatusError as error:
            return None if error.code == 404 else error
        except ConnectionError as error:
            return unavailable(str(error))
        return None


async def _all(pods: Sequence[Obj], do: Callable[[Obj], Awaitable[StatusError | None]]) -> Done:
    results = await asyncio.gather(*map(do, pods))
    gone = [pod for pod, failure in zip(pods, results, strict=True) if failure is None]
    failure = next((failure for failure in results if failure is not None), None)
    return Done(len(gone), sum(map(is_ready, gone)), failure)
