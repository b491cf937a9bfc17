"""Single values: numbers in ranges, words of a list, ports, quantities, addresses, paths. Each function gives
causes."""

from __future__ import annotations

import ipaddress
import os.path
import re
from collections.abc import Iterable, Sequence
from typing import Any

from podium.api.types import quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes, names
from podium.api.validation.names import NameRule

NEGATIVE = "must be greater than or equal to 0"
NOT_POSITIVE = "must be greater than zero"
PORT_RANGE = "must be between 1 and 65535, inclusive"
PROTOCOLS = ("SCTP", "TCP", "UDP")
FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def in_range(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def named(value: str, path: str, rule: NameRule) -> list[Cause]:
    """A text that a rule of names must accept."""
    return [causes.invalid(path, value, message) for message in rule(value)]


def one_of(value: str | None, path: str, supported: Sequence[str]) -> list[Cause]:
    """A word that must be given and be one of a list (shown in the order given)."""
    if not value:
        return [causes.required(path)]
    return [] if value in supported else [causes.not_supported(path, value, supported)]


def optional_one_of(value: str | None, path: str, supported: Sequence[str]) -> list[Cause]:
    return [] if value is None or value in supported else [causes.not_supported(path, value, supported)]


def domain_path(value: str, path: str) -> list[Cause]:
    """A name like `example.com/thing`: a domain that says whose it is, and a path."""
    if not value:
        return [causes.required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        return [causes.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    found = named(host, path, names.dns_subdomain)
    if not _PATH.fullmatch(rest):
        detail = f"Invalid path (regex used for validation is '{_PATH.pattern}')"
        found.append(causes.invalid(path, rest, detail))
    return found


_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def not_negative(value: int | None, path: str) -> list[Cause]:
    return [causes.invalid(path, value, NEGATIVE)] if value is not None and value < 0 else []


def positive(value: int | None, path: str) -> list[Cause]:
    return [causes.invalid(path, value, NOT_POSITIVE)] if value is not None and value <= 0 else []


def port(value: int, path: str) -> list[Cause]:
    return [] if 1 <= value <= 65535 else [causes.invalid(path, value, PORT_RANGE)]


def port_or_name(value: int | str | None, path: str) -> list[Cause]:
    if isinstance(value, str):
        return named(value, path, names.port_name)
    return port(value or 0, path)


def mode(value: int | None, path: str) -> list[Cause]:
    return [causes.invalid(path, value, FILE_MODE)] if value is not None and not 0 <= value <= 0o777 else []


def amount(value: str | int | float, path: str) -> list[Cause]:
    """A quantity that must not be negative."""
    return [causes.invalid(path, str(value), NEGATIVE)] if quantity.parse(value) < 0 else []


def address(value: str, path: str) -> list[Cause]:
    """An IP address in a form that everybody reads alike: no leading zeros, no IPv4 inside IPv6."""
    if is_address(value):
        mapped = ":" in value and getattr(ipaddress.ip_address(value), "ipv4_mapped", None)
        detail = "must not be an IPv4-mapped IPv6 address"
        return [causes.invalid(path, value, detail)] if mapped else []
    bare = _LEADING_ZEROS.sub("", value)
    return [causes.invalid(path, value, "must not have leading 0s" if is_address(bare) else IP_TEXT)]


IP_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR_TEXT = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d+\.)|(?<=\.)0+(?=\d)")
_LENGTH_ZEROS = re.compile(r"(?<=/)0+(?=\d)")


def is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def canonical_address(value: str, path: str) -> list[Cause]:
    """An address written in the one way that is its own, as fields of younger kinds want it."""
    found = address(value, path)
    if not found and (right := str(ipaddress.ip_address(value))) != value:
        found.append(causes.invalid(path, value, f"must be in canonical form ({causes.render(right)})"))
    return found


def cidr(value: str, path: str) -> list[Cause]:
    """A range of addresses, with nothing behind its length."""
    bare = _LENGTH_ZEROS.sub("", _LEADING_ZEROS.sub("", value))
    if not _CIDR.fullmatch(bare):
        return [causes.invalid(path, value, CIDR_TEXT)]
    try:
        network = ipaddress.ip_interface(bare)
    except ValueError:
        return [causes.invalid(path, value, CIDR_TEXT)]
    if bare != value:
        detail = "must not have leading 0s in IP or prefix length"
    elif getattr(network.ip, "ipv4_mapped", None):
        detail = "must not have an IPv4-mapped IPv6 address"
    elif network.ip != network.network.network_address:
        detail = "must not have bits set beyond the prefix length"
    else:
        return []
    return [causes.invalid(path, value, detail)]


_CIDR = re.compile(r"[0-9a-fA-F.:]+/\d{1,3}")


def canonical_cidr(value: str, path: str) -> list[Cause]:
    """A range written in the one way that is its own."""
    found = cidr(value, path)
    if not found and (right := str(ipaddress.ip_network(value))) != value:
        found.append(causes.invalid(path, value, f"must be in canonical form ({causes.render(right)})"))
    return found


def no_backsteps(value: str, path: str) -> list[Cause]:
    if ".." in value.split("/"):
        return [causes.invalid(path, value, "must not contain '..'")]
    return []


def descending(value: str, path: str) -> list[Cause]:
    """A relative path that stays below where it starts."""
    found = [causes.invalid(path, value, "must be a relative path")] if os.path.isabs(value) else []
    return found + no_backsteps(value, path)


def not_reserved(value: str, path: str) -> list[Cause]:
    """A descending path whose names do not start with `..`, which the volumes' own links use."""
    found = descending(value, path)
    if value.startswith("..") and not value.startswith("../"):
        found.append(causes.invalid(path, value, "must not start with '..'"))
    return found


def duplicates(values: Iterable[Any], path: str) -> list[Cause]:
    seen: set[Any] = set()
    found = []
    for index, value in enumerate(values):
        if value in seen:
            found.append(causes.duplicate(f"{path}[{index}]", value))
        seen.add(value)
    return found
