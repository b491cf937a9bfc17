"""Is the server alive, is it ready: named checks behind /healthz, /livez and /readyz.

The answers are upstream's to the letter, since scripts read them: `ok`, or a line per check with `?verbose`
and whenever one fails; `?exclude=NAME` leaves one out. Source: Kubernetes API health endpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

log = logging.getLogger(__name__)

ENDPOINTS = ("healthz", "livez", "readyz")


class Check(NamedTuple):
    """`fault` says what is wrong, "" when nothing is. It is asked often, and must not wait. `at` are the
    endpoints that ask it."""

    name: str
    fault: Callable[[], str]
    at: Sequence[str] = ENDPOINTS


class Report(NamedTuple):
    code: int
    text: str


class Health:
    """The checks of one server, in the order in which they are told."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks

    def names(self, endpoint: str) -> list[str]:
        return [check.name for check in self._checks if endpoint in check.at]

    def report(self, endpoint: str, excluded: Sequence[str] = (), *, verbose: bool = False) -> Report:
        """What is wrong stays in the log: the endpoints are open to everybody."""
        lines, failed = [], []
        for check in self._checks:
            if endpoint not in check.at:
                continue
            if check.name in excluded:
                lines.append(f"[+]{check.name} excluded: ok")
            elif fault := check.fault():
                log.info("%s: check %s failed: %s", endpoint, check.name, fault)
                lines.append(f"[-]{check.name} failed: reason withheld")
                failed.append(check.name)
            else:
                lines.append(f"[+]{check.name} ok")
        if unknown := sorted(set(excluded) - set(self.names(endpoint))):
            quoted = ",".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
        if failed:
            return Report(500, "\n".join([*lines, f"{endpoint} check failed\n"]))
        if verbose:
            return Report(200, "\n".join([*lines, f"{endpoint} check passed\n"]))
        return Report(200, "ok")

    def single(self, endpoint: str, name: str) -> Report | None:
        """One check; None when there is none of that name."""
        for check in self._checks:
            if check.name == name and endpoint in check.at:
                fault = check.fault()
                return Report(500, f"internal server error: {fault}\n") if fault else Report(200, "ok")
        return None
