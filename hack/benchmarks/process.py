"""What a process of this machine uses."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path
from typing import NamedTuple

_SCHEDULED = 2


class Process(NamedTuple):
    pid: int

    @property
    def cpu(self) -> float:
        """Seconds, of user and system: the process's clock (clock_getcpuclockid(3)), since the ticks that
        /proc counts are as long as an idle process works in seconds."""
        return time.clock_gettime((~self.pid << 3) | _SCHEDULED)

    @property
    def resident(self) -> float:
        """Megabytes."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) / 1024
        return 0.0


def process_at(host: str, port: int) -> Process | None:
    """Who listens there, None when that is not on this machine or not ours to see."""
    sockets = {f"socket:[{inode}]" for inode in _listening(host, port)}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(path) in sockets for path in folder.iterdir()):
                return Process(int(folder.parent.name))
        except OSError:
            continue
    return None


def _listening(host: str, port: int) -> list[str]:
    try:
        number = socket.inet_aton(socket.gethostbyname(host))[::-1].hex().upper()
    except OSError:
        return []
    line = re.compile(rf" (?:{number}|0{{8}}):{port:04X} 0{{8}}:0000 0A (?:\S+ +){{5}}(\d+)")
    return line.findall(Path("/proc/net/tcp").read_text())
