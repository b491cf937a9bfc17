"""The ids that a machine's administrator has set aside for the pods of its nodes: those subordinate to the
user `kubelet`, where there is one. Blocks briefly.

Source: KEP-127; subuid(5), getsubids(1).
"""

from __future__ import annotations

import pwd
import shutil
import subprocess

from podium.runtime.usernamespaces.ranges import EVERYTHING, LENGTH, IdRange

USER = "kubelet"
_PROGRAM = "getsubids"


def given() -> IdRange:
    """All but the machine's own where nobody says. Raises ValueError for what pods cannot be given."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return EVERYTHING
    if shutil.which(_PROGRAM) is None:
        return EVERYTHING
    users, groups = _asked(USER), _asked("-g", USER)
    if users != groups:
        raise ValueError(f'mismatched subuids and subgids for user "{USER}"')
    return parse(users)


def parse(answer: str) -> IdRange:
    """Of an answer such as `0: kubelet 65536 2147483648`. Raises ValueError."""
    lines = answer.strip("\n").split("\n")
    if len(lines) != 1:
        raise ValueError(f"error parsing line {answer!r}: it must contain only one line")
    try:
        _, _, first, length = lines[0].split()
        found = IdRange(int(first), int(length))
    except ValueError as error:
        raise ValueError(f"invalid line {lines[0]!r}") from error
    if found.first % LENGTH or found.first < LENGTH:
        raise ValueError(
            f"user assigned ID {found.first} is not a multiple of {LENGTH}, or is the machine's own"
        )
    if found.length % LENGTH:
        raise ValueError(f"user assigned IDs length {found.length} is not a multiple of {LENGTH}")
    return found


def _asked(*arguments: str) -> str:
    command = [_PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise ValueError(f'error retrieving additional ids for user "{USER}": {done.stderr.strip()}')
    return done.stdout
