"""What logs take of the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable


def logged(folder: str, names: Iterable[str]) -> tuple[int, int]:
    """(bytes, files) of logs and their rotated parts."""
    size = files = 0
    wanted = tuple(names)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(wanted):
                    size, files = size + entry.stat().st_size, files + 1
    except FileNotFoundError:
        return 0, 0
    return size, files
