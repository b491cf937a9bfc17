"""What an embedded server is made of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium.api.auth.authorizer import ALWAYS_ALLOW
from podium.api.server import ApiServer, ServerConfig

# Made with the running server; runs until it is cancelled.
Task = Callable[[ApiServer], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """`authorization` are the modes that are asked, so that `["RBAC"]` holds users to their roles.
    `service_accounts` has pods refused in namespaces without a ServiceAccount, as a cluster does; somebody
    has to make those then. Servers with the same `pki_dir` have the same CA and are ready a little sooner.
    `port` 0 is any."""

    host: str = "127.0.0.1"
    port: int = 0
    authorization: Sequence[str] = (ALWAYS_ALLOW,)
    service_accounts: bool = False
    pki_dir: Path | None = None
    tasks: Sequence[Task] = ()

    def config(self) -> ServerConfig:
        without = () if self.service_accounts else ("ServiceAccount",)
        return ServerConfig(
            pki_dir=self.pki_dir, authorization=self.authorization, disabled_admission=without
        )
