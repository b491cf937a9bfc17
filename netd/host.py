"""The node's own part of the network: ranges, bridges, sysctls; and taking all of it away again.

Everything blocks, for milliseconds; call it in a thread. Everything is idempotent. Sysctls that others may
rely on by then (Docker needs `ip_forward` too) stay as they are when the cluster goes.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from podium.netd import firewalls, namespaces, rtnl
from podium.netd.addresses import AddressPool, mac_of
from podium.netd.config import NetConfig
from podium.netd.nft import Nft
from podium.netd.podnet import is_pod_link

log = logging.getLogger(__name__)

# Behind every other route: what nobody claims ends here.
LAST_METRIC = 65535
SYSCTL = Path("/proc/sys/net")
MTU = 1500
# The port that Linux has for VXLAN.
TUNNEL_PORT = 8472


def claim_ranges(config: NetConfig) -> None:
    """The first thing to do on a node: pod and service addresses stay here, packets may pass."""
    ensure_unreachable((config.cluster_cidr, config.service_cidr))
    set_sysctl("ipv4/ip_forward", "1")


def ensure_unreachable(cidrs: Iterable[str]) -> None:
    """Refuses what nothing answers in these ranges, so that it never leaves by the default route."""
    with rtnl.Rtnl() as kernel:
        kernel.apply(rtnl.route(cidr, kind="unreachable", metric=LAST_METRIC) for cidr in cidrs)


def set_up_bridge(config: NetConfig, pod_cidr: str, mtu: int) -> int:
    """The pod bridge with the gateway's and the cluster DNS's addresses; its MTU, which is `mtu` unless pods
    that are there already have a smaller one.

    The service range is routed to it, so that the node's own connections to services have a source that every
    pod can answer; the packets themselves are translated, or refused, before they get there."""
    gateway = gateway_of(pod_cidr)
    with rtnl.Rtnl() as kernel:
        mtu = min([mtu, *(link.mtu for link in kernel.links() if is_pod_link(link))])
        kernel.apply([rtnl.bridge(config.bridge, mac=mac_of(gateway), mtu=mtu)])
        set_sysctl(f"ipv6/conf/{config.bridge}/disable_ipv6", "1")
        # Given again, since a bridge follows the MTU of its ports until it was told one.
        kernel.apply([rtnl.link_up(config.bridge, mac=mac_of(gateway), mtu=mtu)])
        index = _index(kernel, config.bridge)
        kernel.apply(
            [
                rtnl.address(index, gateway, 32),
                # Never chosen as a source.
                rtnl.address(index, config.dns_address, 32, scope="host"),
                rtnl.route(config.service_cidr, oif=index, source=gateway),
            ]
        )
    set_sysctl(f"ipv4/conf/{config.bridge}/send_redirects", "0")
    set_sysctl(f"ipv4/conf/{config.bridge}/route_localnet", "1")
    return mtu


def narrow_bridge(config: NetConfig, mtu: int) -> None:
    """Gives the pod bridge a smaller MTU: what pods with a larger one send is then answered with what they
    may send."""
    with rtnl.Rtnl() as kernel:
        kernel.apply([rtnl.link_up(config.bridge, mtu=mtu)])


def let_loopback_out(kernel: rtnl.Rtnl, config: NetConfig) -> None:
    """A node port on loopback may lead to another node. The other direction is refused by our table."""
    for link in (kernel.link_with(config.node_address), kernel.link(config.tunnel)):
        if link is not None and link.name != "lo":
            set_sysctl(f"ipv4/conf/{link.name}/route_localnet", "1")


def _keep_loopback_in(config: NetConfig) -> None:
    """Before the table goes that guards it. A bridge of ours goes as a whole."""
    with rtnl.Rtnl() as kernel:
        link = kernel.link_with(config.node_address)
    if link is not None and link.name not in ("lo", config.node_bridge):
        set_sysctl(f"ipv4/conf/{link.name}/route_localnet", "0")


def gateway_of(pod_cidr: str) -> str:
    return AddressPool(pod_cidr).gateway


def ensure_node_bridge(address: str, name: str) -> None:
    """The link that the nodes of one machine share, with this machine's own address on it ("10.89.0.1", a /24
    unless it says otherwise). What nodes in namespaces of their own send to the outside is masqueraded
    here."""
    interface = ipaddress.IPv4Interface(address if "/" in address else f"{address}/24")
    ip = str(interface.ip)
    with rtnl.Rtnl() as kernel:
        mtu = uplink_mtu(kernel)
        kernel.apply([rtnl.bridge(name, mac=mac_of(ip), mtu=mtu)])
        set_sysctl(f"ipv6/conf/{name}/disable_ipv6", "1")
        kernel.apply([rtnl.link_up(name, mac=mac_of(ip), mtu=mtu)])
        kernel.apply([rtnl.address(_index(kernel, name), ip, interface.network.prefixlen)])
    set_sysctl("ipv4/ip_forward", "1")
    set_sysctl(f"ipv4/conf/{name}/route_localnet", "1")
    nft = Nft()
    try:
        nft.apply_blocking(_node_table(name, interface.network))
        firewalls.admit(nft, firewalls.Admitted((name,)), [name])
    finally:
        nft.close()


def _node_table(name: str, network: ipaddress.IPv4Network) -> str:
    table, chain = f"ip {name}", "leaving"
    # Whoever is behind a link of ours answers to the nodes' real addresses.
    elsewhere = f'oifname != "lo" oifname != "{name}" oifname != "podium*"'
    return "\n".join(
        (
            f"add table {table}",
            f"add chain {table} {chain} {{ type nat hook postrouting priority 95; policy accept; }}",
            f"flush chain {table} {chain}",
            f"add rule {table} {chain} ip saddr {network} ip daddr != {network} {elsewhere} masquerade",
        )
    )


def admit(config: NetConfig) -> None:
    """Makes others' firewalls let the packets of the pods, and of nodes that share this machine, pass."""
    with rtnl.Rtnl() as kernel:
        links = tuple(name for name in _link_names(config) if kernel.link(name) is not None)
    port = TUNNEL_PORT if config.tunnel in links else 0
    nft = Nft()
    try:
        firewalls.admit(nft, firewalls.Admitted(links, config.cluster_cidr, port), _own_tables(config))
    finally:
        nft.close()


