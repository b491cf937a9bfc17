"""A machine joins: the real API server, its authenticator, and the controllers that approve, sign and
forget."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from podium.api.server import ApiServer, ServerConfig
from podium.api.types.errors import StatusError
from podium.api.types.meta import timestamp
from podium.api.types.resources import CERTIFICATE_SIGNING_REQUESTS, CONFIG_MAPS, NODES, SECRETS
from podium.cli import clusterinfo, join, jointokens, renewal
from podium.cli.cluster import Cluster
from podium.client.https import HttpsClient
from podium.client.kubeconfig import Connection
from podium.control.manager import ControllerManager, ManagerConfig
from podium.runtime.cgroups import Cgroups
from podium.runtime.containerd import Containerd
from podium.runtime.interfaces import PodView
from podium.runtime.logs import Outputs
from podium.runtime.node import identity, keys
from podium.runtime.nodeapi import Node, NodeApiConfig, NodeServer
from tests.unit import signing
from tests.unit.frozen import FrozenClient


@dataclass
class World:
    server: ApiServer
    url: str
    now: list[datetime]

    @property
    def ca(self) -> bytes:
        return self.server.ca_file.read_bytes()

    def client(self, token: str = "", pair: identity.Wanted | None = None) -> HttpsClient:
        cert, key = (pair.cert.read_bytes(), pair.key.read_bytes()) if pair else (b"", b"")
        return HttpsClient(
            Connection(server=self.url, ca=self.ca, token=token, client_cert=cert, client_key=key)
        )

    async def token(self, ttl: timedelta | None = timedelta(hours=1)) -> jointokens.JoinToken:
        made = jointokens.new(self.ca)
        await self.server.client.create(SECRETS, jointokens.secret_of(made, ttl, self.now[0]))
        return made


@pytest.fixture
async def world() -> AsyncIterator[World]:
    now = [datetime.now(UTC)]
    server = ApiServer(ServerConfig(clock=lambda: now[0], authorization=("Node", "RBAC")))
    await server.start()
    host, port = await server.serve()
    config = ManagerConfig(root_ca=server.ca_file.read_text(), ca_key=server.authority.pair.key.read_text())
    manager = ControllerManager(FrozenClient(server.client), config)
    running = asyncio.ensure_future(manager.run())
    await asyncio.wait_for(manager.ready(), 20)
    try:
        yield World(server, f"https://{host}:{port}", now)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()


async def refusal(world: World, token: str) -> int:
    client = world.client(token)
    try:
        await client.list(CERTIFICATE_SIGNING_REQUESTS)
    except StatusError as error:
        return error.code
    finally:
        await client.close()
    return 200


async def test_a_machine_gets_both_certificates(world: World, tmp_path: Path) -> None:
    made = await world.token()
    client = world.client(made.bearer)
    wanted = identity.client_certificate(tmp_path, "a")
    async with asyncio.timeout(20):
        await identity.obtain(client, wanted)
    await client.close()
    assert identity.good(wanted)
    cert = x509.load_pem_x509_certificate(wanted.cert.read_bytes())
    assert cert.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"

    node = world.client(pair=wanted)
    serving = identity.serving_certificate(tmp_path, "a", ["10.89.0.9"])
    asking = asyncio.ensure_future(identity.obtain(node, serving))
    # Nobody has an address before its Node says so.
    await _until_asked(world, "kubernetes.io/kubelet-serving")
    assert not asking.done()
    await node.create(NODES, {"metadata": {"name": "a"}})
    addresses = [{"type": "InternalIP", "address": "10.89.0.9"}]
    await node.patch(NODES, "a", {"status": {"addresses": addresses}}, subresource="status")
    await asyncio.wait_for(asking, 20)
    await node.close()
    assert identity.good(serving)
    assert not identity.good(identity.serving_certificate(tmp_path, "a", ["10.89.0.10"]))


async def _until_asked(world: World, signer: str) -> None:
    client, fields = world.server.client, f"spec.signerName={signer}"
    found = await client.list(CERTIFICATE_SIGNING_REQUESTS, fields=fields)
    if not found.items:
        async with asyncio.timeout(20):
            async for event in client.watch(
                CERTIFICATE_SIGNING_REQUESTS, resource_version=found.resource_version, fields=fields
            ):
                if event.type == "ADDED":
                    return


async def test_a_daemon_that_was_killed_while_it_waited_gets_what_it_asked_for(
    world: World, tmp_path: Path
) -> None:
    made = await world.token()
    wanted = identity.client_certificate(tmp_path, "a")
    for _ in range(2):
        client = world.client(made.bearer)
        task = asyncio.ensure_future(identity.obtain(client, wanted))
        await _until_asked(world, identity.CLIENT_SIGNER)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()
    client = world.client(made.bearer)
    async with asyncio.timeout(20):
        if not wanted.cert.exists():
            await identity.obtain(client, wanted)
    await client.close()
    assert identity.good(wanted)
    assert len((await world.server.client.list(CERTIFICATE_SIGNING_REQUESTS)).items) == 1


async def test_a_token_lets_in_for_that_alone_and_only_while_it_is_good(world: World) -> None:
    made = await world.token()
    assert await refusal(world, made.bearer) == 200
    assert await refusal(world, f"{made.ident}.{'x' * 16}") == 401
    assert await refusal(world, f"zzzzzz.{made.secret}") == 401
    client = world.client(made.bearer)
    with pytest.raises(StatusError) as caught:
        await client.list(SECRETS, "kube-system")
    assert caught.value.code == 403
    await client.close()
    world.now[0] += timedelta(hours=1)
    assert await refusal(world, made.bearer) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Opaque"},
        {"stringData": {"usage-bootstrap-authentication": "false"}},
        {"stringData": {"auth-extra-groups": "system:masters"}},
        {"stringData": {"token-id": "zzzzzz"}},
    ],
)
async def test_a_secret_that_is_not_as_it_should_be_makes_no_token(
    world: World, change: dict[str, object]
) -> None:
    made = jointokens.new(world.ca)
    secret = jointokens.secret_of(made, None)
    await world.server.client.create(SECRETS, {**secret, **change})
    assert await refusal(world, made.bearer) == 401


async def test_an_expired_token_is_removed(world: World) -> None:
    made = await world.token(timedelta(seconds=-1))
    name = f"bootstrap-token-{made.ident}"
    client = world.server.client
    async with asyncio.timeout(20):
        found = await client.list(SECRETS, "kube-system", fields=f"metadata.name={name}")
        if found.items:
            async for event in client.watch(SECRETS, "kube-system", resource_version=found.resource_version):
                if event.type == "DELETED" and event.object["metadata"]["name"] == name:
                    break


async def test_who_has_a_token_cannot_become_an_administrator(world: World) -> None:
    made = await world.token()
    client = world.client(made.bearer)
    wanted = [
        signing.request(
            "masters",
            signing.pem("admin", ["system:masters"]),
            "kubernetes.io/kube-apiserver-client",
            signing.CLIENT_USAGES,
        ),
        signing.request(
            "masters-node",
            signing.pem("system:node:a", ["system:masters"]),
            identity.CLIENT_SIGNER,
            signing.CLIENT_USAGES,
        ),
    ]
    with pytest.raises(StatusError, match="signer with system:masters group is not allowed"):
        await client.create(CERTIFICATE_SIGNING_REQUESTS, wanted.pop(0))
    await client.create(CERTIFICATE_SIGNING_REQUESTS, wanted[0])
    # The approver takes requests in their order: once this one has its answer, it has looked at those before.
    mark = signing.request(
        "mark", signing.pem("system:node:a", ["system:nodes"]), identity.CLIENT_SIGNER, signing.CLIENT_USAGES
    )
    await client.create(CERTIFICATE_SIGNING_REQUESTS, mark)
    async with asyncio.timeout(20):
        seen = await client.list(CERTIFICATE_SIGNING_REQUESTS, fields="metadata.name=mark")
        if not (seen.items[0].get("status") or {}).get("certificate"):
            async for event in client.watch(
                CERTIFICATE_SIGNING_REQUESTS,
                resource_version=seen.resource_version,
                fields="metadata.name=mark",
            ):
                if (event.object.get("status") or {}).get("certificate"):
                    break
    for each in wanted:
        found = await client.get(CERTIFICATE_SIGNING_REQUESTS, each["metadata"]["name"])
        assert not (found.get("status") or {}).get("conditions")
    approved = {**found, "status": {"conditions": [{"type": "Approved", "status": "True"}]}}
    with pytest.raises(StatusError) as caught:
        await client.update(CERTIFICATE_SIGNING_REQUESTS, approved, subresource="approval")
    assert caught.value.code == 403
    await client.close()


async def test_a_denied_machine_is_told_so(world: World, tmp_path: Path) -> None:
    """One whose right is missing waits for an administrator."""
    wanted = identity.Wanted(
        tmp_path, "x", "a", "kubernetes.io/kube-apiserver-client-kubelet", "client auth", ("a",)
    )
    made = await world.token()
    client = world.client(made.bearer)
    asking = asyncio.ensure_future(identity.obtain(client, wanted))
    await _until_asked(world, identity.CLIENT_SIGNER)
    admin = world.server.client
    (found,) = (await admin.list(CERTIFICATE_SIGNING_REQUESTS)).items
    now = timestamp(world.now[0])
    denied = {
        "type": "Denied",
        "status": "True",
        "reason": "KubectlDeny",
        "message": "Not this one.",
        "lastUpdateTime": now,
    }
    await admin.update(
        CERTIFICATE_SIGNING_REQUESTS, {**found, "status": {"conditions": [denied]}}, subresource="approval"
    )
    with pytest.raises(identity.Refused, match="Not this one"):
        await asyncio.wait_for(asking, 20)
    await client.close()


async def test_everybody_may_read_what_the_cluster_is_and_nothing_else(world: World) -> None:
    await clusterinfo.publish(world.server.client, Cluster(), world.ca.decode())
    await clusterinfo.publish(world.server.client, Cluster(), world.ca.decode())
    nobody = HttpsClient(Connection(server=world.url, insecure=True))
    found = await nobody.get(CONFIG_MAPS, "cluster-info", "kube-public")
    assert clusterinfo.certificate(found) == world.ca
    assert clusterinfo.settings(found)["cluster_cidr"] == "10.42.0.0/16"
    with pytest.raises(StatusError) as caught:
        await nobody.get(CONFIG_MAPS, "kube-root-ca.crt", "kube-public")
    assert caught.value.code == 403
    with pytest.raises(StatusError) as caught:
        await nobody.delete(CONFIG_MAPS, "cluster-info", "kube-public")
    assert caught.value.code == 403
    await nobody.close()


async def test_a_node_renews_its_own_certificate_and_goes_on_with_it(world: World, tmp_path: Path) -> None:
    made = await world.token()
    wanted = identity.client_certificate(tmp_path, "a")
    stranger = world.client(made.bearer)
    async with asyncio.timeout(20):
        await identity.obtain(stranger, wanted)
    await stranger.close()
    first = wanted.cert.read_bytes()
    later = identity.renewed_at(wanted)
    assert not identity.good(wanted, later)
    assert identity.usable(wanted, later)
    node = world.client(pair=wanted)
    async with asyncio.timeout(20):
        await identity.obtain(node, wanted)
    assert wanted.cert.read_bytes() != first
    await node.renew(world.client(pair=wanted).connection)
    assert (await node.list(NODES)).items == []
    await node.close()
    messages = {
        entry["spec"]["username"]: entry["status"]["conditions"][0]["message"]
        for entry in (await world.server.client.list(CERTIFICATE_SIGNING_REQUESTS)).items
    }
    assert messages["system:node:a"].startswith("Auto approving self kubelet client certificate")


async def test_a_node_replaces_its_certificates_before_they_end_and_goes_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(data_dir=str(tmp_path), node_name="a", node_address="127.0.0.1")
    own = identity.client_certificate(cluster.pki, "a")
    joining = world.client((await world.token()).bearer)
    async with asyncio.timeout(20):
        await identity.obtain(joining, own)
    await joining.close()
    (cluster.pki / "ca.crt").write_bytes(world.ca)
    join.write_kubeconfig(cluster, world.url, world.ca, own)
    node = HttpsClient.from_kubeconfig(cluster.node_kubeconfig)
    await node.create(NODES, {"metadata": {"name": "a"}})
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    await node.patch(NODES, "a", {"status": {"addresses": addresses}}, subresource="status")
    serving = identity.serving_certificate(cluster.pki, "a", ["127.0.0.1"])
    async with asyncio.timeout(20):
        await identity.obtain(node, serving)
    config = NodeApiConfig(
        "a", "127.0.0.1", str(serving.cert), str(serving.key), str(cluster.pki / "ca.crt"),
        port=0, run_dir=str(tmp_path / "exec"),
    )  # fmt: skip
    containerd = Containerd(str(tmp_path / "none.sock"))
    renewed = asyncio.Event()

    class Api(NodeServer):
        def renew(self) -> None:
            super().renew()
            renewed.set()

    api = Api(Node(config, PodsOf(), Outputs(), containerd, Cgroups("none")))
    await api.start()

    async def shown() -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", api.port))

    before = own.cert.read_text(), await shown()
    # From now on each is past its time.
    monkeypatch.setattr(keys, "RENEWED_AFTER", -1.0)
    keeping = asyncio.create_task(renewal.keep(cluster, node, api))
    async with asyncio.timeout(20):
        await renewed.wait()
    monkeypatch.undo()
    assert before[0] != own.cert.read_text()
    assert before[1] != await shown()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert identity.good(own)
    assert identity.good(serving)
    assert (await node.get(NODES, "a"))["metadata"]["name"] == "a"
    await node.close()
    await api.stop()
    await containerd.close()


class PodsOf:
    """A node without pods."""

    def view(self, namespace: str, name: str, uid: str = "") -> None:
        return None

    def views(self) -> list[PodView]:
        return []
