"""Why a container cannot be described."""

from __future__ import annotations

CONFIG_ERROR = "CreateContainerConfigError"
CREATE_ERROR = "CreateContainerError"


class ConfigError(Exception):
    """The pod asks for something that is not there (yet), or that cannot be. `reason` is the waiting
    reason."""

    def __init__(self, message: str, reason: str = CONFIG_ERROR) -> None:
        super().__init__(message)
        self.reason = reason
