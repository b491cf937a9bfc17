"""What follows from a pod's spec alone, found out once for all pods that have the same: those of a controller
differ in their metadata, and in the name of the volume with their token.

What is remembered is no object that anybody could change, and nothing bad: a spec with faults is looked at
each time. What depends on more than the spec (the pod's name, its annotations, its namespace) is not known
from here.
"""

from __future__ import annotations

import re

import orjson

from podium.api.types import Obj
from podium.api.types.meta import SUFFIX_ALPHABET
from podium.api.types.qos import qos_class
from podium.api.types.remembering import Weighed

# Bytes of all specs that are remembered, and of one; and what is known of one takes beside them.
REMEMBERED, LONGEST, RECORD = 1 << 20, 16 << 10, 400
# The only part of a spec that is made up for each pod: as a whole text of its own.
_TOKEN_VOLUME = re.compile(b'"kube-api-access-[%b]{5}"' % SUFFIX_ALPHABET.encode())
# In JSON there is no such byte, so that no other spec looks like one with this in place of that name.
_ANY_TOKEN_VOLUME = b"\0"
# What looks like JSON only when it is written is no JSON.
_PLAIN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS


class Facts:
    """Of one spec, to the last byte. `qos` is its class. The others say what somebody has found out already
    and wrote down here: that it is `valid`, that it is `harmless` (nothing in it is to be warned of), and the
    levels of pod security that it is `within`, by name and version."""

    __slots__ = ("harmless", "qos", "valid", "within")

    def __init__(self, qos: str) -> None:
        self.qos = qos
        self.valid = False
        self.harmless = False
        self.within: frozenset[tuple[str, int]] = frozenset()


_facts: Weighed[Facts] = Weighed(REMEMBERED)


def of(spec: Obj) -> Facts:
    """The facts of `spec` as it is at this moment."""
    try:
        written = orjson.dumps(spec, option=_PLAIN)
    except TypeError:
        return Facts(qos_class(spec))
    if len(written) > LONGEST:
        return Facts(qos_class(spec))
    if spec.get("volumes") and (name := _TOKEN_VOLUME.search(written)):
        written = written.replace(name[0], _ANY_TOKEN_VOLUME)
    found = _facts.find(written)
    if found is None:
        found = Facts(qos_class(spec))
        _facts.keep(written, len(written) + RECORD, found)
    return found


def stands_alone(spec: Obj) -> bool:
    """Whether the spec is judged without the pod that has it: mirror pods have no claims, and the claims of
    ephemeral volumes are named after the pod."""
    if spec.get("resourceClaims"):
        return False
    return all(volume.get("ephemeral") is None for volume in spec.get("volumes") or ())
