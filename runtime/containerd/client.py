"""Everything Podium asks of one containerd, by service."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from podium.runtime.containerd.channel import NAMESPACE, Channel
from podium.runtime.containerd.containers import Containers
from podium.runtime.containerd.content import Content
from podium.runtime.containerd.cri import CriImages
from podium.runtime.containerd.errors import AlreadyExists
from podium.runtime.containerd.events import Events
from podium.runtime.containerd.images import Images
from podium.runtime.containerd.leases import Leases
from podium.runtime.containerd.snapshots import Snapshots
from podium.runtime.containerd.tasks import Tasks
from podium.runtime.protos import introspection_pb2, namespaces_pb2, version_pb2


class Containerd:
    """The services behind one socket. Cheap to make; connects on first use. `close` when done."""

    def __init__(self, socket: str) -> None:
        self.channel = Channel(socket)
        self.containers = Containers(self.channel)
        self.content = Content(self.channel)
        self.cri = CriImages(self.channel)
        self.events = Events(self.channel)
        self.images = Images(self.channel)
        self.leases = Leases(self.channel)
        self.snapshots = Snapshots(self.channel)
        self.tasks = Tasks(self.channel)

    async def version(self) -> str:
        """containerd's version without build suffixes: `1.6.20`."""
        service = version_pb2.DESCRIPTOR.services_by_name["Version"]
        call = self.channel.unary(service, "Version", version_pb2.VersionResponse)
        text = (await call(Empty(), within=10)).version
        return text.removeprefix("v").partition("~")[0].partition("+")[0]

    async def capabilities(self, kind: str, name: str) -> frozenset[str]:
        """What one of its plugins says that it can do; nothing of one that it does not have."""
        service = introspection_pb2.DESCRIPTOR.services_by_name["Introspection"]
        call = self.channel.unary(service, "Plugins", introspection_pb2.PluginsResponse)
        wanted = introspection_pb2.PluginsRequest(filters=[f"type=={kind},id=={name}"])
        plugins = (await call(wanted, within=10)).plugins
        return frozenset(each for plugin in plugins for each in plugin.capabilities)

    async def ensure_namespace(self) -> None:
        """Leases can be had in a namespace only once it exists."""
        service = namespaces_pb2.DESCRIPTOR.services_by_name["Namespaces"]
        create = self.channel.unary(service, "Create", namespaces_pb2.CreateNamespaceResponse)
        wanted = namespaces_pb2.Namespace(name=NAMESPACE)
        try:
            await create(namespaces_pb2.CreateNamespaceRequest(namespace=wanted))
        except AlreadyExists:
            return

    async def close(self) -> None:
        self.leases.close()
        await self.channel.close()
