"""Audit events that are sent to somebody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from podium.api.audit.sinks import Several
from podium.api.audit.webhook import AuditWebhook, Batching
from podium.api.auth.webhooks.remote import Place
from podium.api.types import Obj

NOW = Batching(wait=0.0, qps=0.0, backoff=0.01)


class Taker:
    """A server that notes what it is sent. `answers` are the codes of the next ones, then 200."""

    def __init__(self) -> None:
        self.lists: list[Obj] = []
        self.headers: list[Any] = []
        self.answers: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        taker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taker.may_answer.wait(10)
                taker.lists.append(json.loads(body))
                taker.headers.append(self.headers)
                self.send_response(taker.answers.pop(0) if taker.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.place = Place(f"http://127.0.0.1:{self._server.server_port}/audit?x=1", False, {"X-Me": "1"})
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def sent(self) -> list[list[int]]:
        return [[item["n"] for item in each["items"]] for each in self.lists]


@pytest.fixture
def taker() -> Iterator[Taker]:
    found = Taker()
    yield found
    found.close()


def put(sink: AuditWebhook, *numbers: int) -> None:
    for number in numbers:
        sink.put(lambda number=number: json.dumps({"n": number}).encode() + b"\n")  # type: ignore[misc]


def test_events_are_sent_as_lists_of_so_many(taker: Taker) -> None:
    sink = AuditWebhook(taker.place, NOW._replace(most=3, wait=60.0))
    put(sink, *range(7))
    sink.close()
    assert taker.sent == [[0, 1, 2], [3, 4, 5], [6]]
    whole = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}}
    assert all(whole.items() <= each.items() for each in taker.lists)
    assert taker.headers[0]["Content-Type"] == "application/json"
    assert taker.headers[0]["X-Me"] == "1"
    assert (sink.written, sink.dropped) == (7, 0)
    sink.close()


def test_few_events_go_when_they_have_waited_long_enough(taker: Taker) -> None:
    sink = AuditWebhook(taker.place, NOW)
    taker.may_answer.clear()
    put(sink, 1)
    taker.may_answer.set()
    sink.close()
    assert taker.sent == [[1]]


def test_what_is_not_taken_is_sent_again(taker: Taker) -> None:
    taker.answers = [503, 429]
    sink = AuditWebhook(taker.place, NOW._replace(most=2, wait=60.0))
    put(sink, 1, 2)
    while not sink.written:
        with sink._changed:
            sink._changed.wait(0.01)
    sink.close()
    assert taker.sent == [[1, 2]] * 3


def test_what_is_refused_is_dropped_and_counted(taker: Taker, caplog: pytest.LogCaptureFixture) -> None:
    taker.answers = [400]
    sink = AuditWebhook(taker.place, NOW._replace(most=2, wait=60.0))
    put(sink, 1, 2, 3)
    sink.close()
    assert taker.sent == [[1, 2], [3]]
    assert (sink.written, sink.dropped) == (1, 2)
    assert "2 audit events could not be sent" in caplog.text


def test_a_server_that_hangs_holds_nobody_up(taker: Taker) -> None:
    taker.may_answer.clear()
    sink = AuditWebhook(taker.place, NOW._replace(most=1, buffer=2))
    put(sink, *range(10))
    assert sink.dropped >= 7
    taker.may_answer.set()
    sink.close()
    assert sink.written + sink.dropped == 10


def test_more_than_so_many_lists_a_second_wait(taker: Taker) -> None:
    sink = AuditWebhook(taker.place, NOW._replace(most=1, qps=1000.0, burst=1))
    put(sink, 1, 2, 3)
    sink.close()
    assert taker.sent == [[1], [2], [3]]


def test_events_go_everywhere(taker: Taker) -> None:
    sinks = [AuditWebhook(taker.place, NOW._replace(wait=60.0)) for _ in range(2)]
    several = Several(sinks)
    several.put(lambda: b'{"n":1}\n')
    several.close()
    assert (taker.sent, several.written, several.dropped) == ([[1], [1]], 2, 0)
