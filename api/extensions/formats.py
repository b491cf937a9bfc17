"""The formats of strings that are checked. Any other format says nothing.

Source: API reference, JSONSchemaProps.format; RFC 3339 (date, date-time), RFC 1123 (host names), RFC 4122.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from email.utils import parseaddr
from urllib.parse import urlsplit

from podium.api.types.meta import parse_time
from podium.api.validation import names

# RFC 5321; comments may nest, and whoever reads them recurses.
LONGEST_EMAIL = 320
_DURATION = re.compile(
    r"\d+(\.\d+)? ?"
    r"(ns|nanos?|µs|us|micros?|ms|millis?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
)
_GO_DURATION = re.compile(r"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_HOST = re.compile(r"([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})?)(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})?)*\.?")
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_MAC = re.compile(r"([0-9a-fA-F]{2}[:-]){5,7}[0-9a-fA-F]{2}|([0-9a-fA-F]{4}\.){2,3}[0-9a-fA-F]{4}")
_HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_RGB_COLOR = re.compile(r"rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)")
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_SSN = re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}")


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def test(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return test


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


def _date(text: str) -> None:
    if len(text) != len("2006-01-02"):
        raise ValueError(text)
    date.fromisoformat(text)


def _email(text: str) -> bool:
    if len(text) > LONGEST_EMAIL:
        return False
    address = parseaddr(text)[1]
    return "@" in address[1:-1]


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return bool(text)


def _duration(text: str) -> bool:
    return bool(_GO_DURATION.fullmatch(text) or _DURATION.fullmatch(text.strip().lower()))


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches(_OBJECT_ID),
    "uri": _uri,
    "email": _email,
    "hostname": lambda text: len(text) <= 255 and _HOST.fullmatch(text) is not None,
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": lambda text: "/" in text and _parses(ipaddress.ip_interface)(text),
    "mac": _matches(_MAC),
    "uuid": _matches(_UUID),
    "uuid3": lambda text: _UUID.fullmatch(text) is not None and text.replace("-", "")[12] == "3",
    "uuid4": lambda text: _UUID.fullmatch(text) is not None and text.replace("-", "")[12] == "4",
    "uuid5": lambda text: _UUID.fullmatch(text) is not None and text.replace("-", "")[12] == "5",
    "ssn": _matches(_SSN),
    "hexcolor": _matches(_HEX_COLOR),
    "rgbcolor": _matches(_RGB_COLOR),
    "byte": _byte,
    "password": lambda text: True,
    "date": _parses(_date),
    "duration": _duration,
    "date-time": _parses(parse_time),
    "datetime": _parses(parse_time),
    "k8s-short-name": lambda text: not names.dns_label(text),
    "k8s-long-name": lambda text: not names.dns_subdomain(text),
}
