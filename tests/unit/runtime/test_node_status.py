"""What a node says of itself."""

from __future__ import annotations

from podium.runtime.node.description import allotment


def test_what_others_write_into_the_capacity_becomes_allocatable() -> None:
    gpus = {"cpu": "2", "example.com/gpu": "4"}
    node = {"status": {"capacity": gpus, "allocatable": {"cpu": "1"}}}
    assert allotment(node) == {"example.com/gpu": "4"}
    assert allotment({"status": {"capacity": gpus, "allocatable": gpus}}) == {}
    assert allotment({"status": {"capacity": {"cpu": "2"}, "allocatable": gpus}}) == {"example.com/gpu": None}
    assert allotment({}) == {}
