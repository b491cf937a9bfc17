"""Container output: FIFOs in, the CRI log format on disk, readers for `kubectl logs` and `attach` out.

The life of a container's output: the FIFOs are made, `Outputs.open` begins to read them, the task is
created with their paths, the container runs, exits, the shim closes its ends, and `Outputs.close` returns
when the last byte is in the log. The shim holds both ends of a FIFO open while the process lives, so a
daemon that restarts opens them again and goes on where it stopped: the container blocks (at most 64 KiB
later) rather than losing a line.

Nothing here knows containerd or the API; everything runs on the event loop, without a thread per container
and without a timer while a container is silent.
"""

from podium.runtime.logs.container import ContainerIO
from podium.runtime.logs.fifo import FifoSet, FifoStream, FifoWriter
from podium.runtime.logs.file import LogLimits, container_log_path
from podium.runtime.logs.options import LogOptions
from podium.runtime.logs.outputs import Outputs
from podium.runtime.logs.reader import read_logs
from podium.runtime.logs.tee import Tee

__all__ = [
    "ContainerIO",
    "FifoSet",
    "FifoStream",
    "FifoWriter",
    "LogLimits",
    "LogOptions",
    "Outputs",
    "Tee",
    "container_log_path",
    "read_logs",
]
