"""The part of Podium's table that does not depend on any service: maps, hooks, masquerading, refusal.

A connection to a service is a lookup in `services` (by address, protocol, port) or, for an address of the
node itself, in `nodeports`. The verdict is a chain that holds one rule: round robin over the service's slots
in `endpoints`. A changed endpoint is a changed element there. All of this is only seen by the first packet of
a connection; the others follow connection tracking, whatever happens to the table.
"""

from __future__ import annotations

from podium.netd.config import NetConfig

# Maps and sets whose elements follow the services; `table.Table` names them.
SERVICES, NODE_PORTS, HAIRPIN, OUTSIDE, REFUSED = "services", "nodeports", "hairpin", "outside", "refused"
# Nodes on a link that this one shares.
NEAR = "near"
# One map per protocol: nft refuses to take a port of one for a port of another.
ENDPOINTS = {protocol: f"{protocol}-endpoints" for protocol in ("tcp", "udp", "sctp")}

# Name → (map or set, its type).
SETS = {
    SERVICES: ("map", "type ipv4_addr . inet_proto . inet_service : verdict"),
    NODE_PORTS: ("map", "type inet_proto . inet_service : verdict"),
    HAIRPIN: ("set", "type ipv4_addr . ipv4_addr"),
    OUTSIDE: ("set", "type ipv4_addr . inet_proto . inet_service"),
    REFUSED: ("set", "type ipv4_addr . inet_proto . inet_service"),
    NEAR: ("set", "type ipv4_addr"),
    **{
        name: ("map", f"typeof numgen inc mod 2 : ip daddr . {protocol} dport")
        for protocol, name in ENDPOINTS.items()
    },
}

TARGET = "ip daddr . meta l4proto . th dport"


def chains(config: NetConfig) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Chain → (its hook, "" for none; its rules)."""
    return {
        "dispatch": (
            "",
            (
                f"{TARGET} vmap @{SERVICES}",
                # The cluster's own names are answered on an address of the node that no node port may shadow.
                f"ip daddr != {config.service_cidr} fib daddr type local "
                f"meta l4proto . th dport vmap @{NODE_PORTS}",
            ),
        ),
        "refuse": ("", ("meta l4proto tcp reject with tcp reset", "reject with icmp type port-unreachable")),
        "unanswered": ("", _unanswered(config)),
        "guard": ("type filter hook prerouting priority -300", _guard()),
        # Ahead of others' rules for the same hook (-100): a published port of somebody else is not a
        # service's.
        "nat-prerouting": ("type nat hook prerouting priority -105", ("jump dispatch",)),
        "nat-output": ("type nat hook output priority -105", ("jump dispatch",)),
        "nat-postrouting": ("type nat hook postrouting priority 95", _masquerade(config)),
        # Behind the translation: what it led to may be gone by now.
        "filter-prerouting": (
            "type filter hook prerouting priority -90",
            # The range's unreachable route would do, but the kernel answers so only about once a second.
            (
                f"ct state new ip daddr {config.cluster_cidr} fib daddr type != local "
                "fib daddr oif missing goto refuse",
            ),
        ),
        "filter-forward": (
            "type filter hook forward priority -5",
            # What connection tracking does not know is not translated: a client that gets it with the
            # endpoint's own address answers with a reset, and the connection is gone.
            (f"ip saddr {config.cluster_cidr} ct state invalid drop", "jump unanswered"),
        ),
        "filter-output": (
            "type filter hook output priority -5",
            (
                "jump unanswered",
                # Pods reach their neighbours by way of the node, which would tell them of the short cut,
                # which connection tracking would not see.
                f'oifname "{config.bridge}" icmp type redirect drop',
            ),
        ),
    }


def _unanswered(config: NetConfig) -> tuple[str, ...]:
    return (
        f"{TARGET} @{REFUSED} goto refuse",
        f"ip daddr {config.service_cidr} fib daddr type != local goto refuse",
    )


def _guard() -> tuple[str, ...]:
    """Node ports on loopback want `route_localnet` on the links that they lead to; nobody may reach the
    node's loopback by that."""
    return ('iifname != "lo" ip daddr 127.0.0.0/8 drop',)


def _masquerade(config: NetConfig) -> tuple[str, ...]:
    """Where the answer would not come back this way: a pod that meets itself, pods' traffic to outside of the
    cluster, and services' traffic that came from elsewhere and leaves for another node. Everything else keeps
    its source."""
    pods, bridge = config.cluster_cidr, config.bridge
    return (
        'oifname "lo" accept',
        f"ct status dnat ip saddr . ip daddr @{HAIRPIN} masquerade",
        "ct status dnat ip saddr 127.0.0.0/8 masquerade",
        f'ip saddr {pods} ip daddr != {pods} ip daddr != @{NEAR} oifname != "{bridge}" masquerade',
        f'ct status dnat ip saddr != {pods} ip daddr {pods} oifname != "{bridge}" masquerade',
        # Also a pod of another node that came by this node's port.
        f'ct status dnat iifname != "{bridge}" oifname != "{bridge}" fib saddr type != local masquerade',
        f"ct status dnat ip daddr != @{NEAR} {TARGET} @{OUTSIDE} masquerade",
    )
