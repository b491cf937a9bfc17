from __future__ import annotations

import pytest

from podium.cli import scaling
from podium.cli.cluster import Cluster
from podium.cli.main import parser
from podium.control.nodescaling.command import CommandProvider
from podium.control.nodescaling.local import LocalProvider
from podium.control.scheduler.profiles import SchedulerConfig


@pytest.mark.parametrize(
    ("cluster", "provider"),
    [
        (Cluster(), None),
        (Cluster(nodes="3"), None),
        (Cluster(nodes="1:5"), LocalProvider),
        (Cluster(node_provider="/bin/provider --pool blue"), CommandProvider),
        (Cluster(nodes="1:5", node_provider="/bin/provider"), CommandProvider),
    ],
)
def test_settings_choose_where_nodes_come_from(cluster: Cluster, provider: type | None) -> None:
    config = scaling.of_nodes(cluster, SchedulerConfig())
    assert (config and type(config.provider)) == provider


def test_delays_are_those_that_were_given() -> None:
    cluster = Cluster(nodes="1:2", scale_down_unneeded_time=5.0, node_provision_timeout=7.0)
    config = scaling.of_nodes(cluster, SchedulerConfig())
    assert config is not None
    assert (config.unneeded_time, config.provision_timeout) == (5.0, 7.0)
    assert scaling.of_pods(Cluster(hpa_sync_period=2.0)).sync_period == 2.0


def test_seconds_can_be_written_with_their_unit() -> None:
    assert parser().parse_args(["up", "--hpa-sync-period", "2.5s"]).hpa_sync_period == 2.5


@pytest.mark.parametrize("text", ["0", "-1", "soon", "1m"])
def test_what_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["up", "--hpa-sync-period", text])
