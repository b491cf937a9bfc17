"""What clients may ask of revisions: resourceVersion, resourceVersionMatch, continue tokens.

Source: API concepts, "Resource versions", "Retrieving large results sets in chunks".
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

import orjson

from podium.api.store.base import Store
from podium.api.types.errors import Cause, StatusError, bad_request, invalid

# As many as a revision can have.
DIGITS = 19
TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a "
    "new list without the continue parameter, or use the continue token in this response to retrieve "
    "the remainder of the results. Continuing with the provided token results in an inconsistent "
    "list - objects that were created, modified, or deleted between the time the first chunk was "
    "returned and now may show up in the list."
)


def parse(version: str) -> int:
    """The revision of a resourceVersion parameter. Raises 400."""
    digits = version.isascii() and version.isdigit()
    if not digits or len(version) > DIGITS:
        why = "value out of range" if digits else "invalid syntax"
        raise bad_request(
            f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": {why}'
        )
    return int(version)


def not_older_than(store: Store, version: str) -> None:
    """Every answer is the newest there is; only a revision of the future cannot be answered. Raises 400,
    504."""
    wanted = parse(version)
    if wanted > store.revision:
        raise too_large(wanted, store.revision)


def too_large(wanted: int, current: int) -> StatusError:
    text = f"Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return StatusError(504, "Timeout", f"Timeout: {text}", {"causes": [cause], "retryAfterSeconds": 1})


class Continue(NamedTuple):
    """Where a list goes on: behind `after`, as it was at `revision` (-1: as it is now)."""

    revision: int
    after: str

    def encode(self) -> str:
        data = orjson.dumps({"v": "meta.k8s.io/v1", "rv": self.revision, "start": self.after})
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    @classmethod
    def decode(cls, token: str) -> Continue:
        """Raises 400."""
        try:
            data = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            known = data["v"] == "meta.k8s.io/v1"
            revision, after = data["rv"], data["start"]
        except (binascii.Error, ValueError, TypeError, KeyError):
            raise bad_request("continue key is not valid") from None
        if not known or not isinstance(revision, int) or not isinstance(after, str) or revision < -1:
            raise bad_request("continue key is not valid")
        return cls(revision, after)


class TooOld(StatusError):
    """410 for a continue token whose revision is compacted. `resume` goes on with the list as it is now."""

    def __init__(self, resume: Continue) -> None:
        super().__init__(410, "Expired", TOO_OLD)
        self.resume = resume

    def status(self) -> dict[str, object]:
        return super().status() | {"metadata": {"continue": self.resume.encode()}}


def check_match(version: str, match: str, token: str, *, watching: bool, initial: bool | None) -> None:
    """The combinations that mean something. Raises 422."""
    causes = list(
        _watch_faults(match, token, initial) if watching else _list_faults(version, match, token, initial)
    )
    if causes:
        raise invalid("ListOptions", "", causes, "meta.k8s.io")


def _forbidden(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _list_faults(version: str, match: str, token: str, initial: bool | None) -> list[Cause]:
    faults = []
    field = "resourceVersionMatch"
    if match:
        if not version:
            faults.append(_forbidden(field, f"{field} is forbidden unless resourceVersion is provided"))
        if token:
            faults.append(_forbidden(field, f"{field} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            faults.append(_unsupported(match, '"Exact", "NotOlderThan", ""'))
        if match == "Exact" and version == "0":
            faults.append(_forbidden(field, f'{field} "exact" is forbidden for resourceVersion "0"'))
    if initial is not None:
        faults.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return faults


def _watch_faults(match: str, token: str, initial: bool | None) -> list[Cause]:
    faults = []
    field = "resourceVersionMatch"
    if initial is not None and match != "NotOlderThan":
        faults.append(_forbidden(field, f"sendInitialEvents requires setting {field} to NotOlderThan"))
    if match:
        if initial is None:
            faults.append(
                _forbidden(field, f"{field} is forbidden for watch unless sendInitialEvents is provided")
            )
        if match != "NotOlderThan":
            faults.append(_unsupported(match, '"NotOlderThan"'))
        if token:
            faults.append(_forbidden(field, f"{field} is forbidden when continue is provided"))
    return faults


def _unsupported(match: str, supported: str) -> Cause:
    text = f'Unsupported value: "{match}": supported values: {supported}'
    return Cause("FieldValueNotSupported", text, "resourceVersionMatch")
