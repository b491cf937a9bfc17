"""Users as the API server sees them. Source: API reference, authentication/v1 UserInfo."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from podium.api.types import Obj

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
NODES = "system:nodes"
BOOTSTRAPPERS = "system:bootstrappers"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


class User(NamedTuple):
    """One requester. `extra` is what the credential says besides (the pod that a token was bound to)."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = {}

    def info(self) -> Obj:
        """authentication/v1 UserInfo."""
        info: Obj = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info


def authenticated(user: User) -> User:
    """With the group that everybody is in who said who he is."""
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return user._replace(groups=(*user.groups, AUTHENTICATED))


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
# What runs inside the server's own process and what it does itself.
SYSTEM = User("system:apiserver", (MASTERS, AUTHENTICATED))


def validity(peer: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """From when to when a client certificate is valid, in seconds; None without one."""
    if not peer:
        return None
    return ssl.cert_time_to_seconds(peer["notBefore"]), ssl.cert_time_to_seconds(peer["notAfter"])


def from_certificate(peer: Mapping[str, Any] | None) -> User | None:
    """The user a client certificate names whose signature was verified: CN is the user, every O a group.
    `peer` is `ssl`'s decoded form."""
    if not peer:
        return None
    fields: Sequence[Sequence[tuple[str, str]]] = peer.get("subject", ())
    pairs = [pair for names in fields for pair in names]
    name = next((value for field, value in pairs if field == "commonName"), "")
    if not name:
        return None
    groups = [value for field, value in pairs if field == "organizationName"]
    return User(name, (*groups, AUTHENTICATED))
