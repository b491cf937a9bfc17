"""Thousands of rules, and who waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.api.auth.actions import Action, Verdict
from podium.api.auth.rbac import GROUP, PREFIX, Rbac
from podium.api.auth.users import User
from podium.api.store.memory import MemoryStore
from podium.api.types import Obj

EVE = User("eve", ("system:authenticated",))
RULES = 4_000


def secret(name: str, namespace: str = "") -> Action:
    return Action("get", "", "secrets", "", namespace, name)


def rule(*names: str, verb: str = "get") -> Obj:
    return {"apiGroups": [""], "resources": ["secrets"], "verbs": [verb], "resourceNames": [*names]}


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    made = MemoryStore()
    await made.start()
    yield made
    await made.close()


async def put(store: MemoryStore, plural: str, name: str, **more: Any) -> None:
    key = f"{PREFIX}{plural}/{name}"
    obj = {"metadata": {"name": name}, **more}
    entry = store.latest(key)
    await (store.create(key, obj) if entry is None else store.update(key, obj, entry.revision))


async def bound(store: MemoryStore, role: str, *users: str) -> None:
    subjects = [{"kind": "User", "name": user} for user in users]
    await put(
        store, "clusterrolebindings", role, roleRef={"kind": "ClusterRole", "name": role}, subjects=subjects
    )


async def answer(rbac: Rbac, action: Action) -> Verdict:
    verdict = rbac.decide(EVE, action)
    return verdict if isinstance(verdict, Verdict) else await verdict


async def test_many_rules_are_compiled_beside_the_loop_and_then_answer_at_once(store: MemoryStore) -> None:
    for number in range(3):
        await put(
            store, "clusterroles", f"many{number}",
            rules=[rule(f"{number}-{index}") for index in range(RULES)],
        )  # fmt: skip
        await bound(store, f"many{number}", "eve")
    rbac = Rbac(store)
    began = time.thread_time()
    pending = rbac.decide(EVE, secret("2-3999"))
    assert time.thread_time() - began < 0.01
    assert not isinstance(pending, Verdict)
    assert (await pending).allowed
    for name, allowed in (("0-0", True), ("1-3999", True), ("3-0", False)):
        verdict = rbac.decide(EVE, secret(name))
        assert isinstance(verdict, Verdict)
        assert verdict.allowed is allowed


async def test_several_who_ask_at_once_wait_for_the_same_work(store: MemoryStore) -> None:
    await put(store, "clusterroles", "many", rules=[rule(f"{index}") for index in range(RULES)])
    await bound(store, "many", "eve")
    rbac = Rbac(store)
    asked = [asyncio.ensure_future(answer(rbac, secret(str(index)))) for index in range(20)]
    await asyncio.sleep(0)
    asked[0].cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(each, Verdict) and each.allowed for each in answers[1:])


async def test_a_large_role_that_changes_counts_at_once(store: MemoryStore) -> None:
    await put(store, "clusterroles", "many", rules=[rule(f"{index}") for index in range(RULES)])
    await bound(store, "many", "eve")
    rbac = Rbac(store)
    assert (await answer(rbac, secret("1"))).allowed
    await put(store, "clusterroles", "many", rules=[rule(f"x{index}") for index in range(RULES)])
    assert not (await answer(rbac, secret("1"))).allowed
    assert (await answer(rbac, secret("x1"))).allowed
    gone = store.latest(f"{PREFIX}clusterroles/many")
    assert gone is not None
    await store.delete(gone.key, gone.obj, gone.revision)
    verdict = await answer(rbac, secret("x1"))
    assert verdict.reason == f'RBAC: clusterrole.{GROUP} "many" not found'


async def test_a_binding_of_thousands_of_subjects_is_looked_through_once(store: MemoryStore) -> None:
    await put(store, "clusterroles", "one", rules=[rule("a")])
    await bound(store, "one", *(f"user{index}" for index in range(5_000)), "eve")
    rbac = Rbac(store)
    assert not isinstance(pending := rbac.decide(EVE, secret("a")), Verdict)
    assert (await pending).allowed
    assert isinstance(rbac.decide(EVE, secret("b")), Verdict)
    await bound(store, "one", "somebody", "else")
    assert not (await answer(rbac, secret("a"))).allowed


async def test_rules_that_no_index_tells_apart_are_looked_through_beside_the_loop(store: MemoryStore) -> None:
    await put(store, "clusterroles", "odd", rules=[rule("a", verb=f"v{index}") for index in range(RULES)])
    await bound(store, "odd", "eve")
    rbac = Rbac(store)
    assert not (await answer(rbac, secret("a"))).allowed
    last = secret("a")._replace(verb=f"v{RULES - 1}")
    assert not isinstance(pending := rbac.decide(EVE, last), Verdict)
    assert (await pending).allowed
    assert isinstance(rbac.decide(EVE, last), Verdict)


async def test_what_somebody_may_do_is_told_with_like_rules_made_one(store: MemoryStore) -> None:
    await put(store, "clusterroles", "few", rules=[rule("b"), rule("a")])
    await bound(store, "few", "eve")
    rbac = Rbac(store)
    assert await rbac.policy_rules(EVE, "") == [rule("b"), rule("a")]
    await put(store, "clusterroles", "few", rules=[rule(f"{index:04}") for index in range(RULES)])
    assert await rbac.policy_rules(EVE, "") == [rule(*(f"{index:04}" for index in range(RULES)))]
