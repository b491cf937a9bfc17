"""How a webhook is reached, as whoever registers it says it.

Source: API reference, WebhookClientConfig (admissionregistration.k8s.io and apiextensions.k8s.io).
"""

from __future__ import annotations

import base64
import binascii
import ssl
from urllib.parse import urlsplit

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

FORM = "; desired format: https://host[/path]"


def check_client(config: Obj, path: str, *, bundle: bool = True) -> list[Cause]:
    """`bundle`: whether the authorities are looked at, too."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        found = [causes.required(path, "exactly one of url or service is required")]
    elif url is not None:
        found = _url(url, f"{path}.url")
    else:
        found = _service(service or {}, f"{path}.service")
    if bundle and (text := config.get("caBundle")):
        found += _bundle(text, f"{path}.caBundle")
    return found


def _url(url: str, path: str) -> list[Cause]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return [causes.required(path, f'url must be a valid URL: parse "{url}": {error}{FORM}')]
    found: list[Cause] = []
    if parts.scheme != "https":
        found.append(causes.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{FORM}"))
    if not parts.netloc:
        found.append(causes.invalid(path, "", f"host must be specified{FORM}"))
    user, at, _ = parts.netloc.rpartition("@")
    for given, value, detail in (
        (at, user, "user information is not permitted in the URL"),
        (parts.fragment, parts.fragment, "fragments are not permitted in the URL"),
        (parts.query, parts.query, "query parameters are not permitted in the URL"),
    ):
        if given:
            found.append(causes.invalid(path, value, detail))
    return found


def _service(service: Obj, path: str) -> list[Cause]:
    found = [causes.required(f"{path}.{key}") for key in ("name", "namespace") if not service.get(key)]
    port = service.get("port", 443)
    found += [
        causes.invalid(f"{path}.port", port, f"port is not valid: {detail}")
        for detail in ([] if 1 <= port <= 65535 else [values.in_range(1, 65535)])
    ]
    return found + _path(service.get("path") or "", f"{path}.path")


def _path(text: str, path: str) -> list[Cause]:
    if text in ("", "/"):
        return []
    if text == "//":
        return [causes.invalid(path, text, "segment[0] may not be empty")]
    found = [] if text.startswith("/") else [causes.invalid(path, text, "must start with a '/'")]
    for index, step in enumerate(text[1:].removesuffix("/").split("/")):
        if not step:
            found.append(causes.invalid(path, text, f"segment[{index}] may not be empty"))
        else:
            wrong = names.dns_subdomain(step)
            found += [causes.invalid(path, text, f"segment[{index}]: {each}") for each in wrong]
    return found


def _bundle(text: str, path: str) -> list[Cause]:
    try:
        pem = base64.b64decode(text, validate=True).decode()
        if pem.strip():
            ssl.create_default_context(cadata=pem)
    except (binascii.Error, UnicodeError, ssl.SSLError):
        detail = "unable to load root certificates: unable to parse bytes as PEM block"
        return [causes.invalid(path, text, detail)]
    return []
