"""What somebody wants to do, and how it is refused."""

from __future__ import annotations

from typing import NamedTuple

from podium.api.auth.users import User
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.selectors import Requirement


class Action(NamedTuple):
    """On a resource, or on a `path` that is none (then `resource` is ""). `name` is "" for a collection, of
    which `fields` and `labels` are selected."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    version: str = ""
    fields: tuple[Requirement, ...] = ()
    labels: tuple[Requirement, ...] = ()

    def selects(self, field: str, value: str) -> bool:
        """Whether it is only about what has this value there."""
        return any(term == (field, "In", (value,)) for term in self.fields)


class Verdict(NamedTuple):
    """`reason` says who allowed it, or what went wrong on the way to a no. `denied` is a no that nobody else
    is asked about."""

    allowed: bool
    reason: str = ""
    denied: bool = False


def forbidden(user: User, action: Action, reason: str = "") -> StatusError:
    """The 403."""
    why = f": {reason}" if reason else ""
    if not action.resource:
        text = f'forbidden: User "{user.name}" cannot {action.verb} path "{action.path}"{why}'
        return StatusError(403, "Forbidden", text, {})
    resource = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
    where = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    qualified = f"{action.resource}.{action.group}" if action.group else action.resource
    subject = f'{qualified} "{action.name}"' if action.name else qualified
    text = (
        f'{subject} is forbidden: User "{user.name}" cannot {action.verb} resource "{resource}" '
        f'in API group "{action.group}" {where}{why}'
    )
    details: Obj = {"kind": action.resource}
    if action.name:
        details["name"] = action.name
    if action.group:
        details["group"] = action.group
    return StatusError(403, "Forbidden", text, details)
