from __future__ import annotations

from typing import Any

import pytest

from podium.api.types import Obj
from podium.api.types.errors import not_found, unavailable
from podium.client.events import BURST, Correlator, EventRecorder, Pending, new_event

POD: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "ns", "uid": "u1", "resourceVersion": "5"},
}


class Server:
    def __init__(self) -> None:
        self.events: dict[str, Obj] = {}
        self.failure: Exception | None = None

    async def create(self, _: Any, obj: Obj, **__: Any) -> Obj:
        if self.failure:
            raise self.failure
        self.events[obj["metadata"]["name"]] = obj
        return obj

    async def patch(self, _: Any, name: str, patch: Obj, namespace: str, **__: Any) -> Obj:
        if name not in self.events:
            raise not_found("events", name)
        self.events[name] = {**self.events[name], **patch}
        return self.events[name]


def recorder_for(server: Server) -> EventRecorder:
    return EventRecorder(server, "kubelet", "node-1")  # type: ignore[arg-type]


async def test_an_event_says_what_happened_to_whom_and_who_says_so() -> None:
    server = Server()
    recorder = recorder_for(server)
    recorder.event(POD, "Normal", "Started", "Container started", field_path="spec.containers{web}")
    await recorder.close()
    (event,) = server.events.values()
    assert event["metadata"]["namespace"] == "ns"
    assert event["metadata"]["name"].startswith("web.")
    assert event["involvedObject"] == {
        "kind": "Pod",
        "apiVersion": "v1",
        "namespace": "ns",
        "name": "web",
        "uid": "u1",
        "resourceVersion": "5",
        "fieldPath": "spec.containers{web}",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Started", "Container started")
    assert event["source"] == {"component": "kubelet", "host": "node-1"}
    assert event["count"] == 1


async def test_the_same_event_again_raises_the_count() -> None:
    server = Server()
    recorder = recorder_for(server)
    for _ in range(3):
        recorder.event(POD, "Warning", "BackOff", "Back-off restarting failed container")
    await recorder.close()
    assert [event["count"] for event in server.events.values()] == [3]


async def test_a_counted_event_that_expired_is_made_afresh() -> None:
    server = Server()
    recorder = recorder_for(server)
    recorder.event(POD, "Warning", "BackOff", "m")
    await recorder.flush()
    server.events.clear()
    recorder.event(POD, "Warning", "BackOff", "m")
    await recorder.close()
    assert [event["count"] for event in server.events.values()] == [1]


async def test_events_that_differ_in_their_message_alone_are_combined() -> None:
    server = Server()
    recorder = recorder_for(server)
    for number in range(14):
        recorder.event(POD, "Warning", "FailedMount", f"attempt {number}")
    await recorder.close()
    assert len(server.events) == 10
    last = list(server.events.values())[-1]
    assert (last["message"], last["count"]) == ("(combined from similar events): attempt 13", 5)


async def test_a_server_that_is_away_costs_the_caller_nothing() -> None:
    server = Server()
    server.failure = unavailable("starting")
    recorder = recorder_for(server)
    recorder.event(POD, "Normal", "A", "a")
    await recorder.flush()
    server.failure = None
    recorder.event(POD, "Normal", "B", "b")
    await recorder.close()
    assert [event["reason"] for event in server.events.values()] == ["B"]


@pytest.mark.parametrize(("seconds", "more"), [(0, 0), (299, 0), (301, 1), (3001, 10)])
def test_one_objects_events_are_limited_and_allowed_again_with_time(seconds: float, more: int) -> None:
    correlator = Correlator()
    reference = {"kind": "Pod", "name": "web", "namespace": "ns"}

    def admitted(number: int, stamp: float) -> int:
        events = (Pending(reference, "Normal", f"R{i}", "m", stamp) for i in range(number))
        return sum(correlator.admit(event) is not None for event in events)

    assert admitted(40, 0.0) == BURST
    assert admitted(40, seconds) == more


def test_a_cluster_scoped_objects_event_is_kept_in_namespace_default_under_a_name_that_fits() -> None:
    event = new_event(Pending({"kind": "Node", "name": "n" * 253}, "Normal", "R", "m", 0.0), "c", "")
    assert event["metadata"]["namespace"] == "default"
    assert len(event["metadata"]["name"]) == 253
    assert event["firstTimestamp"] == "1970-01-01T00:00:00Z"
