"""The file: apiserver.config.k8s.io/v1 EncryptionConfiguration, read and judged.

Faults name the place in it, and never what a secret is."""

from __future__ import annotations

import base64
import binascii
import os
import re
from typing import Any

import yaml

from podium.api.encryption.encryption import AesGcm, Encryption, Identity, Provider, Resources

VERSION = "apiserver.config.k8s.io/v1"
KEY_SIZES = (16, 24, 32)
KNOWN = ("aesgcm", "aescbc", "secretbox", "identity", "kms")
SERVED = ("aesgcm", "identity")
# Addresses and ports that services got: bookkeeping, no resources.
NO_RESOURCES = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")


class ConfigError(Exception):
    """What is wrong with the file, and where."""


def read_config(text: str) -> Encryption:
    """Raises ConfigError."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        # The parser's own message shows the text around, which may be a key.
        raise ConfigError(f"not YAML{f': line {place.line + 1}' if place else ''}") from None
    _object(given, "EncryptionConfiguration", ("apiVersion", "kind", "resources"))
    if given.get("apiVersion") != VERSION or given.get("kind") != "EncryptionConfiguration":
        raise ConfigError(f"apiVersion, kind: must be {VERSION}, EncryptionConfiguration")
    entries = _list(given, "resources", "")
    return Encryption([_entry(entry, f"resources[{i}]") for i, entry in enumerate(entries)])


def template(resources: list[str]) -> str:
    """A file that encrypts these with a new key, and still reads what was not."""
    secret = base64.b64encode(os.urandom(32)).decode()
    key = {"name": "key1", "secret": secret}
    providers: list[Any] = [{"aesgcm": {"keys": [key]}}, {"identity": {}}]
    return yaml.safe_dump(
        {
            "apiVersion": VERSION,
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": resources, "providers": providers}],
        },
        sort_keys=False,
    )


def _entry(given: Any, path: str) -> Resources:
    _object(given, path, ("resources", "providers"))
    names = _list(given, "resources", path)
    named: list[tuple[str, str]] = []
    for index, name in enumerate(names):
        where = f"{path}.resources[{index}]"
        resource = _resource(name, where)
        if resource in named:
            raise _invalid(where, name, "the same resource cannot be specified multiple times")
        named.append(resource)
    wide = {group for group, plural in named if plural == "*"}
    if len(named) > 1 and ("*" in wide or any(g in wide and plural != "*" for g, plural in named)):
        why = (
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed"
        )
        raise _invalid(f"{path}.resources", names, why)
    providers: list[Provider] = []
    for index, provider in enumerate(_list(given, "providers", path)):
        providers += _provider(provider, f"{path}.providers[{index}]")
    return Resources(frozenset(named), providers)


def _resource(name: Any, path: str) -> tuple[str, str]:
    """(group, plural) of `PLURAL`, `PLURAL.GROUP`, `*.GROUP`, `*.` (core) and `*.*`."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{path}: Required value")
    if name == "*":
        raise _invalid(
            path,
            name,
            "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources",
        )
    if name != name.lower():
        raise _invalid(path, name, "resource name should not contain capital letters")
    plural, _, group = name.partition(".")
    if plural in NO_RESOURCES:
        raise _invalid(path, name, "resources which do not have REST API/s cannot be encrypted")
    if group == "*" and plural != "*":
        raise _invalid(path, name, "encrypting the same resource across groups is not supported")
    if group == "events.k8s.io":
        raise _invalid(path, name, "events are stored in the core group; use 'events'")
    if group == "extensions":
        raise _invalid(path, name, "'extensions' group has been removed and cannot be used for encryption")
    return group, plural


def _provider(given: Any, path: str) -> list[Provider]:
    _object(given, path, KNOWN)
    if not given:
        raise _invalid(
            path, "{}", f"provider does not contain any of the expected providers: {', '.join(KNOWN)}"
        )
    if len(given) > 1:
        why = (
            "more than one provider specified in a single element, should split into different list elements"
        )
        raise _invalid(path, ", ".join(given), why)
    [(kind, settings)] = given.items()
    if kind == "identity":
        return [Identity()]
    if kind not in SERVED:
        supported = ", ".join(f'"{each}"' for each in SERVED)
        raise ConfigError(f'{path}: Unsupported value: "{kind}": supported values: {supported}')
    _object(settings, f"{path}.{kind}", ("keys",))
    keys = _list(settings, "keys", f"{path}.{kind}")
    return [_key(key, f"{path}.{kind}.keys[{i}]") for i, key in enumerate(keys)]


def _key(given: Any, path: str) -> Provider:
    _object(given, path, ("name", "secret"))
    for field in ("name", "secret"):
        if not isinstance(given.get(field), str) or not given[field]:
            raise ConfigError(f"{path}.{field}: Required value: {field} is a mandatory field for a key")
    if not re.fullmatch(r"[^:\s]+", given["name"]):
        raise _invalid(f"{path}.name", given["name"], "must not contain ':' or spaces")
    try:
        secret = base64.b64decode(given["secret"], validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(f"{path}.secret", "REDACTED", "secrets must be base64 encoded") from None
    if len(secret) not in KEY_SIZES:
        sizes = " ".join(map(str, KEY_SIZES))
        why = f"secret is not of the expected length, got {len(secret)}, expected one of [{sizes}]"
        raise _invalid(f"{path}.secret", "REDACTED", why)
    return AesGcm(given["name"], secret)


def _object(given: Any, path: str, names: tuple[str, ...]) -> None:
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: not an object")
    for name in given:
        if name not in names:
            raise ConfigError(f"{path}.{name}: unknown field")


def _list(given: dict[str, Any], name: str, path: str) -> list[Any]:
    where = f"{path}.{name}".lstrip(".")
    values = given.get(name)
    if not values:
        raise ConfigError(f"{where}: Required value: at least one {where} is required")
    if not isinstance(values, list):
        raise ConfigError(f"{where}: not a list")
    return values


def _invalid(path: str, value: Any, why: str) -> ConfigError:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return ConfigError(f"{path}: Invalid value: {shown}: {why}")
