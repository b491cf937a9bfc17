"""An embedded server on the loop that it is opened on."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from podium.api import pki
from podium.api.embedding.access import Access
from podium.api.embedding.namespaces import create_namespace, remove_namespace
from podium.api.embedding.options import Options
from podium.api.local import LocalClient
from podium.api.server import ApiServer

ADMIN = "kubernetes-admin"
MASTERS = "system:masters"


class AsyncEmbeddedServer:
    """`async with AsyncEmbeddedServer() as server:`; listens and answers inside of the block. May be opened
    once. Options by name are `Options`'s."""

    def __init__(self, options: Options | None = None, **more: Any) -> None:
        self.options = options or Options(**more)
        self._server: ApiServer | None = None
        self._url = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="podium-embedded-")
        self._server = server = ApiServer(self.options.config())
        try:
            await server.start()
            host, port = await server.serve(self.options.host, self.options.port)
        except BaseException:
            await self._close()
            raise
        self._url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._tasks = [asyncio.ensure_future(task(server)) for task in self.options.tasks]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.close()
        if self._folder is not None:
            self._folder.cleanup()
        # What ran beside the server and failed is not lost.
        failed = [each for each in results if isinstance(each, Exception)]
        if failed:
            raise failed[0]

    @property
    def server(self) -> ApiServer:
        """Raises RuntimeError before the server is opened."""
        if self._server is None:
            raise RuntimeError("the server has not been started")
        return self._server

    @property
    def url(self) -> str:
        return self._url

    @property
    def client(self) -> LocalClient:
        """Requests without a connection, in this process and on this loop: may do everything."""
        return self.server.client

    @property
    def admin(self) -> Access:
        """Who may do everything."""
        return self.user(ADMIN, MASTERS)

    def user(self, name: str, *groups: str) -> Access:
        """Anybody, by a certificate: user `name` in `groups`."""
        server = self.server
        digest = hashlib.sha256("\n".join((name, *groups)).encode()).hexdigest()[:16]
        pair = pki.issue(
            server.authority, server.pki_dir, f"user-{digest}", common_name=name, organizations=groups
        )
        return Access(self._url, name, server.ca_file, pair)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, in a file that goes with the server."""
        if self._folder is None:
            raise RuntimeError("the server has not been started")
        path = Path(self._folder.name) / "kubeconfig"
        return path if path.exists() else self.admin.write_kubeconfig(path)

    async def create_namespace(self, prefix: str = "test-") -> str:
        """A new namespace with a name that no other one has had."""
        return await create_namespace(self.client, prefix)

    async def remove_namespace(self, name: str) -> None:
        """The namespace and all that is in it, at once: finalizers are not waited for, since whoever would
        take them off may be gone."""
        await remove_namespace(self.server, name)
