"""Removes bootstrap tokens that have expired."""

from __future__ import annotations

from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import key_of, split_key
from podium.api.types.resources import SECRETS
from podium.control.certificates import expiry
from podium.control.controller import Context, Controller


class TokenCleaner(Controller):
    name = "token-cleaner-controller"
    workers = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.secrets = self.watch(SECRETS, _tokens, fields=f"type={expiry.TOKEN_TYPE}")

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        secret = self.secrets.get(name, namespace)
        if secret is None:
            return
        now = self.context.now()
        end = expiry.token_ends(secret, now)
        if end is None:
            return
        if end > now:
            self.queue.add_after(key, (end - now).total_seconds())
            return
        try:
            await self.client.delete(SECRETS, name, namespace, uid=secret["metadata"]["uid"])
        except StatusError as error:
            if error.code not in (404, 409):
                raise


def _tokens(old: Obj | None, new: Obj | None) -> Iterable[str]:
    if new is not None and expiry.is_token(new):
        yield key_of(new)
