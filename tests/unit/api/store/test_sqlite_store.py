"""What the SQLite file adds to the contract: it outlives its process, and its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.api.store.history import History
from podium.api.store.sqlite import SqliteStore
from podium.api.store.writer import CHECKPOINT_BYTES
from podium.api.types.errors import StatusError

POD = "/registry/core/pods/default/"

WRITER = """
import asyncio, sys
from pathlib import Path
from podium.api.store.sqlite import SqliteStore
from podium.api.store.writer import CHECKPOINT_BYTES

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.start()
    async def write(worker):
        for n in range(100_000):
            name = f"w{worker}-{n}"
            entry = await store.create(f"/registry/core/pods/default/{name}", {"metadata": {"name": name}})
            sys.stdout.write(f"{name} {entry.revision}\\n")
            sys.stdout.flush()
    await asyncio.gather(*(write(worker) for worker in range(8)))

asyncio.run(main())
"""


def thing(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": spec}


async def opened(path: Path, **options: object) -> SqliteStore:
    store = SqliteStore(path, keep=0, **options)  # type: ignore[arg-type]
    await store.start()
    return store


def rows(path: Path, until: int = 1 << 40) -> int:
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM log WHERE revision <= ?", (until,)).fetchone()
    connection.close()
    return int(count)


async def swept_to(path: Path, count: int) -> None:
    """Room is freed in the background: only an open store does it."""
    for _ in range(1000):
        if rows(path) == count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{rows(path)} rows stay, not {count}")


def write_and_be_killed(path: Path) -> list[str]:
    """What a process acknowledged, line by line, until it was killed in the midst of it."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        acknowledged = [process.stdout.readline() for _ in range(500)]
    finally:
        process.send_signal(signal.SIGKILL)
    acknowledged += [line for line in process.stdout.readlines() if line.endswith("\n")]
    process.wait()
    return acknowledged


async def test_every_acknowledged_write_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    acknowledged = await asyncio.to_thread(write_and_be_killed, path)
    store = await opened(path)
    for line in acknowledged:
        name, revision = line.split()
        entry = store.get(POD + name)
        assert entry is not None, name
        assert entry.obj["metadata"]["resourceVersion"] == revision
    newest = max(entry.revision for entry in store.list(POD))
    assert store.revision == newest
    assert (await store.create(POD + "next", thing("next"))).revision > newest
    await store.close()


async def test_a_reopened_store_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    first = await store.create(POD + "a", thing("a", x=1))
    await store.create(POD + "b", thing("b"))
    second = await store.update(POD + "a", thing("a", x=2), first.revision)
    gone = store.get(POD + "b")
    assert gone is not None
    last = await store.delete(POD + "b", thing("b"), gone.revision)
    await store.close()

    store = await opened(path)
    assert store.revision == last.revision
    assert [(entry.key, entry.value) for entry in store.list(POD)] == [(POD + "a", second.value)]
    watch = store.watch(POD, first.revision)
    types = [event.type for event in await anext(watch)]
    assert types == ["ADDED", "MODIFIED", "DELETED"]
    watch.close()
    await store.close()


async def test_revisions_go_on_after_everything_was_deleted_and_compacted(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    entry = await store.create(POD + "a", thing("a"))
    last = await store.delete(POD + "a", thing("a"), entry.revision)
    await store.compact(last.revision)
    await swept_to(path, 0)
    await store.close()
    store = await opened(path)
    assert (store.revision, store.compacted) == (last.revision, last.revision)
    assert (await store.create(POD + "a", thing("a"))).revision > last.revision
    await store.close()


async def test_compaction_frees_superseded_rows_and_keeps_one_row_per_object(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    entry = await store.create(POD + "a", thing("a"))
    for n in range(700):
        entry = await store.update(POD + "a", thing("a", n=n), entry.revision)
    await store.compact(store.revision)
    # The sweep goes on between commits, however busy the store is.
    busy = await store.create(POD + "b", thing("b"))
    for _ in range(100):
        busy = await store.update(POD + "b", thing("b"), busy.revision)
    compacted = store.compacted
    await store.close()
    assert rows(path, compacted) == 1
    store = await opened(path)
    assert [each.revision for each in store.list(POD)] == [entry.revision, busy.revision]
    await store.close()


async def test_the_log_stays_small_while_a_long_past_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    held = await asyncio.gather(*(store.create(f"{POD}{n}", thing(f"{n}", x="x" * 4000)) for n in range(500)))
    for _ in range(12):
        held = await asyncio.gather(
            *(store.update(each.key, thing(each.key, x="x" * 4000), each.revision) for each in held)
        )
    log = path.with_name("state.db-wal")
    before = log.stat().st_size
    await store.compact(store.revision)
    connection = sqlite3.connect(path)
    for _ in range(1000):
        (swept,) = connection.execute("SELECT value FROM meta WHERE name='swept'").fetchone()
        if swept == store.revision:
            break
        await asyncio.sleep(0.05)
    assert swept == store.revision
    connection.close()
    assert log.stat().st_size < before + 3 * CHECKPOINT_BYTES
    await store.close()


async def test_what_a_stopped_process_left_to_sweep_is_swept_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    entry = await store.create(POD + "a", thing("a"))
    entry = await store.update(POD + "a", thing("a"), entry.revision)
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value=? WHERE name='compacted'", (entry.revision,))
    connection.commit()
    connection.close()
    store = await opened(path)
    await store.create(POD + "b", thing("b"))
    await swept_to(path, 2)
    await store.close()


async def test_a_long_past_is_replayed_page_by_page(tmp_path: Path) -> None:
    store = await opened(tmp_path / "state.db", history=History(max_events=10))
    await asyncio.gather(*(store.create(f"{POD}p{n}", thing(f"p{n}")) for n in range(1_300)))
    watch = store.watch(POD, 0)
    revisions: list[int] = []
    while len(revisions) < 1_300:
        revisions += [event.revision for event in await anext(watch)]
    assert revisions == list(range(1, 1_301))
    watch.close()
    entries, left = await store.list_at(POD, 600)
    assert (len(entries), left) == (600, 0)
    await store.close()


async def test_a_second_process_is_told_that_the_store_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    with pytest.raises(StatusError, match="in use by another process"):
        await opened(path)
    await store.close()
    await (await opened(path)).close()


async def test_a_file_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await opened(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StatusError, match="newer release"):
        await opened(path)


async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    await store.create(POD + "a", thing("a"))
    modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}
    await store.close()
    assert set(modes.values()) == {0o600}, modes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "podium-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_full_disk_fails_what_is_pending_and_the_store_goes_on(small_disk: Path) -> None:
    path = small_disk / "state.db"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 400_000)
    store = await opened(path)
    watch = store.watch(POD, 0)
    results = await asyncio.gather(
        *(store.create(f"{POD}p{n}", thing(f"p{n}", pad="x" * 20_000)) for n in range(100)),
        return_exceptions=True,
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    assert errors
    assert all(isinstance(error, StatusError) and error.code == 500 for error in errors), errors
    kept = {entry.key for entry in store.list(POD)}
    assert len(kept) == 100 - len(errors)
    assert all(store.latest(f"{POD}p{n}") is store.get(f"{POD}p{n}") for n in range(100))

    ballast.unlink()
    entry = await store.create(POD + "after", thing("after"))
    assert entry.revision == store.revision
    seen: set[str] = set()
    while POD + "after" not in seen:
        seen |= {event.key for event in await anext(watch)}
    watch.close()
    assert seen == kept | {POD + "after"}
    await store.close()
    store = await opened(path)
    assert {each.key for each in store.list(POD)} == seen
    await store.close()
