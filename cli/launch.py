"""Daemons started together: all at once, and all of them or none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import TracebackType

from podium.cli import daemons, invitation, machines
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.nodes import LocalNode
from podium.cli.process import Daemon, Notify

SERVER_TIMEOUT = 60.0
NODE_TIMEOUT = 120.0

Say = Callable[[str], None]


class Launch:
    """What was started in a `with` block and does not come up, or is interrupted on the way, is stopped
    again."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._started: list[tuple[Daemon, subprocess.Popen[bytes], Notify, float]] = []

    def __enter__(self) -> Launch:
        return self

    def start(self, title: str, daemon: Daemon, command: list[str], timeout: float) -> None:
        self._say(f"==> Starting {title}")
        notify = Notify(daemon.pid_file.parent, daemon.name)
        self._started.append((daemon, daemon.start(command, notify), notify, timeout))

    def start_node(self, node: LocalNode) -> None:
        self.start(f"node {node.name}", node.daemon, node.command, NODE_TIMEOUT)

    def wait(self) -> None:
        """Until all that was started by now is ready. Raises CommandError."""
        for daemon, process, notify, timeout in self._started:
            beside = [(entry[0], entry[1]) for entry in self._started if entry[0] is not daemon]
            notify.wait(daemon, process, timeout, beside)
            notify.close()

    def wait_for_each(self, needed: Launch) -> list[str]:
        """The same, where those that do not come up are stopped and the others kept; returns why."""
        failures = []
        beside = [(entry[0], entry[1]) for entry in needed._started]
        for daemon, process, notify, timeout in self._started:
            try:
                notify.wait(daemon, process, timeout, beside)
            except CommandError as error:
                daemon.stop(10)
                failures.append(str(error))
        return failures

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for daemon, _, _, _ in reversed(self._started):
                daemon.stop(10)
        for _, _, notify, _ in self._started:
            notify.close()


def bring_up(cluster: Cluster, off: Sequence[LocalNode], say: Say) -> None:
    """Starts the server, if it does not run, and these nodes. The nodes' containerds start while the API
    server does; nodes that are new need it, to be let in. Without the server or the first node there is
    nothing; another node that does not come up leaves the rest as it is. Raises CommandError."""
    others = [node for node in off if not node.first]
    with Launch(say) as rest:
        with Launch(say) as core:
            server = daemons.server(cluster)
            if server.pid() is None:
                core.start("the server", server, daemons.command(cluster, server), SERVER_TIMEOUT)
            for node in off:
                if node.first:
                    core.start_node(node)
            for node in others:
                machines.prepare(node)
            strangers = [node for node in others if not invitation.has_joined(node)]
            for node in others:
                if node not in strangers:
                    rest.start_node(node)
            core.wait()
        with invitation.invited(cluster, strangers) if strangers else nullcontext():
            for node in strangers:
                rest.start_node(node)
            failures = rest.wait_for_each(core)
    if failures:
        raise CommandError("\n".join(failures))
