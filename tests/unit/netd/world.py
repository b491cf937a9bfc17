"""A machine to test on: a network namespace that the whole test runs in, with an uplink to an outside that is
another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson

from podium.api.types import Obj
from podium.api.types.resources import ENDPOINT_SLICES, NODES, SERVICES, Resource
from podium.client.base import ObjList, WatchEvent
from podium.netd import daemon, namespaces
from podium.netd.config import NetConfig
from podium.netd.daemon import Netd

T = TypeVar("T")

UPLINK, OUTSIDE = "192.0.2.2", "192.0.2.1"
NODE = "node-1"
SECONDS = 10.0


@contextlib.contextmanager
def machine(pins: Path) -> Iterator[None]:
    """The calling thread, and every thread that it starts, in a network namespace of its own; namespaces
    pinned below `pins` go with it."""
    home = os.open(namespaces.OWN, os.O_RDONLY)
    try:
        namespaces._check(namespaces._libc.unshare(namespaces.CLONE_NEWNET), "unshare")
        run("ip link set lo up")
        yield
    finally:
        namespaces._check(namespaces._libc.setns(home, namespaces.CLONE_NEWNET), "return")
        os.close(home)
        for path in pins.rglob("*") if pins.exists() else ():
            if path.is_file() and namespaces.pinned(str(path)):
                namespaces.unpin(str(path))


def run(command: str, netns: str = "") -> str:
    prefix = ["nsenter", f"--net={netns}"] if netns else []
    done = subprocess.run([*prefix, *command.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def inside(netns: str, work: Callable[[], T]) -> T:
    """The result of `work` in the namespace pinned at `netns`."""
    result: list[T] = []

    async def enter() -> None:
        def enter_and_work() -> T:
            namespaces.enter(netns)
            return work()

        result.append(await namespaces.in_thread(enter_and_work))

    if not netns:
        return work()
    import threading

    thread = threading.Thread(target=lambda: asyncio.run(enter()))
    thread.start()
    thread.join()
    return result[0]


class MemoryClient:
    """The client contract's list and watch, over objects in memory. `put` and `remove` return when every
    watcher has handled the change."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str, str], Obj] = {}
        self._watchers: dict[str, list[asyncio.Queue[WatchEvent]]] = {}
        self._revision = 0

    async def put(self, resource: Resource, obj: Obj) -> None:
        meta = obj["metadata"]
        key = (resource.plural, meta.get("namespace", ""), meta["name"])
        self._revision += 1
        stored = {**obj, "metadata": {"uid": "/".join(key), **meta, "resourceVersion": str(self._revision)}}
        kind = "MODIFIED" if key in self._objects else "ADDED"
        self._objects[key] = stored
        await self._tell(resource, WatchEvent(kind, stored))

    async def remove(self, resource: Resource, name: str, namespace: str = "") -> None:
        gone = self._objects.pop((resource.plural, namespace, name))
        self._revision += 1
        await self._tell(resource, WatchEvent("DELETED", gone))

    async def _tell(self, resource: Resource, event: WatchEvent) -> None:
        queues = self._watchers.get(resource.plural, [])
        for queue in queues:
            queue.put_nowait(event)
        for queue in queues:
            await queue.join()

    async def list(self, resource: Resource, namespace: str = "", **_: Any) -> ObjList:
        found = [obj for key, obj in self._objects.items() if key[0] == resource.plural]
        return ObjList(found, str(self._revision))

    async def watch(self, resource: Resource, namespace: str = "", **_: Any) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._watchers.setdefault(resource.plural, []).append(queue)
        try:
            while True:
                yield await queue.get()
                queue.task_done()
        finally:
            self._watchers[resource.plural].remove(queue)


