from __future__ import annotations

import base64
from typing import Any

from podium.api.types import Obj
from podium.api.types.resources import SECRETS, SERVICE_ACCOUNTS
from podium.control.tokensecrets import ACCOUNT_NAME, ACCOUNT_UID, TYPE, belongs, filled

from .cluster import ROOT_CA, TestCluster

ACCOUNT: Obj = {"metadata": {"name": "robot", "namespace": "default", "uid": "u1"}}


def secret(**annotations: str) -> Obj:
    meta = {"name": "held", "namespace": "default", "annotations": {ACCOUNT_NAME: "robot", **annotations}}
    return {"metadata": meta, "type": TYPE}


def issue(account: Obj, held: Obj) -> str:
    return f"token of {account['metadata']['name']}"


def decoded(obj: Obj) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in obj["data"].items()}


def test_a_secret_gets_what_it_lacks() -> None:
    fresh = filled(secret(), ACCOUNT, ROOT_CA, issue)
    assert fresh is not None
    assert decoded(fresh) == {"ca.crt": ROOT_CA, "namespace": "default", "token": "token of robot"}
    assert fresh["metadata"]["annotations"] == {ACCOUNT_NAME: "robot", ACCOUNT_UID: "u1"}
    assert filled(fresh, ACCOUNT, ROOT_CA, issue) is None
    data: dict[str, Any] = {**fresh["data"], "ca.crt": "b3RoZXI="}
    again = filled({**fresh, "data": data}, ACCOUNT, ROOT_CA, lambda *_: "another")
    assert again is not None
    assert decoded(again) == decoded(fresh)


def test_a_secret_belongs_to_the_account_that_it_was_made_for() -> None:
    assert belongs(secret(), ACCOUNT)
    assert belongs(secret(**{ACCOUNT_UID: "u1"}), ACCOUNT)
    assert not belongs(secret(**{ACCOUNT_UID: "u2"}), ACCOUNT)
    assert not belongs(secret(), None)


async def test_a_secret_is_filled_and_goes_with_its_account(cluster: TestCluster) -> None:
    client, held = cluster.client, secret()
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "robot", "namespace": "test"}})
    for name, account in (("held", "robot"), ("orphan", "nobody")):
        meta = {"name": name, "namespace": "test", "annotations": {ACCOUNT_NAME: account}}
        await client.create(SECRETS, {**held, "metadata": meta})
    made = await cluster.one(SECRETS, "held", lambda obj: bool(obj.get("data")))
    assert decoded(made).keys() == {"ca.crt", "namespace", "token"}
    await cluster.gone(SECRETS, "orphan")
    await client.delete(SERVICE_ACCOUNTS, "robot", "test")
    await cluster.gone(SECRETS, "held")
