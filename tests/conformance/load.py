"""Somebody who goes on asking while something is done to what answers."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


def fetch(url: str, timeout: float = 5) -> str:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return str(answer.read().decode())


class Load:
    """Requests one after the other until stopped; each failure is kept."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        deadline = time.monotonic() + 120
        while not self._stop.wait(0.01) and time.monotonic() < deadline:
            try:
                fetch(self.url)
                self.answers += 1
            except (OSError, urllib.error.HTTPError) as error:
                self.failures.append(repr(error))

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()
