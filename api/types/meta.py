"""What every object has: names, owners, times, conditions."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from functools import lru_cache

from podium.api.types import Obj

# Without vowels and look-alikes, so that a random suffix never spells a word (apimachinery's util/rand).
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def suffix(length: int = 5) -> str:
    """A random suffix for generated names."""
    return "".join(random.choices(SUFFIX_ALPHABET, k=length))


# Random bytes that nobody has used yet: each question to the kernel costs more than all the rest of a uid.
_random: list[bytes] = []
RANDOM = 256  # uids
# Another process must not give the same ones.
os.register_at_fork(after_in_child=_random.clear)


def new_uid() -> str:
    """A random UUID (RFC 9562, version 4), put together several times faster than `uuid` does."""
    try:
        digits = _random.pop().hex()
    except IndexError:
        fresh = os.urandom(16 * RANDOM)
        _random.extend(fresh[start : start + 16] for start in range(0, len(fresh), 16))
        digits = _random.pop().hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def timestamp(moment: datetime | None = None) -> str:
    """A metav1.Time: RFC 3339 in UTC, whole seconds."""
    return _second(int((moment or datetime.now(UTC)).timestamp()))


@lru_cache(maxsize=16)
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: datetime | None = None) -> str:
    """A metav1.MicroTime: RFC 3339 in UTC with microseconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """The moment a Time or MicroTime names. Raises ValueError."""
    return datetime.fromisoformat(text)


def name_of(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Obj) -> str:
    """The namespace, "" for a cluster-scoped object."""
    return str(obj["metadata"].get("namespace", ""))


def key_of(obj: Obj) -> str:
    """`namespace/name`, or `name` for a cluster-scoped object: what work queues hold."""
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else str(meta["name"])


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name) of a `key_of`."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def deleting(obj: Obj) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def controller_of(obj: Obj) -> Obj | None:
    """The ownerReference whose `controller` is true, if there is one."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def controller_reference(owner: Obj) -> Obj:
    """The ownerReference that makes `owner` (with apiVersion and kind set) the controller of another
    object."""
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: Obj, kind: str) -> Obj | None:
    """The status condition of type `kind`, if there is one."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry.get("type") == kind:
            return dict(entry)
    return None


def condition_is_true(obj: Obj, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"
