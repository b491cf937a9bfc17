"""ConfigMaps and Secrets."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

MAX_SIZE = 1024 * 1024
ACCOUNT_NAME = "kubernetes.io/service-account.name"
# What a Secret of a known type must have; for the other types anything goes.
REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_KEPT = "field is immutable when `immutable` is set"


def _immutable(new: Obj, old: Obj, *keys: str) -> list[Cause]:
    """An object that was made immutable stays so, with the data it has."""
    if not old.get("immutable"):
        return []
    found = [] if new.get("immutable") else [causes.forbidden("immutable", _KEPT)]
    return found + [
        causes.forbidden(key, _KEPT) for key in keys if (new.get(key) or {}) != (old.get(key) or {})
    ]


class ConfigMaps(Strategy):
    columns = cells.table("Name", "Data", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        found: list[Cause] = []
        size = 0
        for key, text in data.items():
            found += values.named(key, f"data[{key}]", names.config_key)
            if key in binary:
                found.append(causes.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
            size += len(text.encode())
        for key, text in binary.items():
            found += values.named(key, f"binaryData[{key}]", names.config_key)
            size += len(text) * 3 // 4
        if size > MAX_SIZE:
            found.append(causes.too_long("", MAX_SIZE))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return _immutable(new, old, "data", "binaryData") + self.check(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
        return [obj["metadata"]["name"], count, cells.age(obj, now)]


class Secrets(Strategy):
    columns = cells.table("Name", "Type", "Data", "Age")
    fields = same("type")

    def default(self, obj: Obj) -> None:
        """Folds the write-only stringData into data."""
        obj["type"] = obj.get("type") or "Opaque"
        if plain := obj.pop("stringData", None):
            encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
            obj["data"] = {**(obj.get("data") or {}), **encoded}

    def prepare_update(self, new: Obj, old: Obj) -> None:
        super().prepare_update(new, old)
        new["type"] = new.get("type") or old.get("type", "Opaque")

    def check(self, obj: Obj) -> list[Cause]:
        data = obj.get("data") or {}
        found: list[Cause] = []
        for key in data:
            found += values.named(key, f"data[{key}]", names.config_key)
        if sum(len(text) * 3 // 4 for text in data.values()) > MAX_SIZE:
            found.append(causes.too_long("data", MAX_SIZE))
        return found + _of_type(obj, data)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = [] if new["type"] == old.get("type") else [causes.immutable("type", new["type"])]
        return found + _immutable(new, old, "data") + self.check(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], obj.get("type", ""), len(obj.get("data") or ()), cells.age(obj, now)]


def _of_type(obj: Obj, data: Obj) -> list[Cause]:
    kind = obj["type"]
    if kind == "kubernetes.io/service-account-token":
        annotations = obj["metadata"].get("annotations") or {}
        missing = not annotations.get(ACCOUNT_NAME)
        return [causes.required(f"metadata.annotations[{ACCOUNT_NAME}]")] if missing else []
    if kind == "kubernetes.io/basic-auth":
        keys = ("username", "password")
        return [] if data.keys() & set(keys) else [causes.required(f"data[{key}]") for key in keys]
    if kind == "kubernetes.io/ssh-auth":
        return [] if data.get("ssh-privatekey") else [causes.required("data[ssh-privatekey]")]
    found = [causes.required(f"data[{key}]") for key in REQUIRED_KEYS.get(kind, ()) if key not in data]
    if kind.startswith("kubernetes.io/dockerc") and not found:
        key = REQUIRED_KEYS[kind][0]
        try:
            decoded = json.loads(base64.b64decode(data[key]))
        except (ValueError, binascii.Error) as error:
            return [causes.invalid(f"data[{key}]", "<secret contents redacted>", str(error))]
        if not isinstance(decoded, dict):
            return [causes.invalid(f"data[{key}]", "<secret contents redacted>", "must be a JSON object")]
    return found
