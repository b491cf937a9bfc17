"""What can go wrong with containerd: one tree over gRPC's status codes."""

from __future__ import annotations

import grpc
import grpc.aio


class ContainerdError(Exception):
    """A call that containerd refused or could not do. `str()` is containerd's own message, `code` gRPC's code
    by the name that Go gives it."""

    def __init__(self, message: str, code: str = "Unknown") -> None:
        super().__init__(message)
        self.code = code

    def rpc(self) -> str:
        """The error as Go's gRPC clients print it, which is what users of Kubernetes know and search for."""
        return f"rpc error: code = {self.code} desc = {self}"


class NotFound(ContainerdError):
    """What the call names is not there."""


class AlreadyExists(ContainerdError):
    """What the call would create is there already."""


class Conflict(ContainerdError):
    """The object's state forbids it: a process that has exited cannot be killed, a running one not be
    deleted."""


class Unavailable(ContainerdError):
    """containerd could not be reached, or went away during the call: what was asked may or may not have been
    done."""


class TimedOut(ContainerdError):
    """No answer in time: what was asked may or may not have been done."""


_KINDS: dict[grpc.StatusCode, type[ContainerdError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}


def of(error: grpc.aio.AioRpcError) -> ContainerdError:
    """The error of our own tree that a failed call stands for."""
    return of_status(error.code(), error.details())


def of_status(code: grpc.StatusCode, details: str | None) -> ContainerdError:
    """The same of a status."""
    name = "OK" if code is grpc.StatusCode.OK else code.name.replace("_", " ").title().replace(" ", "")
    return _KINDS.get(code, ContainerdError)(details or name, name)