def teardown(config: NetConfig, *, netns_dir: Path | None = None) -> None:
    """Removes every link, route, table and rule of Podium's, the namespaces pinned in `netns_dir` too, and
    nothing else."""
    _keep_loopback_in(config)
    nft = Nft()
    try:
        admitted = firewalls.Admitted(_link_names(config), config.cluster_cidr, TUNNEL_PORT)
        firewalls.withdraw(nft, admitted, _own_tables(config))
        lines = (f"add table ip {table}\ndelete table ip {table}\n" for table in _own_tables(config))
        nft.apply_blocking("".join(lines))
    finally:
        nft.close()
    with rtnl.Rtnl() as kernel:
        kernel.apply([*_our_links(kernel, config), *_our_routes(kernel, config)])
    for path in sorted(netns_dir.iterdir()) if netns_dir is not None and netns_dir.is_dir() else ():
        if namespaces.pinned(str(path)):
            namespaces.unpin(str(path))
    forget_ports(config)


def forget_ports(config: NetConfig) -> None:
    """Forgets the host ports of pods that are all gone."""
    for path in sorted((config.state_dir / "hostports").glob("*.json")):
        path.unlink()


def _link_names(config: NetConfig) -> tuple[str, ...]:
    return config.bridge, config.node_bridge, config.tunnel


def _own_tables(config: NetConfig) -> list[str]:
    return [config.table, config.policy_table, config.node_bridge]


def _our_links(kernel: rtnl.Rtnl, config: NetConfig) -> Iterator[rtnl.Request]:
    """Ports before their bridge, whose going would hide whose they were."""
    links = kernel.links()
    bridge = next((link.ifindex for link in links if link.name == config.bridge and link.kind == "bridge"), 0)
    for link in links:
        if bridge and link.master == bridge and is_pod_link(link):
            yield rtnl.link_delete(link.name)
    for link in links:
        if (link.kind, link.name) in (
            ("bridge", config.bridge),
            ("bridge", config.node_bridge),
            ("vxlan", config.tunnel),
        ):
            yield rtnl.link_delete(link.name)


def _our_routes(kernel: rtnl.Rtnl, config: NetConfig) -> Iterator[rtnl.Request]:
    ranges = [ipaddress.IPv4Network(cidr) for cidr in (config.cluster_cidr, config.service_cidr)]
    kinds = {number: name for name, number in rtnl.ROUTE_TYPES.items()}
    for route in kernel.routes():
        network = ipaddress.IPv4Network(route.destination)
        if route.protocol == rtnl.ROUTE_PROTOCOL and any(network.subnet_of(range_) for range_ in ranges):
            yield rtnl.route_delete(route.destination, kind=kinds[route.kind], metric=route.metric)


def underlay_mtu(kernel: rtnl.Rtnl, node_address: str) -> int:
    """The MTU of the link that nodes reach each other by."""
    link = kernel.link_with(node_address)
    return uplink_mtu(kernel) if link is None or link.name == "lo" else link.mtu


def uplink_mtu(kernel: rtnl.Rtnl) -> int:
    """The MTU of the link with the default route, or Ethernet's."""
    defaults = sorted(
        (route.metric, route.oif) for route in kernel.routes() if route.destination == "0.0.0.0/0"
    )
    by_index = {link.ifindex: link.mtu for link in kernel.links()} if defaults else {}
    return next((by_index[oif] for _, oif in defaults if oif in by_index), MTU)


def set_sysctl(name: str, value: str) -> None:
    """Writes only what differs: /proc/sys may be read-only where it is right already, and lack what the
    kernel lacks."""
    path = SYSCTL / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except FileNotFoundError:
        log.debug("no sysctl net/%s on this kernel", name)


def _index(kernel: rtnl.Rtnl, name: str) -> int:
    link = kernel.link(name)
    if link is None:
        raise RuntimeError(f"link {name} vanished")
    return link.ifindex
