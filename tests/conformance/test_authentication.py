"""Who somebody is, as stock kubectl is told: token files, issuers and webhooks of the tests' own, tokens of
what is gone, and certificates that nobody here has signed. No pod runs, so a server is all it takes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podium.api import pki
from podium.api.auth.authentication import Settings
from podium.api.auth.webhooks.configuration import Asked
from podium.api.server import ApiServer, ServerConfig
from podium.api.types import Obj
from tests.unit.api.auth.others import OtherServer, other_server

DAY = timedelta(days=1)
UNAUTHORIZED = "You must be logged in to the server"


class World:
    """A server that knows users in every way, and kubectl as each of them."""

    def __init__(self, folder: Path, server: ApiServer, port: int, other: OtherServer) -> None:
        self.folder = folder
        self.server = server
        self.other = other
        self.port = port

    def kubeconfig(self, **user: Any) -> str:
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self.server.ca_file),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return str(path)

    async def kubectl(self, user: Obj, *arguments: str) -> tuple[int, str]:
        """The exit code, and what was said."""
        process = await asyncio.create_subprocess_exec(
            "kubectl", "--kubeconfig", self.kubeconfig(**user), "--cache-dir", str(self.folder / "cache"),
            *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        return process.returncode or 0, out.decode().strip()

    async def admin(self, *arguments: str) -> str:
        pair = self.server.admin()
        user = {"client-certificate": str(pair.cert), "client-key": str(pair.key)}
        code, said = await self.kubectl(user, *arguments)
        assert code == 0, said
        return said

    async def whoami(self, **user: Any) -> str:
        return (await self.kubectl(user, "auth", "whoami", "-o", "jsonpath={.status.userInfo}"))[1]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with other_server(tmp_path) as other:
        (tmp_path / "tokens.csv").write_text('static-token,jane,7,"devs"\n')
        claims = {
            "username": {"expression": "'oidc:' + claims.sub"},
            "groups": {"expression": "claims.?roles.orValue([])"},
        }
        kind = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
        anonymous = {"enabled": True, "conditions": [{"path": "/readyz"}]}
        issuers = [{"issuer": other.issuer(), "claimMappings": claims}]
        (tmp_path / "auth.yaml").write_text(yaml.safe_dump({**kind, "jwt": issuers, "anonymous": anonymous}))
        kubeconfig = other.kubeconfig(tmp_path)
        settings = Settings(
            token_file=tmp_path / "tokens.csv", configuration=tmp_path / "auth.yaml", webhook=kubeconfig
        )
        modes: tuple[str | Asked, ...] = ("Node", "RBAC", Asked(kubeconfig))
        server = ApiServer(ServerConfig(authorization=modes, authentication=settings))
        await server.start()
        _, port = await server.serve()
        try:
            yield World(tmp_path, server, port, other)
        finally:
            await server.close()


async def test_a_user_of_the_token_file_is_asked_for_by_his_token(world: World) -> None:
    code, said = await world.kubectl({"token": "static-token"}, "auth", "whoami")
    assert code == 0
    for text in ("jane", "7", "[devs system:authenticated]"):
        assert text in said
    code, said = await world.kubectl({"token": "static-token"}, "get", "pods")
    assert (code, 'User "jane" cannot list resource "pods"' in said) == (1, True)
    await world.admin("create", "rolebinding", "devs", "--clusterrole=view", "--group=devs")
    code, said = await world.kubectl({"token": "static-token"}, "get", "pods")
    assert (code, said) == (0, "No resources found in default namespace.")


async def test_a_token_of_an_issuer_is_good_until_it_ends_and_from_nobody_else(world: World) -> None:
    good = world.other.token(sub="ann", roles=["ops"])
    assert '"username":"oidc:ann"' in await world.whoami(token=good)
    assert '"groups":["ops","system:authenticated"]' in await world.whoami(token=good)
    for token in (
        world.other.token(sub="ann", exp=1),
        world.other.token(sub="ann", aud="others"),
        good[: good.rindex(".")] + ".forged",
    ):
        code, said = await world.kubectl({"token": token}, "get", "pods")
        assert (code, UNAUTHORIZED in said) == (1, True), said


async def test_other_servers_say_who_somebody_is_and_what_he_may(world: World) -> None:
    def answer(spec: Obj) -> Obj:
        if "token" in spec:
            return {"authenticated": spec["token"] == "far", "user": {"username": "fay"}}
        attributes = spec.get("resourceAttributes") or {}
        return {"allowed": spec["user"] == "fay" and attributes.get("resource") == "configmaps"}

    world.other.answer = answer
    assert (await world.kubectl({"token": "far"}, "get", "configmaps"))[0] == 0
    code, said = await world.kubectl({"token": "far"}, "get", "secrets")
    assert (code, 'User "fay" cannot list resource "secrets"' in said) == (1, True)
    assert UNAUTHORIZED in (await world.kubectl({"token": "near"}, "get", "configmaps"))[1]
    asked = [review["kind"] for review in world.other.asked]
    assert asked.count("TokenReview") == 2


async def test_a_token_of_an_account_or_a_secret_that_is_gone_is_refused(world: World) -> None:
    await world.admin("create", "serviceaccount", "robot")
    await world.admin("create", "secret", "generic", "anchor")
    bound = await world.admin(
        "create", "token", "robot", "--bound-object-kind=Secret", "--bound-object-name=anchor"
    )
    loose = await world.admin("create", "token", "robot")
    for token in (bound, loose):
        assert "system:serviceaccount:default:robot" in await world.whoami(token=token)
    await world.admin("delete", "secret", "anchor")
    assert UNAUTHORIZED in (await world.kubectl({"token": bound}, "get", "pods"))[1]
    assert "system:serviceaccount:default:robot" in await world.whoami(token=loose)
    await world.admin("delete", "serviceaccount", "robot")
    assert UNAUTHORIZED in (await world.kubectl({"token": loose}, "get", "pods"))[1]
    await world.admin("create", "serviceaccount", "robot")
    assert UNAUTHORIZED in (await world.kubectl({"token": loose}, "get", "pods"))[1]


async def test_a_certificate_is_good_until_it_expires(world: World) -> None:
    own, now = world.server.authority, datetime.now(UTC)
    code, said = await world.kubectl(certified(world.folder, own, now + DAY), "get", "pods")
    assert (code, said) == (0, "No resources found in default namespace.")
    for until in (now - DAY, now + 20 * DAY):
        code, said = await world.kubectl(certified(world.folder, own, until), "get", "pods")
        assert (code, UNAUTHORIZED in said) == (1, True), said


async def test_a_certificate_of_another_authority_is_refused_at_once_and_harms_nobody(world: World) -> None:
    own = world.server.authority
    named = own.cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    foreign = pki.ensure_ca(world.folder / "foreign", common_name=str(named))
    user = certified(world.folder, foreign, datetime.now(UTC) + DAY)
    context = ssl.create_default_context(cafile=world.server.ca_file)
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=context)
    writer.write(b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n")
    with pytest.raises(ssl.SSLError, match="alert"):
        await reader.readexactly(1)
    writer.close()
    # A client that is told nothing takes it for a fault of the network, and tries again for a minute.
    code, said = await world.kubectl(user, "get", "pods")
    assert (code, "remote error: tls:" in said) == (1, True), said
    assert await world.admin("get", "pods") == "No resources found in default namespace."


def certified(folder: Path, authority: pki.Authority, until: datetime) -> Obj:
    """Of an administrator, until then."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = ((NameOID.ORGANIZATION_NAME, "system:masters"), (NameOID.COMMON_NAME, "admin"))
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.cert.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 10 * DAY)
        .not_valid_after(until)
        .sign(authority.key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "user.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "user.key").write_bytes(private)
    return {"client-certificate": str(folder / "user.crt"), "client-key": str(folder / "user.key")}
