"""Questions that expressions ask while they are evaluated: an expression cannot wait, so one whose question
is open stops there, the question is answered, and it starts over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from podium.api.admission.request import AdmissionRequest
from podium.api.auth.actions import Action, Verdict
from podium.api.auth.users import User
from podium.api.cel.authority import Authorizer, ResourceCheck
from podium.api.cel.patience import patiently
from podium.api.types.resources import Resource

Result = TypeVar("Result")


class Decides(Protocol):
    """Knows what users may do."""

    def decide(self, user: User, action: Action) -> Awaitable[Verdict]: ...


class Unanswered(Exception):
    def __init__(self, user: User, action: Action) -> None:
        super().__init__(user.name, action)
        self.user, self.action = user, action


class Answers:
    """What one request's expressions were told. `decides` is None where nobody knows, and nothing is
    allowed."""

    def __init__(self, decides: Decides | None) -> None:
        self._decides = decides
        self._known: dict[tuple[str, Action], Verdict] = {}

    def authorizer(self, request: AdmissionRequest, as_: Resource) -> Authorizer | None:
        """What expressions call `authorizer`."""
        user = request.user
        if not isinstance(user, User):
            return None
        by = Authorizer(user, self._decide)
        action = Action(
            "",
            as_.group,
            as_.plural,
            request.subresource,
            request.namespace,
            request.name,
            version=as_.version,
        )
        return Authorizer(user, self._decide, ResourceCheck(by, action))

    async def settled(self, work: Callable[[], Result]) -> Result:
        """What `work` gives when nothing that it asks is open any more. It has to be without effects."""
        while True:
            try:
                return await patiently(work)
            except Unanswered as open_:
                verdict = Verdict(False)
                if self._decides is not None:
                    verdict = await self._decides.decide(open_.user, open_.action)
                self._known[open_.user.name, open_.action] = verdict

    def _decide(self, user: User, action: Action) -> Verdict:
        known = self._known.get((user.name, action))
        if known is None:
            raise Unanswered(user, action)
        return known
