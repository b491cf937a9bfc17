"""The one error tree: every failure that a client may see is a `StatusError`, a metav1.Status with its HTTP
code.

Source: API reference, meta/v1 Status, StatusReason, StatusCause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from podium.api.types import Obj


class Cause(NamedTuple):
    """One field's fault. `reason` is FieldValueInvalid, FieldValueRequired, FieldValueNotSupported, ...;
    `field` a path such as `spec.containers[0].name`; `message` is upstream's text after the path: `Invalid
    value: ...`."""

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class StatusError(Exception):
    """An API failure. `code` is the HTTP status, `reason` a metav1.StatusReason, `details` a
    metav1.StatusDetails."""

    def __init__(self, code: int, reason: str, message: str, details: Obj | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Obj:
        """The metav1.Status that goes over the wire."""
        status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status

    @classmethod
    def from_status(cls, status: Obj) -> StatusError:
        """The error that a server's Status stands for."""
        return cls(
            int(status.get("code", 500)),
            status.get("reason", ""),
            status.get("message", "unknown error"),
            status.get("details"),
        )


def _qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def _details(name: str, group: str, kind: str, **more: object) -> Obj:
    details: Obj = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details.update(more)
    return details


def not_found(plural: str, name: str, group: str = "") -> StatusError:
    message = f'{_qualified(plural, group)} "{name}" not found'
    return StatusError(404, "NotFound", message, _details(name, group, plural))


def no_such_path() -> StatusError:
    """For a path that nothing serves."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(plural: str, name: str, group: str = "") -> StatusError:
    message = f'{_qualified(plural, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(name, group, plural))


def conflict(plural: str, name: str, why: str, group: str = "") -> StatusError:
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(name, group, plural))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def modified(plural: str, name: str, group: str = "") -> StatusError:
    """The conflict of a stale resourceVersion."""
    return conflict(plural, name, MODIFIED, group)


def invalid(kind: str, name: str, causes: Sequence[Cause], group: str = "") -> StatusError:
    """422 with every field's fault; the message joins them as upstream does."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _details(name, group, kind, causes=[cause._asdict() for cause in causes])
    return StatusError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {joined}', details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> StatusError:
    return StatusError(401, "Unauthorized", message)


def forbidden(plural: str, name: str, why: str, group: str = "") -> StatusError:
    subject = f'{_qualified(plural, group)} "{name}"' if name else _qualified(plural, group)
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {why}", _details(name, group, plural))


def expired(message: str) -> StatusError:
    """410: the revision asked for is no longer there (compacted)."""
    return StatusError(410, "Expired", message)


def method_not_allowed(
    message: str = "the server does not allow this method on the requested resource",
) -> StatusError:
    return StatusError(405, "MethodNotAllowed", message, {})


def not_acceptable(message: str) -> StatusError:
    return StatusError(406, "NotAcceptable", message)


def too_large(message: str) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(message: str) -> StatusError:
    return StatusError(415, "UnsupportedMediaType", message)


def too_many_requests(message: str, retry_after: int) -> StatusError:
    return StatusError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after})


def internal(message: str) -> StatusError:
    text = f"Internal error occurred: {message}"
    return StatusError(500, "InternalError", text, {"causes": [{"message": message}]})


def unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def timeout(message: str) -> StatusError:
    return StatusError(504, "Timeout", message)
