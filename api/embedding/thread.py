"""An embedded server with a thread and a loop of its own, for programs that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from podium.api.embedding.access import Access
from podium.api.embedding.options import Options
from podium.api.embedding.serving import AsyncEmbeddedServer
from podium.api.local import LocalClient
from podium.api.server import ApiServer

T = TypeVar("T")


class EmbeddedServer:
    """`with EmbeddedServer() as server:`, or `start` and `close`. All methods may be called from any thread
    but the server's own, and raise RuntimeError while it is not running."""

    def __init__(self, options: Options | None = None, **more: Any) -> None:
        self._inner = AsyncEmbeddedServer(options, **more)
        self._thread = threading.Thread(target=self._run, name="podium-api", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._opened: Future[None] = Future()
        self._closed: Future[None] = Future()

    def start(self) -> Self:
        """Returns once the server answers. Raises OSError for an address that is not to be had."""
        self._thread.start()
        self._opened.result()
        return self

    def close(self) -> None:
        """Idempotent. Raises what a task beside the server has failed with."""
        if self._loop is None or self._stop is None:
            return
        if not self._closed.done():
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                # It has just been closed by another thread.
                pass
        self._thread.join()
        self._closed.result()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            (self._closed if self._opened.done() else self._opened).set_exception(error)
        else:
            self._closed.set_result(None)

    async def _serve(self) -> None:
        async with self._inner:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._opened.set_result(None)
            await self._stop.wait()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it on the server's loop and waits for its result: `server.run(server.client.get(...))`."""
        if self._loop is None or self._closed.done():
            work.close()
            raise RuntimeError("the server is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def server(self) -> ApiServer:
        return self._inner.server

    @property
    def client(self) -> LocalClient:
        """Requests without a connection, for `run` and for `tasks`."""
        return self._inner.client

    @property
    def url(self) -> str:
        return self._inner.url

    @property
    def admin(self) -> Access:
        return self._inner.admin

    def user(self, name: str, *groups: str) -> Access:
        """Anybody, by a certificate: user `name` in `groups`."""
        return self._inner.user(name, *groups)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, in a file that goes with the server."""
        return self._inner.kubeconfig

    def create_namespace(self, prefix: str = "test-") -> str:
        return self.run(self._inner.create_namespace(prefix))

    def remove_namespace(self, name: str) -> None:
        """See AsyncEmbeddedServer."""
        self.run(self._inner.remove_namespace(name))
