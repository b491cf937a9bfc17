from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml

from podium.client import kubeconfig
from podium.client.kubeconfig import KubeconfigError, merge_context, remove_context

OTHERS = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "work", "cluster": {"server": "https://work"}}],
    "users": [{"name": "me", "user": {"exec": {"command": "login"}}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me", "namespace": "team"}}],
    "current-context": "work",
    "extensions": [{"name": "x", "extension": {"y": 1}}],
}


def merge(path: Path, server: str = "https://127.0.0.1:6443") -> None:
    merge_context(path, "podium", server, b"CA", b"CERT", b"KEY")


def test_merging_into_an_absent_file_makes_one_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    merge(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = kubeconfig.read(path)
    assert found.server == "https://127.0.0.1:6443"
    assert (found.ca, found.client_cert, found.client_key) == (b"CA", b"CERT", b"KEY")


def test_merging_keeps_everything_else_and_makes_the_context_current(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(OTHERS))
    path.chmod(0o644)
    merge(path)
    config = kubeconfig.load(path)
    assert config["current-context"] == "podium"
    for section in ("clusters", "users", "contexts"):
        assert config[section][0] == OTHERS[section][0]
        assert [entry["name"] for entry in config[section]][1:] == ["podium"]
    assert config["preferences"] == OTHERS["preferences"]
    assert config["extensions"] == OTHERS["extensions"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_merging_again_replaces_the_context_in_place(tmp_path: Path) -> None:
    path = tmp_path / "config"
    merge(path, "https://one")
    merge(path, "https://two")
    config = kubeconfig.load(path)
    assert [entry["cluster"]["server"] for entry in config["clusters"]] == ["https://two"]


def test_merging_the_same_again_leaves_the_file_untouched(tmp_path: Path) -> None:
    path = tmp_path / "config"
    merge(path)
    before = path.stat()
    merge(path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_removing_takes_out_our_entries_alone(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(OTHERS))
    merge(path)
    remove_context(path, "podium")
    assert kubeconfig.load(path) == {**OTHERS, "current-context": ""}


def test_removing_keeps_another_current_context(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(OTHERS))
    merge(path)
    config = kubeconfig.load(path)
    path.write_text(yaml.safe_dump({**config, "current-context": "work"}))
    remove_context(path, "podium")
    assert kubeconfig.load(path) == OTHERS


def test_removing_the_last_context_removes_the_file_and_is_idempotent(tmp_path: Path) -> None:
    path = tmp_path / "config"
    merge(path)
    remove_context(path, "podium")
    assert list(tmp_path.iterdir()) == []
    remove_context(path, "podium")


def test_removing_an_unknown_context_leaves_the_file_untouched(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(OTHERS))
    before = path.stat().st_ino
    remove_context(path, "podium")
    assert path.stat().st_ino == before


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "real"
    link = tmp_path / "config"
    link.symlink_to(target)
    merge(link)
    assert link.is_symlink()
    assert target.is_file()


def test_a_file_that_is_not_yaml_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("a: [b")
    with pytest.raises(KubeconfigError, match=f"{path}: not YAML"):
        merge(path)
    assert path.read_text() == "a: [b"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


def test_a_lock_held_by_kubectl_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "LOCK_WAIT", 0.0)
    path = tmp_path / "config"
    lock = tmp_path / "config.lock"
    lock.touch()
    with pytest.raises(KubeconfigError, match=r"config\.lock"):
        merge(path)
    assert lock.exists()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_users_file_stays_the_users_when_root_merges(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(OTHERS))
    os.chown(path, 12345, 12346)
    merge(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_a_connection_reads_files_relative_to_the_config(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"CA")
    (tmp_path / "token").write_text("secret\n")
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://h", "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"tokenFile": "token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        "current-context": "x",
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    found = kubeconfig.read(path)
    assert (found.ca, found.token, found.namespace) == (b"CA", "secret", "n")


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    merge(path)
    with pytest.raises(KubeconfigError, match="no context 'other'"):
        kubeconfig.read(path, "other")
    with pytest.raises(KubeconfigError, match="no such file"):
        kubeconfig.read(tmp_path / "absent")
