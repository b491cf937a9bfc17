"""Sockets in other network namespaces. Blocking, and changes the calling thread for a moment: for threads
of their own."""

from __future__ import annotations

import ctypes
import os
import socket
import threading

_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def socket_in(netns: str) -> socket.socket:
    """A TCP socket in the namespace pinned at the path; "" for the namespace we are in. A socket stays in
    the namespace it was made in. Raises OSError."""
    if not netns:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made: list[socket.socket | OSError] = []
    # A thread that ends afterwards, so that none is left in a namespace that is not ours, whatever fails.
    thread = threading.Thread(target=_make, args=(netns, made))
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _make(netns: str, made: list[socket.socket | OSError]) -> None:
    try:
        descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(descriptor, _NEWNET):
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error), netns)
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        finally:
            os.close(descriptor)
    except OSError as error:
        made.append(error)
