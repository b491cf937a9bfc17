"""What an API server asks about users: an OpenID issuer that signs tokens, and a webhook for reviews."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import yaml
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from podium.api import pki
from podium.api.types import Obj

AUDIENCE = "tests"
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class OtherServer:
    """`answer` makes the status of a review's spec; None is a broken answer. `asked` are the reviews that
    came, `fetched` the paths that were read."""

    def __init__(self, authority: str) -> None:
        self.authority = authority
        self.url = ""
        self.asked: list[Obj] = []
        self.fetched: list[str] = []
        # What is told to whoever comes for claims, and with what.
        self.claims = ""
        self.access: list[str] = []
        self.answer: Callable[[Obj], Obj | None] = lambda spec: {}
        self.keys: dict[str, Any] = {"one": rsa.generate_private_key(public_exponent=65537, key_size=2048)}

    def token(self, kid: str = "one", **claims: Any) -> str:
        """A token that is good for a minute, of whom the claims say."""
        now = int(time.time())
        whole = {"iss": self.url, "aud": AUDIENCE, "exp": now + 60, "iat": now, **claims}
        key = self.keys[kid]
        algorithm = CURVES[key.curve.name] if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        return jwt.encode(whole, key, algorithm=algorithm, headers={"kid": kid})

    def issuer(self, **more: Any) -> Obj:
        return {
            "url": self.url,
            "audiences": [AUDIENCE],
            "certificateAuthority": self.authority,
            **more,
        }

    def kubeconfig(self, directory: Path) -> Path:
        (directory / "other-ca.crt").write_text(self.authority)
        cluster = {"server": f"{self.url}/review", "certificate-authority": "other-ca.crt"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = directory / "other.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    async def discovery(self, request: web.Request) -> web.Response:
        self.fetched.append(request.path)
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def key_set(self, request: web.Request) -> web.Response:
        self.fetched.append(request.path)
        return web.json_response({"keys": [_public(kid, key) for kid, key in self.keys.items()]})

    async def claim(self, request: web.Request) -> web.Response:
        self.access.append(request.headers.get("Authorization", ""))
        return web.Response(text=self.claims, status=200 if self.claims else 404)

    async def review(self, request: web.Request) -> web.Response:
        review = await request.json()
        assert request.headers["Authorization"] == "Bearer secret"
        self.asked.append(review)
        status = self.answer(review["spec"])
        if status is None:
            return web.Response(status=400)
        return web.json_response({**review, "status": status})


def _public(kid: str, key: Any) -> Obj:
    algorithm = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
    found: Obj = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**found, "kid": kid, "use": "sig"}


@asynccontextmanager
async def other_server(directory: Path) -> AsyncIterator[OtherServer]:
    authority = pki.ensure_ca(directory / "other")
    pair = pki.issue_server(authority, directory / "other", "server", ["127.0.0.1"])
    found = OtherServer(authority.pair.cert.read_text())
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", found.discovery)
    app.router.add_get("/keys", found.key_set)
    app.router.add_get("/claims", found.claim)
    app.router.add_post("/review", found.review)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    sockets: Any = runner.addresses
    found.url = f"https://127.0.0.1:{sockets[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
