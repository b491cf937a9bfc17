"""Objects encrypted at rest."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.api.encryption import ConfigError, Encryption, read_config, template
from podium.api.server import ApiServer
from podium.api.store.codec import Unreadable
from podium.api.store.sqlite import SqliteStore
from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.resources import CONFIG_MAPS, SECRETS
from podium.cli.reloading import Reloading
from podium.client.informer import Informer

KEY = "/registry/core/secrets/default/a"
MAP_KEY = "/registry/core/configmaps/default/a"


def secret(byte: int, size: int = 32) -> str:
    return base64.b64encode(bytes([byte]) * size).decode()


def aesgcm(*keys: tuple[str, str]) -> Obj:
    return {"aesgcm": {"keys": [{"name": name, "secret": value} for name, value in keys]}}


def document(*providers: Any, resources: Any = ("secrets",)) -> str:
    entry = {"resources": list(resources), "providers": list(providers)}
    return yaml.safe_dump(
        {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [entry]}
    )


def of(*providers: Any, resources: Any = ("secrets",)) -> Encryption:
    return read_config(document(*providers, resources=resources))


ONE, TWO = ("one", secret(1)), ("two", secret(2))


def test_what_is_sealed_names_its_key_and_opens_where_it_was_sealed() -> None:
    codec = of(aesgcm(ONE))
    sealed = codec.seal(KEY, b'{"data":"x"}')
    assert sealed.startswith(b"k8s:enc:aesgcm:v1:one:")
    assert b"data" not in sealed
    assert sealed != codec.seal(KEY, b'{"data":"x"}')
    assert codec.open(KEY, sealed) == (b'{"data":"x"}', False)
    with pytest.raises(Unreadable, match="message authentication failed"):
        codec.open(f"{KEY}b", sealed)


def test_only_the_resources_that_are_named_are_sealed() -> None:
    codec = of(aesgcm(ONE))
    assert codec.seal(MAP_KEY, b"{}") == b"{}"
    assert codec.open(MAP_KEY, b"{}") == (b"{}", False)
    assert of(aesgcm(ONE), resources=["*.apps"]).seal("/registry/apps/deployments/d/a", b"{}") != b"{}"
    assert of(aesgcm(ONE), resources=["*."]).seal(KEY, b"{}") != b"{}"
    assert of(aesgcm(ONE), resources=["*.*"]).seal(MAP_KEY, b"{}") != b"{}"


def test_after_a_rotation_the_old_key_reads_and_the_new_one_writes() -> None:
    old = of(aesgcm(ONE)).seal(KEY, b"{}")
    both = of(aesgcm(TWO, ONE))
    assert both.open(KEY, old) == (b"{}", True)
    assert both.seal(KEY, b"{}").startswith(b"k8s:enc:aesgcm:v1:two:")
    with pytest.raises(Unreadable, match="no matching prefix found"):
        of(aesgcm(TWO)).open(KEY, old)


def test_what_was_not_sealed_is_read_where_identity_is_a_provider() -> None:
    assert of(aesgcm(ONE), {"identity": {}}).open(KEY, b"{}") == (b"{}", True)
    assert of({"identity": {}}, aesgcm(ONE)).seal(KEY, b"{}") == b"{}"
    with pytest.raises(Unreadable, match="no matching prefix found"):
        of(aesgcm(ONE)).open(KEY, b"{}")


def test_the_file_that_is_made_is_a_good_one() -> None:
    assert read_config(template(["secrets"])).seal(KEY, b"{}").startswith(b"k8s:enc:aesgcm:v1:key1:")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not YAML: line"),
        ("[]", "not an object"),
        ("{}", "apiVersion, kind: must be"),
        (document(), r"resources\[0\]\.providers: Required value"),
        (document({"identity": {}}, resources=[]), r"resources\[0\]\.resources: Required value"),
        (
            document({"identity": {}}, resources=["Secrets"]),
            r"resources\[0\]\.resources\[0\]: Invalid .*capital",
        ),
        (document({"identity": {}}, resources=["*"]), r"use '\*\.' to encrypt all"),
        (document({"identity": {}}, resources=["secrets", "*."]), "overlapping resources"),
        (document({"identity": {}}, resources=["secrets", "secrets"]), "specified multiple times"),
        (document({}), r"resources\[0\]\.providers\[0\]: .*does not contain any"),
        (document({"kms": {}}), r'providers\[0\]: Unsupported value: "kms"'),
        (document({"identity": {}, **aesgcm(ONE)}), "more than one provider"),
        (document({"aesgcm": {"keys": []}}), r"aesgcm\.keys: Required value"),
        (document({"aesgcm": {"kees": []}}), r"aesgcm\.kees: unknown field"),
        (document(aesgcm(("", secret(1)))), r"keys\[0\]\.name: Required value"),
        (document(aesgcm(("a:b", secret(1)))), r"keys\[0\]\.name: Invalid value"),
        (document(aesgcm(("a", "%%%"))), r"keys\[0\]\.secret: Invalid .*REDACTED.*base64"),
        (document(aesgcm(("a", secret(1, 5)))), r"got 5, expected one of \[16 24 32\]"),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_the_reason(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read_config(text)


async def started(path: Path, codec: Encryption | None) -> tuple[ApiServer, SqliteStore]:
    store = SqliteStore(path / "podium.db", codec=codec)
    await store.start()
    server = ApiServer(store=store)
    await server.start()
    return server, store


async def ended(server: ApiServer, store: SqliteStore) -> None:
    await server.close()
    await store.close()


def stored(path: Path, name: str) -> bytes:
    connection = sqlite3.connect(path / "podium.db")
    try:
        query = "SELECT value FROM log WHERE key LIKE ? ORDER BY revision DESC LIMIT 1"
        return bytes(connection.execute(query, (f"%/{name}",)).fetchone()[0])
    finally:
        connection.close()


def reseal(path: Path, name: str, codec: Encryption) -> None:
    """Seals what lies there with ONE anew."""
    connection = sqlite3.connect(path / "podium.db")
    try:
        for key, value in connection.execute(
            "SELECT key, value FROM log WHERE key LIKE ?", (f"%/{name}",)
        ).fetchall():
            sealed = codec.seal(key, of(aesgcm(ONE)).open(key, value).value)
            connection.execute("UPDATE log SET value = ? WHERE key = ?", (sealed, key))
        connection.commit()
    finally:
        connection.close()


async def test_secrets_lie_sealed_on_the_disk_and_are_read_again_after_a_restart(tmp_path: Path) -> None:
    server, store = await started(tmp_path, of(aesgcm(ONE)))
    client = server.client
    await client.create(
        SECRETS, {"metadata": {"name": "hidden"}, "stringData": {"x": "open-sesame"}}, "default"
    )
    await client.create(CONFIG_MAPS, {"metadata": {"name": "shown"}, "data": {"x": "y"}}, "default")
    await ended(server, store)
    assert stored(tmp_path, "hidden").startswith(b"k8s:enc:aesgcm:v1:one:")
    assert stored(tmp_path, "shown").startswith(b"{")
    server, store = await started(tmp_path, of(aesgcm(TWO, ONE)))
    obj = await server.client.get(SECRETS, "hidden", "default")
    assert base64.b64decode(obj["data"]["x"]) == b"open-sesame"
    # A write that changes nothing is a rotation.
    again = await server.client.update(SECRETS, obj)
    assert again["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]
    once_more = await server.client.update(SECRETS, again)
    assert once_more["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    await ended(server, store)
    assert stored(tmp_path, "hidden").startswith(b"k8s:enc:aesgcm:v1:two:")


@pytest.mark.parametrize("codec", [None, of(aesgcm(TWO), {"identity": {}}), of(aesgcm(("one", secret(9))))])
async def test_without_its_key_a_secret_cannot_be_read_and_all_else_can(
    tmp_path: Path, codec: Encryption | None
) -> None:
    server, store = await started(tmp_path, of(aesgcm(ONE)))
    await server.client.create(SECRETS, {"metadata": {"name": "hidden"}}, "default")
    await server.client.create(CONFIG_MAPS, {"metadata": {"name": "shown"}}, "default")
    await ended(server, store)
    server, store = await started(tmp_path, codec)
    why = 'unable to transform key "/registry/core/secrets/default/hidden"'
    for attempt in (server.client.get, server.client.delete):
        with pytest.raises(StatusError, match=why) as refused:
            await attempt(SECRETS, "hidden", "default")
        assert refused.value.code == 500
    await server.client.create(SECRETS, {"metadata": {"name": "other"}}, "default")
    assert (await server.client.get(CONFIG_MAPS, "shown", "default"))["metadata"]["name"] == "shown"
    await ended(server, store)


async def test_who_follows_all_secrets_goes_on_without_one_that_cannot_be_read_and_hears_when_it_can(
    tmp_path: Path,
) -> None:
    server, store = await started(tmp_path, of(aesgcm(ONE)))
    for name in ("hidden", "shown"):
        await server.client.create(SECRETS, {"metadata": {"name": name, "labels": {"a": "b"}}}, "default")
    await ended(server, store)
    reseal(tmp_path, "shown", of(aesgcm(TWO)))
    codec = of(aesgcm(TWO))
    server, store = await started(tmp_path, codec)
    informers = [Informer(server.client, SECRETS), Informer(server.client, SECRETS, labels="a=b")]
    following = [asyncio.create_task(informer.run()) for informer in informers]
    try:
        for informer in informers:
            await asyncio.wait_for(informer.synced(), 5)
            assert [obj["metadata"]["name"] for obj in informer.list()] == ["shown"]
        assert "/secrets/default/hidden" in (await server.client.list(SECRETS)).unreadable[0]
        codec.follow(of(aesgcm(TWO, ONE)))
        heard = [asyncio.Event() for _ in informers]
        for informer, event in zip(informers, heard, strict=True):
            informer.add_handler(
                lambda old, new, event=event: event.set() if new["metadata"]["name"] == "hidden" else None
            )
        await store.reopen(codec)
        for event in heard:
            await asyncio.wait_for(event.wait(), 5)
        assert not (await server.client.list(SECRETS)).unreadable
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await ended(server, store)
    assert stored(tmp_path, "hidden").startswith(b"k8s:enc:aesgcm:v1:two:")


async def test_a_file_that_changes_counts_from_then_on_and_a_bad_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(document(aesgcm(ONE)))
    codec = of(aesgcm(ONE))
    server, store = await started(tmp_path, codec)
    try:
        reloading = Reloading(file, codec, store)
        await server.client.create(SECRETS, {"metadata": {"name": "a"}}, "default")
        assert stored(tmp_path, "a").startswith(b"k8s:enc:aesgcm:v1:one:")
        file.write_text(document(aesgcm(TWO, ONE)))
        reloading.look()
        old = await server.client.get(SECRETS, "a", "default")
        # A replacement that changes nothing is written all the same, with the new key.
        await server.client.update(SECRETS, old)
        assert stored(tmp_path, "a").startswith(b"k8s:enc:aesgcm:v1:two:")
        file.write_text("resources: none of yours")
        reloading.look()
        await server.client.create(SECRETS, {"metadata": {"name": "b"}}, "default")
        assert stored(tmp_path, "b").startswith(b"k8s:enc:aesgcm:v1:two:")
        [family] = reloading.families()
        assert list(family.series) == [(("failure",), 1), (("success",), 1)]
    finally:
        await ended(server, store)


async def test_a_change_of_the_file_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(document(aesgcm(ONE)))
    codec = of(aesgcm(ONE))
    reloading = Reloading(file, codec, SqliteStore(tmp_path / "podium.db", codec=codec))
    following = asyncio.create_task(reloading.run())
    await asyncio.sleep(0)
    fresh = tmp_path / "fresh"
    fresh.write_text(document(aesgcm(TWO, ONE)))
    fresh.replace(file)
    async with asyncio.timeout(10):
        while not codec.seal(KEY, b"{}").startswith(b"k8s:enc:aesgcm:v1:two:"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
