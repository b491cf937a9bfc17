"""Who may act as whom, and for what."""

from __future__ import annotations

import pytest

from podium.api.auth.actions import Action
from podium.api.auth.authorizer import RBAC, Authorizer
from podium.api.auth.impersonation import Acting, impersonated
from podium.api.auth.users import User
from podium.api.kinds import Kinds
from podium.api.store.memory import MemoryStore
from podium.api.types import Obj
from podium.api.types.errors import StatusError

AUTHN = "authentication.k8s.io"
PODS = Action("list", "", "pods", "", "default")
NODE_NAME = "authentication.kubernetes.io/node-name"
EVE = User("eve", ("system:authenticated",))
AGENT = User("system:serviceaccount:kube-system:agent", ("system:authenticated",), "", {NODE_NAME: ("n1",)})


def may(verb: str, group: str, resource: str, *names: str) -> Obj:
    rule: Obj = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
    return {**rule, "resourceNames": [*names]} if names else rule


def on(mode: str) -> Obj:
    return may(f"impersonate-on:{mode}:list", "", "pods")


async def acting(user: User, rules: list[Obj], action: Action = PODS, **headers: str | list[str]) -> Acting:
    """As whom the user acts who has these rules."""
    store = MemoryStore()
    await store.start()
    prefix = "/registry/rbac.authorization.k8s.io"
    await store.create(f"{prefix}/clusterroles/a", {"metadata": {"name": "a"}, "rules": rules})
    binding = {
        "metadata": {"name": "a"}, "roleRef": {"kind": "ClusterRole", "name": "a"},
        "subjects": [{"kind": "User", "name": user.name}],
    }  # fmt: skip
    await store.create(f"{prefix}/clusterrolebindings/a", binding)
    authorizer = Authorizer([RBAC], store, Kinds([]))
    given = [
        (f"impersonate-{name.replace('_', '-').lower()}".encode(), each.encode())
        for name, value in headers.items()
        for each in ([value] if isinstance(value, str) else value)
    ]
    try:
        return await impersonated(authorizer, user, given, action)
    finally:
        await store.close()


async def refusal(user: User, rules: list[Obj], action: Action = PODS, **headers: str | list[str]) -> str:
    with pytest.raises(StatusError) as refused:
        await acting(user, rules, action, **headers)
    assert refused.value.code == 403
    return refused.value.message


async def test_who_says_nothing_is_who_he_is() -> None:
    assert await acting(EVE, []) == (EVE, "")


async def test_a_user_takes_the_right_to_be_him_and_to_do_that_as_him() -> None:
    being = may("impersonate:user-info", AUTHN, "users", "bob")
    found = await acting(EVE, [on("user-info"), being], User="bob")
    assert found == (User("bob", ("system:authenticated",), "", {}), "impersonate:user-info")
    assert await refusal(EVE, [being], User="bob") == (
        'pods is forbidden: User "eve" cannot impersonate-on:user-info:list resource "pods" in API group "" '
        'in the namespace "default"'
    )
    assert await refusal(EVE, [on("user-info")], User="bob") == (
        'users.authentication.k8s.io "bob" is forbidden: User "eve" cannot impersonate:user-info resource '
        '"users" in API group "authentication.k8s.io" at the cluster scope'
    )
    await refusal(EVE, [on("user-info"), being], PODS._replace(verb="watch"), User="bob")
    await refusal(EVE, [on("user-info"), being], User="ann")


async def test_the_unconstrained_right_is_enough() -> None:
    found = await acting(EVE, [may("impersonate", "", "users", "bob")], User="bob")
    assert found == (User("bob", ("system:authenticated",), "", {}), "")


async def test_groups_uid_and_extra_are_looked_at_one_by_one() -> None:
    rules = [
        on("user-info"),
        may("impersonate:user-info", AUTHN, "users"),
        may("impersonate:user-info", AUTHN, "groups", "a", "b"),
        may("impersonate:user-info", AUTHN, "uids", "7"),
        may("impersonate:user-info", AUTHN, "userextras/example.com/scope", "view"),
    ]
    headers: dict[str, str | list[str]] = {
        "User": "bob", "Group": ["a", "b"], "Uid": "7", "Extra_example.com/scope": "view",
    }  # fmt: skip
    found = await acting(EVE, rules, **headers)
    extra = {"example.com/scope": ("view",)}
    assert found.user == User("bob", ("a", "b", "system:authenticated"), "7", extra)
    for change in ({"Group": ["a", "c"]}, {"Uid": "8"}, {"Extra_example.com/scope": "edit"}):
        await refusal(EVE, rules, **{**headers, **change})
    many = {**headers, "Group": ["a", "b", "c", "d"]}
    await refusal(EVE, rules, **many)
    every = [*rules, may("impersonate:user-info", AUTHN, "groups", "*")]
    assert (await acting(EVE, every, **many)).user.groups == ("a", "b", "c", "d", "system:authenticated")


@pytest.mark.parametrize(
    "headers",
    [{"Group": "system:masters"}, {"Group": ""}, {"Extra_scope": "x"}, {"Extra_example.com/scope": ""}],
)
async def test_what_no_constrained_mode_gives(headers: dict[str, str]) -> None:
    rules = [on("user-info"), may("impersonate:user-info", AUTHN, "*")]
    await refusal(EVE, rules, User="bob", **headers)


async def test_an_account_is_itself_and_nothing_more() -> None:
    name = "system:serviceaccount:shop:app"
    rules = [on("serviceaccount"), may("impersonate:serviceaccount", AUTHN, "serviceaccounts", "app")]
    found = await acting(EVE, rules, User=name)
    groups = ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")
    assert found == (User(name, groups, "", {}), "impersonate:serviceaccount")
    await refusal(EVE, rules, User=name, Group="a")
    await refusal(EVE, rules, User="system:serviceaccount:shop:other")
    info = [on("user-info"), may("impersonate:user-info", AUTHN, "users", name)]
    assert "impersonate-on:serviceaccount:list" in await refusal(EVE, info, User=name)


async def test_a_node_is_one_of_the_nodes() -> None:
    rules = [on("arbitrary-node"), may("impersonate:arbitrary-node", AUTHN, "nodes", "n1")]
    found = await acting(EVE, rules, User="system:node:n1")
    user = User("system:node:n1", ("system:nodes", "system:authenticated"), "", {})
    assert found == (user, "impersonate:arbitrary-node")
    await refusal(EVE, rules, User="system:node:n2")


async def test_an_account_may_be_the_node_that_it_is_on() -> None:
    rules = [on("associated-node"), may("impersonate:associated-node", AUTHN, "nodes")]
    found = await acting(AGENT, rules, User="system:node:n1")
    assert (found.user.name, found.constraint) == ("system:node:n1", "impersonate:associated-node")
    await refusal(AGENT, rules, User="system:node:n2")
    await refusal(EVE, rules, User="system:node:n1")


async def test_who_is_nobody_is_not_among_those_who_are_known() -> None:
    rules = [may("impersonate", "", "users"), may("impersonate", "", "groups")]
    assert (await acting(EVE, rules, User="system:anonymous")).user.groups == ("system:unauthenticated",)
    found = await acting(EVE, rules, User="x", Group="system:unauthenticated")
    assert found.user.groups == ("system:unauthenticated",)
