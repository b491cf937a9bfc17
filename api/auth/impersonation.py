"""Acting as somebody else: the Impersonate headers, for whoever is allowed to.

Source: docs, "User impersonation". A server that overlooked them would do as the administrator what was
meant to be tried as somebody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote

from podium.api.auth.actions import Action
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.tokens import PREFIX
from podium.api.auth.users import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User
from podium.api.exchange import Header
from podium.api.types.errors import bad_request

START = b"impersonate-"
USER, GROUP, UID = b"impersonate-user", b"impersonate-group", b"impersonate-uid"
EXTRA = b"impersonate-extra-"
AUTHENTICATION = "authentication.k8s.io"
ACCOUNT_GROUPS = "system:serviceaccounts"


async def impersonated(authorizer: Authorizer, user: User, headers: Iterable[Header]) -> User:
    """The user that the request is to be done as: `user`, unless it says somebody else. Raises 400, 403."""
    given = [(name, value.decode("latin-1")) for name, value in headers if name.startswith(START)]
    if not given:
        return user
    name = next((value for header, value in given if header == USER), "")
    if not name:
        raise bad_request("requested impersonation of a group, uid or extra without impersonating a user")
    groups = [value for header, value in given if header == GROUP]
    uid = next((value for header, value in given if header == UID), "")
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in given:
        if header.startswith(EXTRA):
            key = unquote(header[len(EXTRA) :].decode("latin-1"))
            extra[key] = (*extra.get(key, ()), value)
    for action in _actions(name, groups, uid, extra):
        await authorizer.authorize(user, action)
    return User(name, _groups(name, groups), uid, extra)


def _actions(
    name: str, groups: Sequence[str], uid: str, extra: Mapping[str, Sequence[str]]
) -> Iterator[Action]:
    """What whoever wants to be that user must be allowed to do."""
    if name.startswith(PREFIX) and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        yield Action("impersonate", "", "serviceaccounts", "", namespace, account)
    else:
        yield Action("impersonate", "", "users", name=name)
    for group in groups:
        yield Action("impersonate", "", "groups", name=group)
    for key, values in extra.items():
        for value in values:
            yield Action("impersonate", AUTHENTICATION, "userextras", key, name=value)
    if uid:
        yield Action("impersonate", AUTHENTICATION, "uids", name=uid)


def _groups(name: str, groups: Sequence[str]) -> tuple[str, ...]:
    """With those that everybody of the kind is in."""
    if name == ANONYMOUS.name:
        return (*groups, UNAUTHENTICATED)
    more = [AUTHENTICATED]
    if not groups and name.startswith(PREFIX) and name.count(":") == 3:
        more = [ACCOUNT_GROUPS, f"{ACCOUNT_GROUPS}:{name.split(':')[2]}", AUTHENTICATED]
    return tuple(dict.fromkeys([*groups, *more]))
