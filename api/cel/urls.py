"""URLs: absolute ones, or absolute paths.

Source: docs, "Kubernetes URL library"; RFC 3986.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from podium.api.cel.errors import EvaluationError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT = re.compile(r"\d*")


@dataclass(frozen=True, slots=True)
class Url:
    parts: SplitResult
    TYPE: ClassVar[str] = "kubernetes.URL"

    @property
    def host(self) -> str:
        return self.parts.netloc.rpartition("@")[2]

    @property
    def hostname(self) -> str:
        host = self.host
        if host.startswith("["):
            return host[1:].partition("]")[0]
        return host.rpartition(":")[0] if ":" in host else host

    @property
    def port(self) -> str:
        tail = self.host.rpartition("]")[2]
        return tail.rpartition(":")[2] if ":" in tail else ""


def url(text: str) -> Url:
    fault = _fault(text)
    if fault:
        what = "URL parse error during conversion from string"
        raise EvaluationError(f'{what}: parse "{text}": {fault}')
    parts = urlsplit(text)
    found = Url(parts)
    if not _PORT.fullmatch(found.port):
        raise EvaluationError(
            f'URL parse error during conversion from string: parse "{text}": invalid port ":{found.port}" '
            "after host"
        )
    return found


def _fault(text: str) -> str:
    if not text:
        return "empty url"
    if _CONTROL.search(text):
        return "net/url: invalid control character in URL"
    if not text.startswith("/") and not _SCHEME.match(text):
        return "missing protocol scheme" if text.startswith(":") else "invalid URI for request"
    if found := _ESCAPE.search(text.partition("?")[0]):
        return f'invalid URL escape "{text[found.start() : found.start() + 3]}"'
    try:
        urlsplit(text)
    except ValueError as error:
        return str(error)
    return ""


def uri_fault(text: str) -> str:
    """What is wrong with a request's URI, "" for nothing."""
    fault = _fault(text)
    return f'parse "{text}": {fault}' if fault else ""


def _is_url(text: str) -> bool:
    try:
        url(text)
    except EvaluationError:
        return False
    return True


def _escaped_path(given: Url) -> str:
    return quote(unquote(given.parts.path), safe="/!$&'()*+,;=:@-._~")


# Name, whether it is a method, parameters, result, implementation.
FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Any], ...] = (
    ("url", False, ("string",), "URL", url),
    ("isURL", False, ("string",), "bool", _is_url),
    ("getScheme", True, ("URL",), "string", lambda given: given.parts.scheme),
    ("getHost", True, ("URL",), "string", lambda given: given.host),
    ("getHostname", True, ("URL",), "string", lambda given: given.hostname),
    ("getPort", True, ("URL",), "string", lambda given: given.port),
    ("getEscapedPath", True, ("URL",), "string", _escaped_path),
    ("getQuery", True, ("URL",), "map", lambda given: parse_qs(given.parts.query, keep_blank_values=True)),
)
