"""Attempts in containerd: what a record's labels and the document kept with it say, and back.

This is what a daemon that has just started reads. Labels are written once, when the record is made; how the
attempt goes on is in the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import orjson

from podium.api.types import Obj
from podium.runtime.containerd.containers import created_at, extension
from podium.runtime.oci.users import User
from podium.runtime.pods.model import Attempt
from podium.runtime.protos.containers_pb2 import Container

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
_OWN = "podium.io/"
PROGRESS = "podium.io/progress"
FILTER = f'labels."{POD_UID}"'


class Record(NamedTuple):
    """An attempt and the pod it belongs to."""

    uid: str
    namespace: str
    pod: str
    attempt: Attempt
    tty: bool
    stdin: bool


def labels(pod: Obj, container: Obj, attempt: Attempt) -> dict[str, str]:
    meta = pod["metadata"]
    own = {
        "attempt": str(attempt.number),
        "backoff": str(attempt.backoff),
        "sandbox": attempt.sandbox,
        "spec-hash": attempt.spec_hash,
        "image": attempt.image,
        "image-id": attempt.image_id,
        "stop-signal": attempt.stop_signal,
        "user": _user_text(attempt.user),
        "tty": str(bool(container.get("tty"))).lower(),
        "stdin": str(bool(container.get("stdin"))).lower(),
        "resources": orjson.dumps(attempt.resources).decode(),
    }
    return {
        POD_NAME: meta["name"],
        POD_NAMESPACE: meta.get("namespace", ""),
        POD_UID: meta["uid"],
        CONTAINER_NAME: attempt.name,
        **{f"{_OWN}{name}": value for name, value in own.items()},
    }


def progress(attempt: Attempt) -> Obj:
    """The document that tells how an attempt has gone on."""
    made: Obj = {"started": attempt.started_at.isoformat()}
    if attempt.resources is not None:
        made["resources"] = attempt.resources
    if attempt.state == "exited":
        made.update(
            finished=attempt.finished_at.isoformat(),
            code=attempt.exit_code,
            reason=attempt.reason,
            message=attempt.message,
            again=attempt.again,
        )
    return made


def parse(record: Container) -> Record | None:
    """None for a record that is not of a pod. Without a document the attempt is `created`: its task tells
    more."""
    found = record.labels
    if POD_UID not in found or f"{_OWN}attempt" not in found:
        return None
    own = {name.removeprefix(_OWN): value for name, value in found.items() if name.startswith(_OWN)}
    attempt = Attempt(
        id=record.id,
        name=found[CONTAINER_NAME],
        number=int(own["attempt"]),
        created_at=created_at(record),
        backoff=int(own.get("backoff", "0")),
        sandbox=own.get("sandbox", ""),
        spec_hash=own.get("spec-hash", ""),
        image=own.get("image", ""),
        image_id=own.get("image-id", ""),
        stop_signal=own.get("stop-signal", ""),
        user=_user(own.get("user", "")),
        resources=orjson.loads(own.get("resources", "null")),
    )
    attempt = _progressed(attempt, extension(record, PROGRESS))
    flags = (own.get("tty") == "true", own.get("stdin") == "true")
    return Record(found[POD_UID], found[POD_NAMESPACE], found[POD_NAME], attempt, *flags)


def _progressed(attempt: Attempt, document: Obj) -> Attempt:
    if not document:
        return attempt
    started = datetime.fromisoformat(document["started"])
    attempt = replace(attempt, resources=document.get("resources", attempt.resources)).running(0, started)
    if "finished" not in document:
        return attempt
    finished = datetime.fromisoformat(document["finished"])
    attempt = replace(attempt, again=document.get("again", False))
    return attempt.exited(document["code"], finished, document["reason"], document["message"])


def _user_text(user: User | None) -> str:
    if user is None:
        return ""
    return f"{user.uid}:{user.gid}:{','.join(map(str, user.groups))}"


def _user(text: str) -> User | None:
    if not text:
        return None
    uid, gid, groups = text.split(":")
    return User(int(uid), int(gid), tuple(int(each) for each in groups.split(",") if each))


def orphan(records: Iterable[Record]) -> Obj:
    """As much of a pod as its containers tell, for ending one that the API server has forgotten."""
    known = list(records)
    first = known[0]
    names = list(dict.fromkeys(record.attempt.name for record in known))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": first.pod, "namespace": first.namespace, "uid": first.uid},
        "spec": {"containers": [{"name": name} for name in names], "restartPolicy": "Never"},
        "status": {},
    }
