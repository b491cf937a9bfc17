"""/healthz: whether the daemon still does what it is for."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from podium.runtime.nodeapi.interfaces import Check


class Health:
    """`checks` by name; ping is always there."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks: dict[str, Check] = {"ping": _alive, **checks}

    async def all(self, request: web.Request) -> web.Response:
        """`ok`, or 500 with a line per check. A plus tells that a check passed."""
        found = {name: check() for name, check in self._checks.items()}
        failed = [name for name, why in found.items() if why]
        lines = [
            f"[-]{name} failed: reason withheld" if why else f"[+]{name} ok" for name, why in found.items()
        ]
        if failed:
            said = "\n".join((*lines, "healthz check failed", ""))
            raise web.HTTPInternalServerError(text=said)
        if "verbose" in request.query:
            return web.Response(text="\n".join((*lines, "healthz check passed", "")))
        return web.Response(text="ok")

    async def one(self, request: web.Request) -> web.Response:
        check = self._checks.get(request.match_info["check"])
        if check is None:
            raise web.HTTPNotFound
        if why := check():
            raise web.HTTPInternalServerError(text=f"internal server error: {why}\n")
        return web.Response(text="ok")


def _alive() -> str:
    return ""
