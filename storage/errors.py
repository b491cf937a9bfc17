"""The one failure of this package."""

from __future__ import annotations


class VolumeError(Exception):
    """A volume cannot be mounted yet, or ever. `reason` is an event's reason (FailedMount, ...), `message`
    its text, `step` what was being done, as kubelet names it. `image` is what it is made of and cannot be
    had: then `reason` is why containers that mount it wait."""

    def __init__(
        self, reason: str, message: str, step: str = "MountVolume.SetUp", *, image: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.step = step
        self.image = image


class Unbound(VolumeError):
    """A claim cannot be used yet: nobody knows what to mount."""

    def __init__(self, message: str) -> None:
        super().__init__("FailedMount", message)


def failed(message: str, step: str = "MountVolume.SetUp") -> VolumeError:
    """What a plugin raises; the manager adds which volume it was."""
    return VolumeError("FailedMount", message, step)
