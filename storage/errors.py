"""The one failure of this package."""

from __future__ import annotations


class VolumeError(Exception):
    """A volume cannot be mounted yet, or ever. `reason` is an event's reason (FailedMount, ...), `message`
    its text."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def failed(message: str) -> VolumeError:
    """What a plugin raises; the manager adds which volume it was."""
    return VolumeError("FailedMount", message)
