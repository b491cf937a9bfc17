"""Kubeconfig files: reading a connection out of one, and putting a context of ours into a user's own, or
taking it out, without disturbing anything else in it.

Source: kubernetes.io "Organizing Cluster Access Using kubeconfig Files", config/v1 reference. kubectl guards
its own writes by creating `FILE.lock` exclusively; the same lock is taken here, so that neither loses the
other's change.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from podium.api.types import Obj

LOCK_WAIT = 5.0  # seconds; kubectl holds its lock for milliseconds
_LOCK_RETRY = 0.02


class KubeconfigError(Exception):
    """A kubeconfig that cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Connection:
    """How to reach one API server. PEM bytes, empty where absent."""

    server: str
    ca: bytes = b""
    client_cert: bytes = b""
    client_key: bytes = b""
    token: str = ""
    insecure: bool = False
    server_name: str = ""
    namespace: str = ""


def load(path: str | os.PathLike[str]) -> Obj:
    """The file's content; an absent or empty file is an empty config."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise KubeconfigError(f"{path}: expected a mapping, found {type(content).__name__}")
    for section in ("clusters", "users", "contexts"):
        entries = content.get(section) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise KubeconfigError(f"{path}: {section} must be a list of mappings")
    return content


def connection(config: Obj, context: str = "", *, base: str | os.PathLike[str] = ".") -> Connection:
    """What `context` (by default the current one) connects to. File references are relative to the directory
    `base`."""
    name = context or config.get("current-context") or ""
    chosen = _named(config, "contexts", name, "context")
    cluster = _named(config, "clusters", chosen.get("cluster", ""), "cluster")
    user = _named(config, "users", chosen["user"], "user") if chosen.get("user") else {}
    token = user.get("token", "")
    if not token and user.get("tokenFile"):
        token = Path(base, user["tokenFile"]).read_text(encoding="utf-8").strip()
    return Connection(
        server=cluster.get("server", ""),
        ca=_pem(cluster, "certificate-authority", base),
        client_cert=_pem(user, "client-certificate", base),
        client_key=_pem(user, "client-key", base),
        token=token,
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name", ""),
        namespace=chosen.get("namespace", ""),
    )


def read(path: str | os.PathLike[str], context: str = "") -> Connection:
    """The connection that a kubeconfig file describes."""
    if not Path(path).exists():
        raise KubeconfigError(f"{path}: no such file")
    return connection(load(path), context, base=Path(path).parent)


def _named(config: Obj, section: str, name: str, noun: str) -> Obj:
    for entry in config.get(section) or ():
        if entry.get("name") == name:
            return dict(entry.get(noun) or {})
    raise KubeconfigError(f"kubeconfig has no {noun} {name!r}")


def _pem(holder: Obj, field: str, base: str | os.PathLike[str]) -> bytes:
    if data := holder.get(f"{field}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise KubeconfigError(f"kubeconfig: {field}-data is not base64: {error}") from error
    if path := holder.get(field):
        return Path(base, path).read_bytes()
    return b""


def document(name: str, server: str, ca_data: bytes, client_cert: bytes, client_key: bytes) -> Obj:
    """A whole kubeconfig with one cluster, user and context, all called `name`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _b64(ca_data)}}
        ],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": _b64(client_cert), "client-key-data": _b64(client_key)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def merge_context(
    path: str | os.PathLike[str],
    name: str,
    server: str,
    ca_data: bytes | str,
    client_cert: bytes | str,
    client_key: bytes | str,
) -> None:
    """Puts cluster, user and context `name` into the file (made, with its directory, if absent) and makes it
    the current context. A context of that name is replaced; an entry that says the same already leaves the
    file untouched."""
    pems = [part.encode() if isinstance(part, str) else part for part in (ca_data, client_cert, client_key)]
    ours = document(name, server, *pems)
    target = _target(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(target):
        config = load(target)
        merged = {"apiVersion": "v1", "kind": "Config", **config}
        for section in ("clusters", "users", "contexts"):
            merged[section] = _replaced(config.get(section) or [], ours[section][0])
        merged["current-context"] = name
        if merged != config or not target.exists() or target.stat().st_mode & 0o077:
            write(target, merged)


def _replaced(entries: list[Obj], ours: Obj) -> list[Obj]:
    """`entries` with `ours` in the place of the one of the same name, else at the end."""
    merged = [ours if entry.get("name") == ours["name"] else entry for entry in entries]
    return merged if ours in merged else [*merged, ours]


def remove_context(path: str | os.PathLike[str], name: str) -> None:
    """Takes cluster, user and context `name` out; a file with nothing else in it is removed. Idempotent."""
    target = _target(path)
    if not target.exists():
        return
    with _locked(target):
        config = load(target)
        remaining = dict(config)
        for section in ("clusters", "users", "contexts"):
            remaining[section] = [entry for entry in config.get(section) or [] if entry.get("name") != name]
        if remaining.get("current-context") == name:
            remaining["current-context"] = ""
        if not any(value for key, value in remaining.items() if key not in ("apiVersion", "kind")):
            target.unlink()
        elif any(remaining[key] != (config.get(key) or []) for key in ("clusters", "users", "contexts")):
            write(target, remaining)


def _target(path: str | os.PathLike[str]) -> Path:
    """The file itself, not a link to it: replacing the link would cut the user's file off."""
    return Path(os.path.realpath(os.path.expanduser(path)))


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = target.with_name(target.name + ".lock")
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0))
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise KubeconfigError(
                    f"{target}: locked by another program; if none runs, remove {lock}"
                ) from None
            time.sleep(_LOCK_RETRY)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def write(target: Path, config: Obj) -> None:
    """Atomically, readable by the owner alone, who stays the same (root may be writing into a user's
    file)."""
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yaml.safe_dump(config, stream, sort_keys=False, default_flow_style=False)
            stream.flush()
            os.fsync(stream.fileno())
        owner = target.stat() if target.exists() else target.parent.stat()
        if os.geteuid() == 0:
            os.chown(temporary, owner.st_uid, owner.st_gid)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
