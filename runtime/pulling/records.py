"""Who has proved that they may use an image that is on this machine.

Images are shared by all pods of a node, and so one that was pulled with somebody's credentials could be used
by everybody. What was pulled, and with which secrets, is therefore written down, and a pod that shows none of
them has to ask the registry itself. An intent is written before a pull begins, so that an image that came
while the daemon died does not pass for one that was there from the start.

Source: KEP-2535."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from podium.api.types import Obj
from podium.runtime.pulling.keyring import Credential

log = logging.getLogger(__name__)

NEVER, PRELOADED, ALLOWED, ALWAYS = (
    "NeverVerify",
    "NeverVerifyPreloadedImages",
    "NeverVerifyAllowlistedImages",
    "AlwaysVerify",
)
POLICIES = (NEVER, PRELOADED, ALLOWED, ALWAYS)
_MOST_SECRETS = 100


@dataclass(frozen=True, slots=True)
class Verification:
    """Which images that are here need credentials that were proven: a policy of KEP-2535, and the
    repositories that the allow list of one of them names."""

    policy: str = PRELOADED
    allowed: Sequence[str] = ()


def verifies(verification: Verification, repository: str, *, pulled: bool) -> bool:
    """Whether a pod has to show credentials for an image that is here. `pulled`: it was not there from the
    start."""
    if verification.policy == ALLOWED:
        return not any(
            repository.startswith(each[:-1]) if each.endswith("/*") else repository == each
            for each in verification.allowed
        )
    return verification.policy == ALWAYS or (verification.policy == PRELOADED and pulled)


def proven(record: Obj | None, repository: str, credentials: Iterable[Credential]) -> Credential | bool:
    """Whether a record says that who has these credentials may use the image. The credential that does if it
    is not yet in the record as it is now: a secret with a new password, or another with the same one."""
    known: Obj | None = ((record or {}).get("credentialMapping") or {}).get(repository)
    if known is None:
        return False
    if known.get("nodePodsAccessible"):
        return True
    secrets: list[Obj] = known.get("kubernetesSecrets") or []
    for credential in credentials:
        shown = _secret(credential)
        if shown in secrets:
            return True
        for secret in secrets:
            same_place = all(secret[key] == shown[key] for key in ("uid", "namespace", "name"))
            if same_place or secret["credentialHash"] == shown["credentialHash"]:
                return credential
    return False


def merged(
    record: Obj | None, image: str, repository: str, credential: Credential | None, *, now: str
) -> Obj:
    """The record with one more who may: everybody (None), or who has the credential."""
    mapping = dict((record or {}).get("credentialMapping") or {})
    known: Obj = mapping.get(repository) or {}
    if credential is None or known.get("nodePodsAccessible"):
        mapping[repository] = {"nodePodsAccessible": True}
    else:
        shown = _secret(credential)
        places = ("uid", "namespace", "name")
        others = [
            each
            for each in known.get("kubernetesSecrets") or ()
            if any(each[key] != shown[key] for key in places)
        ]
        mapping[repository] = {"kubernetesSecrets": [*others[-(_MOST_SECRETS - 1) :], shown]}
    return {"imageRef": image, "lastUpdatedTime": now, "credentialMapping": mapping}


def _secret(credential: Credential) -> Obj:
    return {
        "uid": credential.uid,
        "namespace": credential.namespace,
        "name": credential.secret,
        "credentialHash": credential.hash,
    }


class PullRecords:
    """The files of one node. What cannot be read counts as not proven; what cannot be written raises
    OSError."""

    def __init__(self, folder: Path) -> None:
        self._pulled, self._pulling = folder / "pulled", folder / "pulling"
        self._intents: Counter[str] = Counter()

    def intend(self, name: str) -> None:
        """A pull of the image begins."""
        self._intents[name] += 1
        if self._intents[name] == 1:
            _write(_file(self._pulling, name), {"image": name})

    def ended(self, name: str) -> None:
        """It has come to an end, and what it brought is recorded."""
        self._intents[name] -= 1
        if self._intents[name] <= 0:
            del self._intents[name]
            _file(self._pulling, name).unlink(missing_ok=True)

    def intended(self, name: str) -> bool:
        return name in self._intents or _file(self._pulling, name).exists()

    def get(self, image: str) -> Obj | None:
        return _read(_file(self._pulled, image))

    def about(self, image: str, name: str) -> tuple[Obj | None, bool]:
        """What is written down of an image, and whether it was pulled, or is being pulled by that name."""
        record = self.get(image)
        return record, record is not None or self.intended(name)

    def put(self, record: Obj) -> None:
        _write(_file(self._pulled, record["imageRef"]), record)

    def keep(self, images: Collection[str]) -> None:
        """Forgets the records of all other images, by their ids."""
        wanted = {_file(self._pulled, each).name for each in images}
        for path in self._pulled.glob("sha256-*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)


def _file(folder: Path, key: str) -> Path:
    return folder / f"sha256-{hashlib.sha256(key.encode()).hexdigest()}"


def _read(path: Path) -> Obj | None:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("cannot read %s: %s", path, error)
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, document: Obj) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
