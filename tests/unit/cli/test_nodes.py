"""What the nodes of a local cluster are called, where they have their things, and how they are started."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium.cli import nodes, status
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.main import cluster_of, main, parser


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(
        data_dir=str(tmp_path / "d"), run_dir="/run/p", node_name="first", dns_upstream="127.0.0.1:53"
    )


def test_each_node_has_folders_an_address_and_cgroups_of_its_own(cluster: Cluster) -> None:
    second, third = nodes.register(cluster), nodes.register(cluster, "another")
    assert [node.name for node in nodes.everyone(cluster)] == ["first", "podium-2", "another"]
    assert (second.address, third.address) == ("10.89.0.2", "10.89.0.3")
    settings = [node.settings for node in nodes.everyone(cluster)]
    for field in ("data_dir", "run_dir", "log_dir", "node_name", "node_address", "cgroup_root"):
        assert len({getattr(each, field) for each in settings}) == 3
    assert len({node.link.name for node in nodes.others(cluster)}) == 2
    assert all(len(node.link.name) < 15 for node in nodes.others(cluster))


def test_the_daemon_of_a_node_gets_just_its_settings(cluster: Cluster) -> None:
    node = nodes.register(cluster)
    enter, command = node.command[:3], node.command[3:]
    assert enter == ["nsenter", "--net=/run/p/n/podium-2/net", "--uts=/run/p/n/podium-2/uts"]
    options = parser().parse_args(command[3:])
    assert cluster_of(options) == node.settings
    assert options.join == "https://10.89.0.1:6443"
    assert nodes.first(cluster).command[0] != "nsenter"


def test_names_and_addresses_that_are_free_again_are_given_again(cluster: Cluster) -> None:
    assert nodes.free_name("p", ["p", "p-2", "p-4"]) == "p-3"
    assert nodes.free_address("10.89.0.0/24", ["10.89.0.1", "10.89.0.3"]) == "10.89.0.2"
    with pytest.raises(CommandError, match=r"no address is left for another node in 10\.89\.0\.0/30"):
        nodes.free_address("10.89.0.0/30", ["10.89.0.1", "10.89.0.2"])


@pytest.mark.parametrize("name", ["Upper", "a_b", "-a", "a" * 64, "a/b", ".."])
def test_what_is_no_name_is_refused(cluster: Cluster, name: str) -> None:
    with pytest.raises(CommandError, match="cannot be a node's name"):
        nodes.register(cluster, name)


def test_a_name_is_given_once(cluster: Cluster) -> None:
    nodes.register(cluster, "a")
    for name in ("a", "first"):
        with pytest.raises(CommandError, match=f"there is a node '{name}' already"):
            nodes.register(cluster, name)


def test_a_name_that_another_machine_has_is_not_given(cluster: Cluster) -> None:
    assert nodes.register(cluster, elsewhere=["podium-2"]).name == "podium-3"
    with pytest.raises(CommandError, match="there is a node 'far' already"):
        nodes.register(cluster, "far", ["far"])


def test_a_path_that_is_too_long_for_a_socket_is_named(cluster: Cluster) -> None:
    with pytest.raises(CommandError, match="too long for a socket"):
        nodes.register(Cluster(data_dir=cluster.data_dir, run_dir="/run/" + "x" * 80), "a")


def test_a_resolver_on_the_loopback_is_reached_by_way_of_the_bridge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(**settings: str) -> str:
        return nodes.settings(Cluster(data_dir=str(tmp_path), **settings), "a", "10.89.0.2").dns_upstream

    assert of(dns_upstream="127.0.0.1:5353,192.0.2.1") == "10.89.0.1:5353,192.0.2.1:53"
    resolv = tmp_path / "resolv.conf"
    monkeypatch.setattr(nodes, "RESOLV_CONF", resolv)
    resolv.write_text("nameserver 127.0.0.1\n")
    assert of() == "10.89.0.1:53"
    resolv.write_text("nameserver 192.0.2.1\n")
    assert of() == ""


@pytest.mark.parametrize(("text", "least", "most"), [("1", 1, 1), ("3", 3, 3), ("1:5", 1, 5), ("2:2", 2, 2)])
def test_a_number_of_nodes_may_be_a_range(tmp_path: Path, text: str, least: int, most: int) -> None:
    made = cluster_of(parser().parse_args(["up", "--data-dir", str(tmp_path), "--nodes", text]))
    assert (made.min_nodes, made.max_nodes) == (least, most)


@pytest.mark.parametrize("text", ["0", "-1", "three", "5:1", "0:3", "1:", ":3", "1:2:3", ""])
def test_what_is_no_number_of_nodes_is_named(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["up", f"--nodes={text}"])
    assert f"{text!r} is neither a number of nodes, at least 1, nor MIN:MAX" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600), ("7", 7), ("0", 0)])
def test_durations(text: str, seconds: float) -> None:
    options = parser().parse_args(["node", "rm", "a", "--drain-timeout", text])
    assert options.drain_timeout == seconds


def test_the_data_folder_may_stand_before_or_behind_an_action() -> None:
    for words in (["node", "--data-dir", "/d", "rm", "a"], ["node", "rm", "a", "--data-dir", "/d"]):
        options = parser().parse_args(words)
        assert (options.data_dir, options.name, options.module) == ("/d", "a", "podium.cli.nodeactions")


def test_without_an_action_it_is_the_daemon() -> None:
    assert parser().parse_args(["node"]).module == "podium.cli.node"


def test_a_status_is_good_when_everything_runs_and_is_ready() -> None:
    def found(pid: int | None, ready: bool | None) -> dict[str, object]:
        node = {"name": "a", "address": "10.89.0.1", "pid": pid, "ready": ready}
        return {"name": "p", "server": {"url": "u", "pid": 7}, "nodes": [node]}

    assert status.well(found(8, True))
    assert not status.well(found(None, True))
    assert not status.well(found(8, False))
    assert status.lines(found(8, True)) == ["server: running, pid 7", "node a: running, pid 8, Ready"]
    assert status.lines(found(None, None))[1] == "node a: not running, unknown to the API server"
