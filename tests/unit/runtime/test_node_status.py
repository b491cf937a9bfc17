"""What a node says of itself."""

from __future__ import annotations

from pathlib import Path

from podium.runtime.config import NodeConfig
from podium.runtime.node.description import allotment
from podium.runtime.node.settings import settings
from podium.runtime.pulling.garbage import ImageGarbage


def test_what_others_write_into_the_capacity_becomes_allocatable() -> None:
    gpus = {"cpu": "2", "example.com/gpu": "4"}
    node = {"status": {"capacity": gpus, "allocatable": {"cpu": "1"}}}
    assert allotment(node) == {"example.com/gpu": "4"}
    assert allotment({"status": {"capacity": gpus, "allocatable": gpus}}) == {}
    assert allotment({"status": {"capacity": {"cpu": "2"}, "allocatable": gpus}}) == {"example.com/gpu": None}
    assert allotment({}) == {}


def test_the_settings_are_shown_as_they_are_in_force() -> None:
    config = NodeConfig("n", "10.0.0.1", data_dir=Path("/data"), image_gc=ImageGarbage(90, 70, 60.0, 3600.0))
    shown = settings(config)
    assert (shown["imageGCHighThresholdPercent"], shown["imageGCLowThresholdPercent"]) == (90, 70)
    assert (shown["imageMinimumGCAge"], shown["imageMaximumGCAge"]) == ("1m0s", "1h0m0s")
    assert shown["staticPodPath"] == "/data/manifests"
    assert shown["enforceNodeAllocatable"] == ["pods"]
    assert shown["crashLoopBackOff"] == {"maxContainerRestartPeriod": "5m0s"}


def test_images_are_collected_at_the_thresholds_that_everybody_expects() -> None:
    shown = settings(NodeConfig("n", "10.0.0.1"))
    assert (shown["imageGCHighThresholdPercent"], shown["imageGCLowThresholdPercent"]) == (85, 80)
    assert (shown["imageMinimumGCAge"], shown["imageMaximumGCAge"]) == ("2m0s", "0s")
