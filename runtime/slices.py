"""systemd's slices as groups of pods. They are transient: what systemd is told of one goes with it, and
leaves no file behind.

Spoken to with busctl, which comes with systemd. Blocks for some milliseconds: call it in threads.

Source: org.freedesktop.systemd1(5), systemd.resource-control(5).
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

log = logging.getLogger(__name__)

_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_TIMEOUT = 10.0


class Property(NamedTuple):
    """`signature` is D-Bus's name of the value's type."""

    name: str
    signature: str
    value: str


def put(unit: str, properties: Sequence[Property]) -> None:
    """Makes a slice with these properties, or gives them to the one there is. What systemd has not been told
    it takes away again; still, a limit that it does not take is in force until then."""
    # Not to be stopped as soon as the machine shuts down: pods end in an order of their own.
    lasting = Property("DefaultDependencies", "b", "false")
    try:
        _call("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", *_array([lasting, *properties]), "0")
    except subprocess.CalledProcessError:
        if not properties:
            return
        try:
            _call("SetUnitProperties", "sba(sv)", unit, "true", *_array(properties))
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("systemd does not take the limits of %s: %s", unit, _said(error))
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("systemd does not make %s: %s", unit, _said(error))


def stop(unit: str) -> None:
    """Ends a slice and all that is in it. Idempotent."""
    try:
        _call("StopUnit", "ss", unit, "replace")
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("systemd does not stop %s: %s", unit, _said(error))


def _array(properties: Sequence[Property]) -> list[str]:
    return [str(len(properties)), *(text for each in properties for text in each)]


def _call(method: str, *arguments: str) -> None:
    command = ["busctl", "--quiet", "call", *_MANAGER, method, *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT)


def _said(error: Exception) -> str:
    return (error.stderr or "").strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