class World:
    """A node with netd on it, and what lives around it."""

    def __init__(
        self,
        tmp: Path,
        upstream: tuple[str, ...] = (),
        *,
        name: str = NODE,
        address: str = UPLINK,
        pod_cidr: str = "10.42.0.0/24",
        **config: Any,
    ) -> None:
        self.tmp = tmp
        self.pod_cidr = pod_cidr
        self.config = NetConfig(name, address, upstream_dns=upstream, state_dir=tmp / "state", **config)
        self.client = MemoryClient()
        self.outside = str(tmp / "uplink" / "outside")
        self._running: asyncio.Task[None] | None = None
        self._servers: list[asyncio.AbstractServer | asyncio.DatagramTransport] = []
        self._pods = 0

    async def start(self) -> None:
        await self.plug_in()
        await self.node(self.config.node_name, self.pod_cidr, self.config.node_address)
        await self.start_netd()

    async def plug_in(self) -> None:
        """The uplink, to a switch in the outside."""
        await namespaces.in_thread(lambda: namespaces.create(self.outside))
        run("ip link set lo up", self.outside)
        run("ip link add switch type bridge", self.outside)
        run(f"ip addr add {OUTSIDE}/24 dev switch", self.outside)
        run("ip link set switch up", self.outside)
        self.wire(f"{UPLINK}/24", OUTSIDE, self.outside)
        run("ip link set down0 master switch", self.outside)

    def wire(self, address: str, gateway: str, outside: str, far: str = "down0") -> None:
        run(f"ip link add up0 type veth peer name {far} netns {outside}")
        run(f"ip addr add {address} dev up0")
        run("ip link set up0 up")
        run(f"ip link set {far} up", outside)
        run(f"ip route add default via {gateway}")

    async def start_netd(self) -> None:
        self.netd = Netd(self.config, self.client)  # type: ignore[arg-type]
        await self.netd.start()
        self._running = asyncio.create_task(self.netd.run())
        await self.settled()

    async def settled(self) -> None:
        """Returns when netd has done all that it was told so far; raises what it failed with."""
        assert self._running is not None
        ready = asyncio.create_task(self.netd.ready())
        await asyncio.wait([ready, self._running], return_when=asyncio.FIRST_COMPLETED, timeout=SECONDS)
        if self._running.done():
            await self._running
        if not ready.done():
            ready.cancel()
            raise TimeoutError("netd does not settle")

    async def kill_netd(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        if self._running is not None:
            await self.kill_netd()

    async def pod(self, **spec: Any) -> Pod:
        self._pods += 1
        uid = f"uid-{self._pods}"
        netns = str(self.tmp / "ns" / uid)
        (ip,) = await self.netd.pods.setup({"metadata": {"uid": uid}, "spec": spec}, netns)
        return Pod(self, uid, netns, ip)

    async def serve(self, netns: str, port: int, name: str, *, address: str = "0.0.0.0") -> None:
        """A TCP server that greets with its name and the client's address, and then echoes."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{name} {writer.get_extra_info('peername')[0]}\n".encode())
            while line := await reader.readline():
                writer.write(line)
            writer.close()

        listening = inside(netns, lambda: socket.create_server((address, port)))
        self._servers.append(await asyncio.start_server(talk, sock=listening))

    async def serve_udp(self, netns: str, port: int, name: str) -> None:
        class Echo(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.transport.sendto(f"{name} {addr[0]}".encode(), addr)

        bound = inside(netns, lambda: _udp("0.0.0.0", port))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=bound)
        self._servers.append(transport)

    async def connect(
        self, netns: str, ip: str, port: int, *, source: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            if source:
                made.bind((source, 0))
            return made

        client = inside(netns, make)
        client.setblocking(False)
        try:
            async with asyncio.timeout(SECONDS):
                await asyncio.get_running_loop().sock_connect(client, (ip, port))
        except BaseException:
            client.close()
            raise
        return await asyncio.open_connection(sock=client)

    async def flow(self, netns: str, ip: str, port: int) -> Flow:
        def make() -> socket.socket:
            made = _udp("0.0.0.0", 0)
            made.connect((ip, port))
            return made

        return Flow(inside(netns, make))

    async def admitted(self, change: Callable[[], None]) -> None:
        """Makes a change to somebody's firewall; returns when netd has answered it."""
        answered = asyncio.Event()
        keep = daemon.host.admit

        def admit(config: NetConfig) -> None:
            keep(config)
            loop.call_soon_threadsafe(answered.set)

        loop = asyncio.get_running_loop()
        daemon.host.admit = admit
        try:
            change()
            async with asyncio.timeout(SECONDS):
                await answered.wait()
        finally:
            daemon.host.admit = keep

    async def node(self, name: str, pod_cidr: str, address: str, **meta: Any) -> None:
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        node = {"metadata": {"name": name, **meta}, "spec": {"podCIDR": pod_cidr}, "status": status}
        await self.client.put(NODES, node)

    async def forget_node(self, name: str) -> None:
        await self.client.remove(NODES, name)

    async def routed(self, wanted: str, *, without: str = "") -> None:
        """Waits until the routes have a line that starts so, and none that starts otherwise."""
        async with asyncio.timeout(SECONDS):
            await self.netd._routes.settled()
        lines = run("ip route").splitlines()
        assert not wanted or any(line.startswith(wanted) for line in lines), lines
        assert not without or not any(line.startswith(without) for line in lines), lines

    @contextlib.asynccontextmanager
    async def routes_applied(self) -> AsyncIterator[None]:
        """Returns when netd has looked at the routes after what is done inside."""
        routes, looked = self.netd._routes, asyncio.Event()
        near = routes._near

        def tell(addresses: frozenset[str]) -> None:
            near(addresses)
            looked.set()

        routes._near = tell
        try:
            yield
            async with asyncio.timeout(SECONDS):
                await looked.wait()
        finally:
            routes._near = near

    def filter_bridged_frames(self, value: str) -> bool:
        switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
        if switch.exists():
            switch.write_text(value)
        return switch.exists()

    def link_indexes(self) -> dict[str, int]:
        return {name: index for index, name in socket.if_nameindex()}

    def clear_alias(self, name: str) -> None:
        subprocess.run(["ip", "link", "set", name, "alias", ""], check=True)

    def nft(self, commands: str) -> None:
        subprocess.run(["nft", commands], check=True)

    def table(self) -> str:
        return run("nft list table ip podium")

    async def flush_ruleset(self) -> None:
        """As `nft flush ruleset`; returns when netd has heard of it and answered."""
        lost, heard = self.netd._lost, asyncio.Event()
        gone = {name for name in self.netd._watch._own if f"table ip {name}\n" in run("nft list tables")}

        def hear(table: str) -> None:
            lost(table)
            gone.discard(table)
            if not gone:
                heard.set()

        self.netd._watch._lost = hear
        self.nft("flush ruleset")
        await heard.wait()
        await self.settled()

    async def forget(self, service: str) -> None:
        await self.client.remove(SERVICES, service, "default")
        await self.client.remove(ENDPOINT_SLICES, f"{service}-abcde", "default")

    async def ask(self, netns: str, ip: str, port: int, **options: Any) -> str:
        """What a server greets with: its name and the client's address as it sees it."""
        reader, writer = await self.connect(netns, ip, port, **options)
        async with asyncio.timeout(SECONDS):
            greeting = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return greeting.decode().strip()

    async def probe(self, ip: str, port: int) -> tuple[int, dict[str, str], Obj]:
        """(status, headers, body) of a GET."""
        reader, writer = await self.connect("", ip, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        first, *lines = head.decode().split("\r\n")
        return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), orjson.loads(body)

    async def service(
        self,
        name: str,
        ip: str,
        *,
        ports: list[Obj] | None = None,
        addresses: Sequence[str] = (),
        **spec: Any,
    ) -> None:
        """`addresses` are its load balancer's."""
        ports = ports or [{"port": 80, "protocol": "TCP"}]
        ips = {"clusterIP": ip, "clusterIPs": [ip]}
        obj = {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": "ClusterIP", **ips, "ports": ports, **spec},
            "status": {"loadBalancer": {"ingress": [{"ip": ip} for ip in addresses]}},
        }
        await self.client.put(SERVICES, obj)
        await self.settled()

    async def endpoints(
        self,
        service: str,
        *pods: Pod | Obj,
        port: int = 8080,
        protocol: str = "TCP",
        name: str = "",
    ) -> None:
        entries = [pod.endpoint() if isinstance(pod, Pod) else pod for pod in pods]
        obj = {
            "metadata": {
                "name": f"{service}-abcde",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": name, "port": port, "protocol": protocol}],
            "endpoints": entries,
        }
        await self.client.put(ENDPOINT_SLICES, obj)
        await self.settled()


class Pod:
    def __init__(self, world: World, uid: str, netns: str, ip: str) -> None:
        self.world, self.uid, self.netns, self.ip = world, uid, netns, ip

    def endpoint(self, **conditions: bool) -> Obj:
        return {
            "addresses": [self.ip],
            "nodeName": NODE,
            "conditions": conditions or {"ready": True},
            "targetRef": {"kind": "Pod", "uid": self.uid},
        }

    async def serve(self, port: int = 8080) -> Pod:
        await self.world.serve(self.netns, port, self.uid)
        return self

    async def ask(self, ip: str, port: int = 80) -> str:
        return await self.world.ask(self.netns, ip, port)

    async def remove(self) -> None:
        await self.world.netd.pods.teardown(self.uid, self.netns)


class Flow:
    """Datagrams from one port to one port."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound

    async def ask(self) -> str:
        return (await self.exchange(b"?")).decode()

    async def exchange(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SECONDS):
            await loop.sock_sendall(self._socket, data)
            return await loop.sock_recv(self._socket, 4096)

    def close(self) -> None:
        self._socket.close()


def _udp(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.bind((address, port))
    return bound
