"""Who opens which registry, who may use what is here, what is removed: decisions, and their records."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from podium.api.types import Obj
from podium.runtime.pulling import garbage, keyring
from podium.runtime.pulling.garbage import BadThreshold, Held, ImageGarbage
from podium.runtime.pulling.keyring import Credential
from podium.runtime.pulling.records import (
    ALLOWED,
    ALWAYS,
    NEVER,
    PRELOADED,
    PullRecords,
    Verification,
    merged,
    proven,
    verifies,
)
from podium.runtime.pulling.supply import spent

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def secret(name: str, auths: Any, kind: str = "kubernetes.io/dockerconfigjson") -> Obj:
    old = kind == "kubernetes.io/dockercfg"
    document = json.dumps(auths if old else {"auths": auths}).encode()
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "type": kind,
        "data": {".dockercfg" if old else ".dockerconfigjson": base64.b64encode(document).decode()},
    }


def users(secrets: list[Obj], repository: str) -> list[str]:
    return [credential.auth["username"] for credential in keyring.lookup(secrets, repository)]


def entry(user: str) -> Obj:
    return {"username": user, "password": "p"}


@pytest.mark.parametrize(
    ("place", "repository"),
    [
        ("registry.test", "registry.test/band/song"),
        ("https://registry.test/v1/", "registry.test/band/song"),
        ("http://registry.test/v2/", "registry.test/band/song"),
        ("registry.test/band", "registry.test/band/song"),
        ("*.test", "registry.test/song"),
        ("re*.test:5000", "registry.test:5000/song"),
        ("127.0.0.1:5000", "127.0.0.1:5000/song"),
        ("index.docker.io/v1/", "docker.io/library/busybox"),
        ("https://index.docker.io/v1/", "docker.io/band/song"),
        ("docker.io", "docker.io/band/song"),
    ],
)
def test_an_entry_opens_what_its_host_and_path_match(place: str, repository: str) -> None:
    assert users([secret("s", {place: entry("ann")})], repository) == ["ann"]


@pytest.mark.parametrize(
    ("place", "repository"),
    [
        ("registry.test", "registry.test:5000/song"),
        ("registry.test:5000", "registry.test/song"),
        ("*.test", "a.registry.test/song"),
        ("registry.test/band", "registry.test/choir/song"),
        ("registry.test", "evil-registry.test/song"),
        ("index.docker.io/v1/", "quay.io/band/song"),
    ],
)
def test_an_entry_opens_nothing_else(place: str, repository: str) -> None:
    assert users([secret("s", {place: entry("ann")})], repository) == []


def test_all_entries_that_match_are_tried_the_most_specific_one_first() -> None:
    secrets = [
        secret("one", {"registry.test": entry("host"), "*.test": entry("glob")}),
        secret("two", {"registry.test/band/song": entry("path"), "registry.test": entry("other")}),
    ]
    assert users(secrets, "registry.test/band/song") == ["path", "host", "other", "glob"]


def test_old_secrets_and_encoded_names_are_understood() -> None:
    auth = base64.b64encode(b"ann:pass:word").decode()
    old = secret("old", {"registry.test": {"auth": auth}}, "kubernetes.io/dockercfg")
    (found,) = keyring.lookup([old], "registry.test/song")
    assert found.auth == {"username": "ann", "password": "pass:word"}


@pytest.mark.parametrize(
    "content", ["no json", "[]", '{"auths": {"registry.test": {"auth": "???"}}}', '{"auths": []}']
)
def test_a_secret_that_holds_no_configuration_opens_nothing(content: str) -> None:
    bad = secret("bad", {})
    bad["data"][".dockerconfigjson"] = base64.b64encode(content.encode()).decode()
    good = secret("good", {"registry.test": entry("ann")})
    assert users([bad, good], "registry.test/song") == ["ann"]


def test_a_secret_of_another_type_is_no_pull_secret() -> None:
    opaque = {**secret("s", {"registry.test": entry("ann")}), "type": "Opaque"}
    assert users([opaque], "registry.test/song") == []


def credential(name: str = "s", password: str = "p") -> Credential:
    return Credential(name, "default", f"uid-{name}", {"username": "ann", "password": password})


REPOSITORY = "registry.test/band/song"


def record(*credentials: Credential | None) -> Obj:
    made: Obj | None = None
    for each in credentials:
        made = merged(made, "sha256:1", REPOSITORY, each, now="t")
    assert made is not None
    return made


def test_who_pulled_an_image_may_use_it_and_others_may_not() -> None:
    pulled = record(credential())
    assert proven(pulled, REPOSITORY, [credential()]) is True
    assert proven(pulled, REPOSITORY, []) is False
    assert proven(pulled, REPOSITORY, [credential("other", "guess")]) is False
    assert proven(pulled, "registry.test/another/name", [credential()]) is False
    assert proven(None, REPOSITORY, [credential()]) is False


def test_the_same_password_in_another_secret_and_a_new_one_in_the_same_will_do_and_are_noted() -> None:
    pulled = record(credential())
    for shown in (credential("copy"), credential(password="new")):
        assert proven(pulled, REPOSITORY, [shown]) == shown
        again = merged(pulled, "sha256:1", REPOSITORY, shown, now="t")
        assert proven(again, REPOSITORY, [shown]) is True


def test_what_came_without_credentials_is_everybodys_and_stays_so() -> None:
    assert proven(record(None, credential()), REPOSITORY, []) is True
    assert proven(record(credential(), None), REPOSITORY, []) is True


@pytest.mark.parametrize(
    ("policy", "pulled", "verified"),
    [
        (NEVER, True, False), (NEVER, False, False),
        (PRELOADED, True, True), (PRELOADED, False, False),
        (ALWAYS, True, True), (ALWAYS, False, True),
    ],
)  # fmt: skip
def test_the_policy_says_which_images_need_credentials(policy: str, pulled: bool, verified: bool) -> None:
    assert verifies(Verification(policy), REPOSITORY, pulled=pulled) is verified


def test_an_allow_list_has_names_and_prefixes() -> None:
    allowed = Verification(ALLOWED, ("registry.test/band/song", "open.test/all/*"))
    assert not verifies(allowed, REPOSITORY, pulled=True)
    assert not verifies(allowed, "open.test/all/of/it", pulled=True)
    assert verifies(allowed, "registry.test/band/songs", pulled=False)
    assert verifies(allowed, "open.test/allofit", pulled=False)


def test_records_outlive_the_daemon_and_a_pull_that_was_cut_off_is_known(tmp_path: Path) -> None:
    records = PullRecords(tmp_path)
    records.intend("registry.test/song")
    records.intend("registry.test/song")
    records.ended("registry.test/song")
    assert PullRecords(tmp_path).intended("registry.test/song")
    records.ended("registry.test/song")
    assert not PullRecords(tmp_path).intended("registry.test/song")
    records.put(record(credential()))
    assert PullRecords(tmp_path).get("sha256:1") == record(credential())
    records.keep(["sha256:2"])
    assert records.get("sha256:1") is None


def test_a_record_that_cannot_be_read_proves_nothing(tmp_path: Path) -> None:
    records = PullRecords(tmp_path)
    records.put(record(None))
    (path,) = (tmp_path / "pulled").iterdir()
    path.write_text("{ torn")
    found = records.get("sha256:1")
    assert found == {}
    assert proven(found, REPOSITORY, []) is False


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0871, "87ms"), (1.2045, "1.204s"), (2, "2s"), (62.5, "1m2.5s"), (3600, "1h0m0s")],
)
def test_durations_are_told_as_everybody_does(seconds: float, text: str) -> None:
    assert spent(seconds) == text


# Garbage

GIB = 1 << 30
IMAGES = [
    Held("old", ("a:1",), 4 * GIB),
    Held("older", ("b:1",), 2 * GIB),
    Held("busy", ("c:1",), 2 * GIB, used=True),
    Held("pinned", ("d:1",), 2 * GIB, pinned=True),
    Held("fresh", ("e:1",), 2 * GIB),
]


def seen() -> dict[str, garbage.Seen]:
    """Two were used some time ago, one came just now."""
    found: dict[str, garbage.Seen] = {}
    for minutes, names in ((90, ("older", "pinned")), (60, ("old", "busy")), (1, ("fresh",))):
        at = NOW - timedelta(minutes=minutes)
        used = [Held(name, (), 0, used=name in ("old", "older")) for name in names]
        found |= garbage.watched({}, used, at)
    return found


def chosen(wanted: int) -> list[str]:
    return [image.digest for image in garbage.chosen(ImageGarbage(), IMAGES, seen(), NOW, wanted)]


def test_what_nobody_has_used_for_longest_goes_first_and_no_more_than_has_to() -> None:
    assert chosen(0) == []
    assert chosen(1) == ["older"]
    assert chosen(3 * GIB) == ["older", "old"]


def test_what_is_used_pinned_or_fresh_stays() -> None:
    assert chosen(1000 * GIB) == ["older", "old"]


@pytest.mark.parametrize(("free", "wanted"), [(16, 0), (15, 5), (3, 17)])
def test_a_disk_is_freed_from_the_high_threshold_down_to_the_low_one(free: int, wanted: int) -> None:
    assert garbage.to_free(ImageGarbage(), 100 * GIB, free * GIB) == wanted * GIB


def test_a_threshold_of_100_is_never_reached() -> None:
    assert garbage.to_free(ImageGarbage(high=100), 100, 0) == 0
    assert ImageGarbage(high=100).idle


def test_what_is_too_old_goes_whatever_the_disk_is_like() -> None:
    settings = ImageGarbage(maximum_age=70 * 60)
    began = NOW - timedelta(minutes=80)
    found = garbage.too_old(settings, IMAGES, seen(), NOW, began)
    assert [image.digest for image in found] == ["older", "fresh"]
    assert garbage.too_old(settings, IMAGES, seen(), NOW, NOW - timedelta(minutes=60)) == []
    assert garbage.too_old(ImageGarbage(), IMAGES, seen(), NOW, began) == []


@pytest.mark.parametrize(
    "settings", [{"high": 101}, {"low": -1}, {"high": 70, "low": 80}, {"maximum_age": 60.0}]
)
def test_thresholds_that_cannot_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadThreshold):
        ImageGarbage(**settings)


def test_a_shortage_says_how_full_the_disk_is() -> None:
    assert garbage.shortage(100 * GIB, 10 * GIB, 7).startswith(
        "Insufficient free disk space on the node's image filesystem (90% of 100.0 GiB used). Failed to free "
        "sufficient space by deleting unused images (freed 7 bytes)."
    )
