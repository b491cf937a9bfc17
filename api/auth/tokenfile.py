"""The static token file: lines of CSV, `token,user,uid,"group1,group2"`.

Source: docs, "Authenticating", static token file."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping

from podium.api.auth.configuration import ConfigError
from podium.api.auth.users import User, authenticated

log = logging.getLogger(__name__)
COLUMNS = 3


def read(text: str) -> Mapping[str, User]:
    """Users by their tokens. Raises ConfigError."""
    users: dict[str, User] = {}
    for number, record in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), 1):
        if not record:
            continue
        if len(record) < COLUMNS:
            wanted = f"at least {COLUMNS} columns (token, user name, user uid)"
            raise ConfigError(f"line {number}: must have {wanted}, found {len(record)}")
        token, name, uid = record[:COLUMNS]
        if not token:
            log.warning("line %d of the token file has no token and is left out", number)
            continue
        if token in users:
            log.warning("line %d of the token file has the token of an earlier one", number)
        listed = record[COLUMNS].split(",") if len(record) > COLUMNS and record[COLUMNS] else []
        users[token] = authenticated(User(name, tuple(group.strip() for group in listed), uid))
    return users
