"""Which checks a level at a version consists of, and what they find in a pod. Pure."""

from __future__ import annotations

from functools import lru_cache

from podium.api.admission.podsecurity.baseline import APPARMOR, BASELINE, SECCOMP_CONTAINER, SECCOMP_POD
from podium.api.admission.podsecurity.findings import Check, Finding
from podium.api.admission.podsecurity.levels import BASELINE as BASELINE_LEVEL
from podium.api.admission.podsecurity.levels import LATEST, PRIVILEGED, Level
from podium.api.admission.podsecurity.restricted import REPLACES, RESTRICTED
from podium.api.groups.core import pod_facts
from podium.api.types import Obj

# The only annotations that any check looks at.
PROFILES = (APPARMOR, SECCOMP_POD, SECCOMP_CONTAINER)
NEWEST = max(minor for table in (BASELINE, RESTRICTED) for versions in table.values() for minor in versions)


def findings(level: Level, meta: Obj, spec: Obj) -> list[Finding]:
    """What keeps a pod of that metadata and spec from the level; none for one that is within it."""
    if level.name == PRIVILEGED:
        return []
    minor = NEWEST if level.version == LATEST else min(int(level.version.removeprefix("v1.")), NEWEST)
    facts, noted = pod_facts.of(spec), any(key.startswith(PROFILES) for key in meta.get("annotations") or ())
    if not noted and (level.name, minor) in facts.within:
        return []
    found = [finding for check in _checks(level.name, minor) if (finding := check(meta, spec)) is not None]
    if not noted and not found:
        facts.within |= {(level.name, minor)}
    return found


@lru_cache(maxsize=256)
def _checks(level: str, minor: int) -> tuple[Check, ...]:
    """Those of baseline first, each in the order of their names."""
    base, more = _at(BASELINE, minor), {} if level == BASELINE_LEVEL else _at(RESTRICTED, minor)
    replaced = {REPLACES[name] for name in more if name in REPLACES}
    kept = [base[name] for name in sorted(base) if name not in replaced]
    return (*kept, *(more[name] for name in sorted(more)))


def _at(table: dict[str, dict[int, Check]], minor: int) -> dict[str, Check]:
    counting = {name: [since for since in versions if since <= minor] for name, versions in table.items()}
    return {name: table[name][max(since)] for name, since in counting.items() if since}
