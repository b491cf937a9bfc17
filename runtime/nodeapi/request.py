"""What a request asks for, read from its path and query. Pure but for looking the pod up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web

from podium.api.types import Obj
from podium.runtime.interfaces import NodePods, PodView

_KINDS = ("containers", "initContainers", "ephemeralContainers")


class Streams(NamedTuple):
    """Which streams a client of exec or attach wants. With `tty` all output is stdout."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def streams(query: Mapping[str, str]) -> Streams:
    """The kubelet's names (`input`), or the API's (`stdin`). Raises HTTPBadRequest when no stream is
    wanted."""
    stdin = _either(query, "input", "stdin")
    stdout = _either(query, "output", "stdout")
    tty = _either(query, "tty", "tty")
    stderr = _either(query, "error", "stderr") and not tty
    if not (stdin or stdout or stderr):
        raise web.HTTPBadRequest(text="you must specify at least 1 of stdin, stdout, stderr")
    return Streams(stdin, stdout, stderr, tty)


def _either(query: Mapping[str, str], *names: str) -> bool:
    return any(query.get(name) in ("1", "true") for name in names)


def find_pod(pods: NodePods, request: web.Request) -> PodView:
    """The pod that the path names. Raises HTTPNotFound."""
    path = request.match_info
    view = pods.view(path["namespace"], path["pod"], path.get("uid", ""))
    if view is None:
        raise web.HTTPNotFound(text="pod does not exist")
    return view


def container_spec(pod: Obj, name: str) -> Obj | None:
    """A container of the pod, of whatever kind."""
    spec = pod["spec"]
    return next((one for kind in _KINDS for one in spec.get(kind) or () if one["name"] == name), None)


def container_status(pod: Obj, name: str) -> Obj | None:
    status = pod.get("status") or {}
    kinds = (f"{kind.removesuffix('s')}Statuses" for kind in _KINDS)
    return next((one for kind in kinds for one in status.get(kind) or () if one["name"] == name), None)
