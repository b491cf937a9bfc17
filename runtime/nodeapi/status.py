"""The metav1.Status that ends an exec or attach. Pure.

Source: the remote command protocol, versions 4 and 5: success, a non-zero exit code as a cause, or an
internal error."""

from __future__ import annotations

from collections.abc import Sequence

from podium.api.types import Obj


def success() -> Obj:
    return {"metadata": {}, "status": "Success"}


def exited(code: int, command: Sequence[str]) -> Obj:
    """A process's end."""
    if code == 0:
        return success()
    said = f"error executing command [{' '.join(command)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {said}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def internal_error(message: str) -> Obj:
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
