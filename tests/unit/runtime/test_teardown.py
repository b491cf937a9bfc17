"""What `podium down` finds when containerd died before it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from podium.runtime.cgroups import group_tree
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


def test_what_is_left_in_the_groups_of_pods_is_ended_with_them(tmp_path: Path) -> None:
    root = f"{os.environ.get('PODIUM_TEST_CGROUP', 'podium-test')}/{tmp_path.name}"
    tree = group_tree(NodeConfig(node_name="n1", node_address="127.0.0.1", cgroup_root=root))
    mount = tree.mount if tree.unified else tree.mount / "pids"
    groups = [mount / tree.top.lstrip("/") / "pod" / name for name in ("one", "two")]
    with ExitStack() as stack:
        left = [stack.enter_context(subprocess.Popen(["sleep", "60"])) for _ in groups]
        for group, process in zip(groups, left, strict=True):
            group.mkdir(parents=True)
            (group / "cgroup.procs").write_text(str(process.pid))
        tree.clear()
        assert [process.wait(10) for process in left] == [-9, -9]
    assert not (mount / tree.top.lstrip("/")).exists()


@contextmanager
def named_shim(children: int) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with the name of a shim, which reaps its children, and these."""
    does = (
        "import os, subprocess, sys; open('/proc/self/comm', 'w').write('containerd-shim')\n"
        "made = [subprocess.Popen(['sleep', '60']) for _ in range(int(sys.argv[1]))]\n"
        "print(*(each.pid for each in made), flush=True)\n"
        "while True: os.wait()\n"
    )
    command = [sys.executable, "-c", does, str(children)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        try:
            yield process, pids
        finally:
            for pid in (*pids, process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_a_shim_whose_last_process_is_ended_with_its_group_goes_too(tmp_path: Path) -> None:
    root = f"{os.environ.get('PODIUM_TEST_CGROUP', 'podium-test')}/{tmp_path.name}"
    tree = group_tree(NodeConfig(node_name="n1", node_address="127.0.0.1", cgroup_root=root))
    mount = tree.mount if tree.unified else tree.mount / "pids"
    group = mount / tree.top.lstrip("/") / "pod"
    group.mkdir(parents=True)
    with named_shim(1) as (idle, [left]), named_shim(2) as (busy, [other, alive]):
        for pid in (left, other):
            (group / "cgroup.procs").write_text(str(pid))
        tree.clear()
        assert idle.wait(10) == -9
        assert busy.poll() is None
        assert Path(f"/proc/{alive}").exists()
