"""What `podium down` finds when containerd died before it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from podium.runtime.config import NodeConfig
from podium.runtime.daemon import own_containerd
from podium.runtime.teardown import stop_node
from tests.unit.runtime.conftest import needs_root

pytestmark = needs_root


@contextmanager
def shim(socket: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like the shim of the containerd on that socket."""
    waits = "import signal; print('up', flush=True); signal.pause()"
    command = ["/usr/bin/containerd-shim-runc-v2", "-c", waits, "-address", socket]
    with subprocess.Popen(command, executable=sys.executable, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process
        finally:
            process.kill()


async def test_shims_that_no_containerd_knows_are_ended_and_only_ours(tmp_path: Path) -> None:
    config = NodeConfig(
        node_name="n1",
        node_address="127.0.0.1",
        data_dir=tmp_path / "data",
        run_dir=tmp_path / "run",
        log_dir=tmp_path / "log",
        cgroup_root=f"podium-test/{tmp_path.name}",
    )
    with ExitStack() as stack:
        ours = stack.enter_context(shim(own_containerd(config).paths.socket))
        other = stack.enter_context(shim("/run/other/containerd.sock"))
        await stop_node(config)
        assert ours.wait(10) == -9
        assert other.poll() is None
