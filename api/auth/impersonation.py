"""Acting as somebody else: the Impersonate headers, for whoever is allowed to.

Each kind of user has a mode of its own, in which one has to be allowed both to be that user and to do, as
that user, what the request is about; whoever is not may still have the right to impersonate as such.

Source: docs, "User impersonation"; KEP-5284. A server that overlooked the headers would do as the
administrator what was meant to be tried as somebody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from podium.api.auth.actions import Action, forbidden
from podium.api.auth.authorizer import Authorizer
from podium.api.auth.tokens import NODE_NAME, PREFIX
from podium.api.auth.users import ANONYMOUS, AUTHENTICATED, MASTERS, NODES, UNAUTHENTICATED, User
from podium.api.exchange import Header
from podium.api.types.errors import StatusError, bad_request
from podium.api.validation import names

START = b"impersonate-"
USER, GROUP, UID = b"impersonate-user", b"impersonate-group", b"impersonate-uid"
EXTRA = b"impersonate-extra-"
AUTHENTICATION = "authentication.k8s.io"
ACCOUNT_GROUPS = "system:serviceaccounts"
NODE = "system:node:"
ASSOCIATED, ARBITRARY, ACCOUNT, INFO = "associated-node", "arbitrary-node", "serviceaccount", "user-info"
# Of so many groups or extra values it is asked first whether all may be had.
MANY = 4
_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


class Wanted(NamedTuple):
    """Who somebody wants to be, as the headers say."""

    name: str
    groups: tuple[str, ...]
    uid: str
    extra: Mapping[str, tuple[str, ...]]

    @property
    def account(self) -> tuple[str, str] | None:
        """Namespace and name, where it is a service account."""
        if not self.name.startswith(PREFIX) or self.name.count(":") != 3:
            return None
        _, _, namespace, name = self.name.split(":")
        if names.dns_label(namespace) or names.dns_subdomain(name):
            return None
        return namespace, name

    @property
    def node(self) -> str:
        """The name of the node, where it is one."""
        name = self.name.removeprefix(NODE)
        return name if name != self.name and not names.dns_subdomain(name) else ""

    @property
    def bare(self) -> bool:
        return not (self.groups or self.uid or self.extra)


class Acting(NamedTuple):
    """As whom a request is done; `constraint` is the verb that allowed it, "" for the unconstrained one."""

    user: User
    constraint: str = ""


async def impersonated(
    authorizer: Authorizer, user: User, headers: Iterable[Header], action: Action
) -> Acting:
    """The user that the request, which is to do `action`, is to be done as: `user`, unless it says somebody
    else. Raises 400, 403."""
    wanted = _wanted(headers)
    if wanted is None:
        return Acting(user)
    fault: StatusError | None = None
    for mode in _modes(user, wanted):
        try:
            async for asked in _asked(authorizer, user, wanted, mode, action):
                await authorizer.authorize(user, asked)
        except StatusError as error:
            fault = fault or error
        else:
            groups = _groups(wanted, mode)
            return Acting(
                User(wanted.name, groups, wanted.uid, wanted.extra), f"impersonate:{mode}" if mode else ""
            )
    assert fault is not None
    raise fault


def _wanted(headers: Iterable[Header]) -> Wanted | None:
    """Raises 400."""
    given = [(name, value.decode("latin-1")) for name, value in headers if name.startswith(START)]
    if not given:
        return None
    name = next((value for header, value in given if header == USER), "")
    if not name:
        raise bad_request("requested impersonation of a group, uid or extra without impersonating a user")
    groups = tuple(value for header, value in given if header == GROUP)
    uid = next((value for header, value in given if header == UID), "")
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in given:
        if header.startswith(EXTRA):
            key = unquote(header[len(EXTRA) :].decode("latin-1"))
            extra[key] = (*extra.get(key, ()), value)
    return Wanted(name, groups, uid, extra)


def _modes(user: User, wanted: Wanted) -> Iterator[str]:
    """In the order in which they are tried; "" is the unconstrained one."""
    if wanted.node:
        if wanted.bare:
            if user.name.startswith(PREFIX) and user.extra.get(NODE_NAME) == (wanted.node,):
                yield ASSOCIATED
            yield ARBITRARY
    elif wanted.account is not None:
        if wanted.bare:
            yield ACCOUNT
    else:
        yield INFO
    yield ""


async def _asked(
    authorizer: Authorizer, user: User, wanted: Wanted, mode: str, action: Action
) -> AsyncIterator[Action]:
    """What whoever wants to be that user must be allowed to do. Raises 403 for what nobody may."""
    verb, group = "impersonate", ""
    if mode:
        verb, group = f"impersonate:{mode}", AUTHENTICATION
        yield action._replace(verb=f"impersonate-on:{mode}:{action.verb}")
    yield _to_be(wanted, mode, verb, group)
    if wanted.uid:
        yield Action(verb, AUTHENTICATION, "uids", name=wanted.uid)
    groups = [Action(verb, group, "groups", name=name) for name in wanted.groups]
    extra = [
        Action(verb, AUTHENTICATION, "userextras", key, name=value)
        for key, values in wanted.extra.items()
        for value in values
    ]
    if mode:
        _refuse(user, wanted, verb)
        groups = await _shortened(authorizer, user, groups)
        extra = await _shortened(authorizer, user, extra)
    for each in (*groups, *extra):
        yield each


def _to_be(wanted: Wanted, mode: str, verb: str, group: str) -> Action:
    if mode in (ASSOCIATED, ARBITRARY):
        # Who may be the node that he is on may be it wherever he is.
        return Action(verb, group, "nodes", name="*" if mode == ASSOCIATED else wanted.node)
    if wanted.account is not None:
        namespace, name = wanted.account
        return Action(verb, group, "serviceaccounts", "", namespace, name)
    return Action(verb, group, "users", name=wanted.name)


def _refuse(user: User, wanted: Wanted, verb: str) -> None:
    """Raises 403 for groups and extra values that no constrained mode gives to anybody."""
    group, extra = Action(verb, AUTHENTICATION, "groups"), Action(verb, AUTHENTICATION, "userextras")
    if "" in wanted.groups:
        raise forbidden(user, group, "impersonating the empty string group is not allowed")
    if MASTERS in wanted.groups:
        why = "impersonating the system:masters group is not allowed"
        raise forbidden(user, group._replace(name=MASTERS), why)
    for key, values in wanted.extra.items():
        domain, slash, path = key.partition("/")
        if not key:
            raise forbidden(user, extra, "impersonating the empty string key in extra is not allowed")
        if not slash or names.dns_subdomain(domain) or not _PATH.fullmatch(path):
            why = f'extra.key: Invalid value: "{key}": must be a domain-prefixed path (such as "acme.io/foo")'
            raise forbidden(user, extra, f"impersonating an invalid key in extra is not allowed: {why}")
        if "" in values:
            raise forbidden(user, extra, "impersonating the empty string value in extra is not allowed")


async def _shortened(authorizer: Authorizer, user: User, actions: list[Action]) -> list[Action]:
    """None of many that may be had altogether."""
    if len(actions) < MANY:
        return actions
    every = actions[0]._replace(name="*", subresource="*" if actions[0].subresource else "")
    return [] if await authorizer.allowed(user, every) else actions


def _groups(wanted: Wanted, mode: str) -> tuple[str, ...]:
    """With those that everybody of the kind is in."""
    groups = list(wanted.groups)
    if mode in (ASSOCIATED, ARBITRARY):
        groups = [NODES]
    elif wanted.account is not None and not groups:
        groups = [ACCOUNT_GROUPS, f"{ACCOUNT_GROUPS}:{wanted.account[0]}"]
    if wanted.name == ANONYMOUS.name:
        groups.append(UNAUTHENTICATED)
    elif UNAUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return tuple(dict.fromkeys(groups))
