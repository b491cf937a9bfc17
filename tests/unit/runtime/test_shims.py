from __future__ import annotations

import pytest

from podium.runtime.containerd import ContainerdError
from podium.runtime.containerd.errors import Unavailable
from podium.runtime.pods.shims import with_shim

LEAVING = "failed to start shim: start failed: "
SOCKETS = (
    f"{LEAVING}io.containerd.runc.v2: create new shim socket: chmod /run/containerd/s/eba1: no such file",
    f"{LEAVING}dial unix /run/containerd/s/29f4: connect: no such file or directory",
    "failed to create shim task: ttrpc: closed: unknown",
)


class Creating:
    """Fails with each error in turn, then succeeds."""

    def __init__(self, *errors: ContainerdError) -> None:
        self.errors = list(errors)
        self.tries = 0

    async def __call__(self) -> int:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return 42


async def test_a_start_that_meets_a_leaving_shim_is_made_again() -> None:
    create = Creating(*(ContainerdError(text) for text in SOCKETS))
    assert await with_shim(create, (0, 0, 0), 0) == 42
    assert create.tries == 4


async def test_what_the_shim_that_left_had_begun_may_be_there_for_a_moment() -> None:
    there = ContainerdError("container with given ID already exists")
    create = Creating(ContainerdError(SOCKETS[2]), there)
    assert await with_shim(create, (0, 0, 0), 0) == 42
    with pytest.raises(ContainerdError, match="already exists"):
        await with_shim(Creating(there), (0, 0, 0), 0)


@pytest.mark.parametrize(
    "error",
    [
        ContainerdError("failed to start shim: failed to resolve runtime path: no such runtime"),
        ContainerdError("OCI runtime create failed: exec: no such file"),
        Unavailable("connection refused"),
    ],
)
async def test_any_other_failure_is_told_at_once(error: ContainerdError) -> None:
    create = Creating(error)
    with pytest.raises(ContainerdError, match=str(error)):
        await with_shim(create, (0, 0))
    assert create.tries == 1


async def test_the_last_try_tells_what_it_met() -> None:
    create = Creating(*(ContainerdError(SOCKETS[0]) for _ in range(3)))
    with pytest.raises(ContainerdError, match="create new shim socket"):
        await with_shim(create, (0, 0))
    assert create.tries == 3
