"""Signals to containers' first processes without a runtime in between: a pod's end then costs no process of
its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def send(pid: int, container_id: str, number: int) -> bool:
    """Sends a signal to a container's first process. False when it is not certain that `pid` is that: then
    the runtime has to be asked."""
    if pid <= 0:
        return False
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # The process that the descriptor stands for has the pid as long as it is there.
        if container_id not in Path(f"/proc/{pid}/cgroup").read_text():
            return False
        signal.pidfd_send_signal(process, number)
    except OSError:
        return False
    finally:
        os.close(process)
    return True
