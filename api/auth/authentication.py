"""Who is asking: every way to find out, asked in turn.

A certificate counts before a token. Of a token its own service accounts and the bootstrap tokens are asked
first, then the token file, the issuers of the configuration, and the webhook; the first that knows it wins.
Source: docs, "Authenticating"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from podium.api.auth import tokenfile
from podium.api.auth.configuration import ConfigError, Watched
from podium.api.auth.issuers import Anonymous, Configuration, Issuers, read
from podium.api.auth.tokens import Tokens
from podium.api.auth.users import ANONYMOUS, User
from podium.api.auth.webhooks.authentication import CACHE_SECONDS, TokenReviewer
from podium.api.auth.webhooks.remote import Remote, place_of
from podium.api.metrics.exposition import Family
from podium.api.types.errors import StatusError, unauthorized

if TYPE_CHECKING:
    import aiohttp

Session = Callable[[], "aiohttp.ClientSession"]
VERSIONS = ("v1", "v1beta1")


class Settings(NamedTuple):
    """Files, None for those that there are not. `webhook` is a kubeconfig; what it answers is kept for
    `webhook_seconds`. `anonymous` says whether requests without credentials are looked at, where the
    configuration says nothing of it."""

    token_file: Path | None = None
    configuration: Path | None = None
    webhook: Path | None = None
    webhook_version: str = "v1"
    webhook_seconds: float = CACHE_SECONDS
    anonymous: bool = True


class _Configured(NamedTuple):
    issuers: Issuers
    anonymous: Anonymous | None


class Authentication:
    """`session` gives the HTTP client that others are asked with."""

    def __init__(
        self, settings: Settings, tokens: Tokens, session: Session, clock: Callable[[], datetime]
    ) -> None:
        """Raises ConfigError."""
        self.tokens = tokens
        # Of certificates, tokens, and of who comes without: whoever looks at a request notes it.
        self.attempts = {"success": 0, "failure": 0}
        self._session = session
        self._clock = clock
        self._anonymous = Anonymous(settings.anonymous)
        self._static: Mapping[str, User] = {}
        if settings.token_file is not None:
            self._static = _read(settings.token_file, tokenfile.read)
        self._configured: Watched[_Configured] | None = None
        if settings.configuration is not None:
            self._configured = _watched(settings.configuration, self._configure)
        self._reviewer: TokenReviewer | None = None
        if settings.webhook is not None:
            if settings.webhook_version not in VERSIONS:
                raise ConfigError(f"{settings.webhook_version!r} is no version of TokenReview")
            remote = Remote(place_of(settings.webhook), session)
            self._reviewer = TokenReviewer(
                remote, tokens.audiences, settings.webhook_version, settings.webhook_seconds
            )
        self._extended = bool(self._static or self._configured or self._reviewer)

    def _configure(self, text: str) -> _Configured:
        found: Configuration = read(text, self.tokens.issuers)
        return _Configured(Issuers(found.issuers, self._session, self._clock), found.anonymous)

    async def header(self, value: bytes) -> User:
        """The user of an `Authorization` header. Raises 401 for anything but a good bearer token."""
        scheme, _, token = value.decode("latin-1").partition(" ")
        token = token.strip()
        try:
            if scheme.lower() != "bearer" or not token:
                raise unauthorized()
            return (await self.check(token))[0]
        except StatusError:
            self.attempts["failure"] += 1
            raise

    async def check(self, token: str, audiences: Sequence[str] = ()) -> tuple[User, list[str]]:
        """The user that `token` stands for, and those of `audiences` (by default the server's) that it is
        meant for. Raises 401."""
        try:
            return self.tokens.check(token, audiences)
        except StatusError:
            if not self._extended:
                raise
        own = self.tokens.audiences
        meant = [one for one in (audiences or own) if one in own]
        if meant:
            user = self._static.get(token)
            if user is None and self._configured is not None:
                user = await self._configured.current().issuers.check(token)
            if user is not None:
                return user, meant
        known = await self._reviewer.check(token, audiences) if self._reviewer is not None else None
        if known is None:
            raise unauthorized()
        return known.user, known.audiences

    def families(self) -> Iterator[Family]:
        yield Family(
            "authentication_attempts", "counter", "Requests whose users were known and not.", ("result",),
            [((result,), count) for result, count in self.attempts.items()],
        )  # fmt: skip

    def nobody(self, path: str) -> User:
        """Who asks without credentials. Raises 401 where nobody may."""
        configured = self._configured.current().anonymous if self._configured is not None else None
        if not (configured or self._anonymous).admits(path):
            self.attempts["failure"] += 1
            raise unauthorized()
        return ANONYMOUS


def _read(path: Path, make: Callable[[str], Mapping[str, User]]) -> Mapping[str, User]:
    try:
        return make(path.read_text())
    except (OSError, UnicodeError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _watched(path: Path, make: Callable[[str], _Configured]) -> Watched[_Configured]:
    try:
        return Watched(path, make)
    except (OSError, UnicodeError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from None
