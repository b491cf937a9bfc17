"""IP addresses and blocks of them.

Source: docs, "Kubernetes IP address library", "Kubernetes CIDR library".
"""

from __future__ import annotations

import ipaddress
from typing import Any

from podium.api.cel.errors import EvaluationError
from podium.api.cel.kinds import Address, Block

_INTERFACE_LOCAL = (ipaddress.IPv6Network("ff02::/16"), ipaddress.IPv4Network("224.0.0.0/24"))
_LINK_LOCAL = (ipaddress.IPv6Network("fe80::/10"), ipaddress.IPv4Network("169.254.0.0/16"))
_LOOPBACK = (ipaddress.IPv6Network("::1/128"), ipaddress.IPv4Network("127.0.0.0/8"))
_MULTICAST = (ipaddress.IPv6Network("ff00::/8"), ipaddress.IPv4Network("224.0.0.0/4"))
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


def _ip(text: str) -> Address:
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise EvaluationError(
            f'IP Address "{text}" parse error during conversion from string: {error}'
        ) from None
    if getattr(found, "scope_id", None):
        raise EvaluationError(f'IP address "{text}" with zone value is not allowed')
    if getattr(found, "ipv4_mapped", None):
        raise EvaluationError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Address(found)


def _cidr(text: str) -> Block:
    address, slash, length = text.partition("/")
    what = "network address parse error during conversion from string"
    if not slash or not length.isdecimal() or (length.startswith("0") and length != "0"):
        raise EvaluationError(f'{what}: netip.ParsePrefix("{text}"): bad bits after slash')
    try:
        found = ipaddress.ip_interface(text)
    except ValueError as error:
        raise EvaluationError(f"{what}: {error}") from None
    if getattr(found.ip, "ipv4_mapped", None):
        raise EvaluationError(f'IPv4-mapped IPv6 address "{address}" is not allowed')
    return Block(found)


def _is_ip(text: str) -> bool:
    try:
        _ip(text)
    except EvaluationError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    try:
        _cidr(text)
    except EvaluationError:
        return False
    return True


def _within(address: Any, networks: tuple[Any, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _global_unicast(given: Address) -> bool:
    value = given.value
    special = value.is_unspecified or value == _BROADCAST
    return not special and not _within(value, (*_LOOPBACK, *_LINK_LOCAL, *_MULTICAST))


def _contains_ip(block: Block, address: Address) -> bool:
    return _within(address.value, (block.value.network,))


def _contains_cidr(block: Block, other: Block) -> bool:
    outer, inner = block.value.network, other.value.network
    same = outer.version == inner.version
    return same and inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _masked(block: Block) -> Block:
    return Block(ipaddress.ip_interface(str(block.value.network)))


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("ip", False, ("string",), "IP", _ip),
    ("isIP", False, ("string",), "bool", _is_ip),
    ("ip.isCanonical", False, ("string",), "bool", lambda text: str(_ip(text).value) == text),
    ("string", False, ("IP",), "string", lambda given: str(given.value)),
    ("family", True, ("IP",), "int", lambda given: given.value.version),
    ("isUnspecified", True, ("IP",), "bool", lambda given: given.value.is_unspecified),
    ("isLoopback", True, ("IP",), "bool", lambda given: _within(given.value, _LOOPBACK)),
    ("isLinkLocalMulticast", True, ("IP",), "bool", lambda given: _within(given.value, _INTERFACE_LOCAL)),
    ("isLinkLocalUnicast", True, ("IP",), "bool", lambda given: _within(given.value, _LINK_LOCAL)),
    ("isGlobalUnicast", True, ("IP",), "bool", _global_unicast),
    ("cidr", False, ("string",), "CIDR", _cidr),
    ("isCIDR", False, ("string",), "bool", _is_cidr),
    ("string", False, ("CIDR",), "string", lambda given: str(given.value)),
    ("containsIP", True, ("CIDR", "IP"), "bool", _contains_ip),
    ("containsIP", True, ("CIDR", "string"), "bool", lambda block, text: _contains_ip(block, _ip(text))),
    ("containsCIDR", True, ("CIDR", "CIDR"), "bool", _contains_cidr),
    ("containsCIDR", True, ("CIDR", "string"), "bool", lambda one, text: _contains_cidr(one, _cidr(text))),
    ("ip", True, ("CIDR",), "IP", lambda given: Address(given.value.ip)),
    ("masked", True, ("CIDR",), "CIDR", _masked),
    ("prefixLength", True, ("CIDR",), "int", lambda given: given.value.network.prefixlen),
)
