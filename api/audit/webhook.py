"""Audit events that are sent to somebody: in batches, by a thread of its own.

Nobody waits for the other side: what it does not take in time is dropped, and counted.

Source: docs, "Auditing", sections "Webhook backend" and "Event batching"."""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from podium.api.audit.log import Render
from podium.api.auth.webhooks.remote import Place

log = logging.getLogger(__name__)

TRIES, FACTOR = 5, 1.5
TIMEOUT = 30.0
# Answers after which it is worth trying again.
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_HEAD = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['


class Batching(NamedTuple):
    """A batch goes when it has `most` events or its first one is `wait` seconds old. `qps` batches a second
    are sent, `burst` of them at once after a pause; 0 for any number."""

    buffer: int = 10_000
    most: int = 400
    wait: float = 30.0
    qps: float = 10.0
    burst: int = 15
    backoff: float = 10.0


DEFAULT = Batching()


class AuditWebhook:
    def __init__(
        self, place: Place, batching: Batching = DEFAULT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place = place
        self._batching = batching
        self._clock = clock
        self._waiting: deque[Render] = deque()
        self._first = 0.0
        self._changed = threading.Condition()
        self._closing = False
        self._allowance, self._allowed_at = float(batching.burst), clock()
        self.written = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="audit-webhook", daemon=True)
        self._thread.start()

    def put(self, render: Render) -> None:
        """Never waits for the other side."""
        with self._changed:
            if len(self._waiting) >= self._batching.buffer:
                self.dropped += 1
                return
            if not self._waiting:
                self._first = self._clock()
            self._waiting.append(render)
            if len(self._waiting) in (1, self._batching.most):
                self._changed.notify()

    def close(self) -> None:
        """Sends what is waiting. Blocks; idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._batch():
            self._throttle()
            if self._sent(batch):
                self.written += len(batch)
            else:
                self.dropped += len(batch)

    def _batch(self) -> list[Render]:
        """Empty when there will be no more."""
        most, wait = self._batching.most, self._batching.wait
        with self._changed:
            while not self._closing and len(self._waiting) < most:
                left = self._first + wait - self._clock() if self._waiting else None
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            batch = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            # Those behind it are a little younger than now.
            self._first = self._clock()
            return batch

    def _throttle(self) -> None:
        qps, burst = self._batching.qps, self._batching.burst
        if not qps:
            return
        now = self._clock()
        self._allowance = min(burst, self._allowance + (now - self._allowed_at) * qps)
        self._allowed_at = now
        if self._allowance < 1:
            self._pause((1 - self._allowance) / qps)
        self._allowance -= 1

    def _pause(self, seconds: float) -> None:
        """Not when everything is to end."""
        until = self._clock() + seconds
        with self._changed:
            while not self._closing and (left := until - self._clock()) > 0:
                self._changed.wait(left)

    def _sent(self, batch: list[Render]) -> bool:
        body = _HEAD + b",".join(render().rstrip(b"\n") for render in batch) + b"]}"
        pause = self._batching.backoff
        for attempt in range(TRIES):
            if attempt:
                # What is down tells nobody when it is up again.
                self._pause(pause)
                pause *= FACTOR
            try:
                status = self._post(body)
            except (OSError, ssl.SSLError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
            else:
                if 200 <= status < 300:
                    return True
                why = f"it answered {status}"
                if status not in _TRY_AGAIN:
                    break
            if self._closing:
                break
        log.error("%d audit events could not be sent to %s: %s", len(batch), self._place.url, why)
        return False

    def _post(self, body: bytes) -> int:
        place, url = self._place, urlsplit(self._place.url)
        host, port = url.hostname or "", url.port
        connection: http.client.HTTPConnection
        if isinstance(place.context, ssl.SSLContext) and url.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=place.context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        try:
            target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
            headers = {"Content-Type": "application/json", **place.headers}
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            response.read(1 << 20)
            return response.status
        finally:
            connection.close()
