"""What a cluster is made of is written down once, and every command finds it again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from podium.cli import credentials, daemons, preflight
from podium.cli.cluster import Cluster
from podium.cli.errors import CommandError
from podium.cli.main import cluster_of, main, parser


def cluster(tmp_path: Path, *arguments: str) -> Cluster:
    return cluster_of(parser().parse_args(["up", "--data-dir", str(tmp_path), *arguments]))


def test_defaults_then_what_was_written_down_then_what_is_given(tmp_path: Path) -> None:
    assert cluster(tmp_path) == Cluster(data_dir=str(tmp_path))
    cluster(tmp_path, "--api-port", "7443", "--pod-bridge", "br7").save()
    assert cluster(tmp_path).api_port == 7443
    assert cluster(tmp_path, "--api-port", "8443").api_port == 8443
    assert cluster(tmp_path, "--api-port", "6443").api_port == 6443
    assert cluster(tmp_path).pod_bridge == "br7"


def test_a_file_of_a_later_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"api_port": 7443, "tempo": "allegro"}')
    stored = Cluster.load(str(tmp_path))
    assert stored is not None
    assert stored.api_port == 7443
    assert Cluster.load(str(tmp_path / "nowhere")) is None


def test_addresses_come_from_the_service_range() -> None:
    made = Cluster(service_cidr="10.96.0.0/12")
    assert (made.api_service_address, made.dns_address) == ("10.96.0.1", "10.96.0.10")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_a_port_out_of_range_is_named(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", f"--api-port={port}"])
    assert ended.value.code == 2
    assert f"'{port}' is no port: must be between 1 and 65535" in capsys.readouterr().err


def test_a_switch_is_on_when_it_is_named_and_off_when_that_is_said(tmp_path: Path) -> None:
    assert not cluster(tmp_path).check_contract
    cluster(tmp_path, "--check-contract").save()
    assert cluster(tmp_path).check_contract
    assert not cluster(tmp_path, "--check-contract=false").check_contract
    made = cluster(tmp_path)
    command = daemons.command(made, daemons.server(made))
    assert cluster_of(parser().parse_args(command[3:])) == made
    with pytest.raises(SystemExit):
        parser().parse_args(["up", "--check-contract=maybe"])


def test_the_daemons_commands_spell_everything_out(tmp_path: Path) -> None:
    made = Cluster(data_dir=str(tmp_path), node_name="n1", api_port=7443)
    command = daemons.command(made, daemons.server(made))
    assert command[1:4] == ["-m", "podium.cli.main", "server"]
    assert "--api-port=7443" in command
    parsed = cluster_of(parser().parse_args(command[3:]))
    assert parsed == made


def test_the_kubeconfig_is_the_one_kubectl_would_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert daemons.user_kubeconfig("") == Path("/home/someone/.kube/config")
    monkeypatch.setenv("KUBECONFIG", ":/a:/b")
    assert daemons.user_kubeconfig("") == Path("/a")
    assert daemons.user_kubeconfig("/c") == Path("/c")


def test_a_busy_port_is_named_with_the_option_that_chooses_another() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=rf"port {port} on 127.0.0.1 is busy .* --api-port"):
            preflight.port_free("127.0.0.1", port, "--api-port")
    preflight.port_free("127.0.0.1", port, "--api-port")


def test_programs_that_are_missing_are_named_with_their_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CommandError, match=r"containerd, runc, nft; install with: apt-get install .*nftables"
    ):
        preflight.programs()


def test_credentials_are_made_once_and_readable_by_root_alone(tmp_path: Path) -> None:
    made = Cluster(data_dir=str(tmp_path), node_name="n1")
    credentials.ensure(made)
    before = {path.name: path.read_bytes() for path in made.pki.iterdir()}
    credentials.ensure(made)
    assert {path.name: path.read_bytes() for path in made.pki.iterdir()} == before
    assert {"ca.crt", "admin.kubeconfig", "node.kubeconfig", "node-n1.crt"} <= set(before)
    secret = [path for path in made.pki.iterdir() if path.suffix in (".key", ".kubeconfig")]
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


def test_status_and_down_say_when_there_is_no_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--data-dir", str(tmp_path)]) == 1
    assert f"There is no cluster in {tmp_path}." in capsys.readouterr().out
    assert main(["image", "--data-dir", str(tmp_path), "ls"]) == 1
    assert "bring it up with podium up" in capsys.readouterr().err
