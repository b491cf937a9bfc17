"""Secrets of the type kubernetes.io/service-account-token: they are filled with a token of the account that
they name, and go when it does.

Source: docs, "Managing Service Accounts", manually managing a long-lived API token."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import key_of, name_of, namespace_of, split_key
from podium.api.types.resources import SECRETS, SERVICE_ACCOUNTS
from podium.control.controller import Context, Controller

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"

# A token for an account, to be held by a Secret.
Issue = Callable[[Obj, Obj], str]


def account_of(secret: Obj) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(ACCOUNT_NAME) or "")


def belongs(secret: Obj, account: Obj | None) -> bool:
    """Whether the account that a Secret names is there, and is the one that it was made for."""
    uid = (secret["metadata"].get("annotations") or {}).get(ACCOUNT_UID)
    return account is not None and uid in (None, "", account["metadata"]["uid"])


def filled(secret: Obj, account: Obj, authority: str, issue: Issue) -> Obj | None:
    """The Secret with what it lacks; None when it lacks nothing."""
    data, meta = secret.get("data") or {}, secret["metadata"]
    wanted = {"ca.crt": authority, "namespace": namespace_of(secret)}
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in wanted.items()}
    missing = {key: value for key, value in encoded.items() if not data.get(key)}
    if data.get("ca.crt") and data["ca.crt"] != encoded["ca.crt"]:
        missing["ca.crt"] = encoded["ca.crt"]
    if not data.get("token"):
        missing["token"] = base64.b64encode(issue(account, secret).encode()).decode()
    if not missing:
        return None
    notes = {ACCOUNT_NAME: name_of(account), ACCOUNT_UID: account["metadata"]["uid"]}
    annotations = {**(meta.get("annotations") or {}), **notes}
    return {**secret, "metadata": {**meta, "annotations": annotations}, "data": {**data, **missing}}


class TokenSecretController(Controller):
    name = "legacy-serviceaccount-token-controller"
    workers = 1

    def __init__(self, context: Context, authority: str, issue: Issue) -> None:
        super().__init__(context)
        self._authority = authority
        self._issue = issue
        self.secrets = self.watch(SECRETS, _key, fields=f"type={TYPE}")
        self.accounts = self.watch(SERVICE_ACCOUNTS, self._account_changed)

    def _account_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        account = new or old
        if account is None or (old is not None and new is not None):
            return
        for secret in self.secrets.list(namespace_of(account)):
            if account_of(secret) == name_of(account):
                yield key_of(secret)

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        secret = self.secrets.get(name, namespace)
        if secret is None or not account_of(secret):
            return
        try:
            account = await self._account(secret)
            if account is None:
                await self.client.delete(SECRETS, name, namespace, uid=secret["metadata"]["uid"])
            elif fresh := filled(secret, account, self._authority, self._issue):
                await self.client.update(SECRETS, fresh)
        except StatusError as error:
            # Written or gone meanwhile: the next event tells.
            if error.code not in (404, 409):
                raise

    async def _account(self, secret: Obj) -> Obj | None:
        """The cache may not have heard of it yet, and what is deleted does not come back: so it is asked
        for."""
        namespace, name = namespace_of(secret), account_of(secret)
        account = self.accounts.get(name, namespace)
        if belongs(secret, account):
            return account
        try:
            account = await self.client.get(SERVICE_ACCOUNTS, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None
        return account if belongs(secret, account) else None


def _key(old: Obj | None, new: Obj | None) -> Iterable[str]:
    if new is not None:
        yield key_of(new)
