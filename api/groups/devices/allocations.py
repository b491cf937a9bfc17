"""What a claim was given, as its status says. Source: API reference, AllocationResult."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from podium.api.groups.core.pod_validation.scheduling import node_selector
from podium.api.groups.core.volume_sources import driver_name
from podium.api.groups.devices import parts
from podium.api.groups.devices.requests import Requests
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values
from podium.api.validation.conditions import check_conditions

MOST_RESULTS, MOST_CONDITIONS, MOST_ADDRESSES = 32, 8, 16
SOURCES = ("FromClaim", "FromClass")
_UID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LENGTHS = (("interfaceName", 256), ("hardwareAddress", 128))


def check(allocation: Obj, known: Requests, path: str) -> list[Cause]:
    def result(given: Obj, where: str) -> list[Cause]:
        return known.check(given.get("request", ""), f"{where}.request") + _result(given, where)

    def config(given: Obj, where: str) -> list[Cause]:
        found = values.one_of(given.get("source"), f"{where}.source", SOURCES)
        found += known.check_all(given.get("requests"), f"{where}.requests")
        return found + parts.configuration(given, where)

    devices, where = allocation.get("devices") or {}, f"{path}.devices"
    found = parts.each(devices.get("results"), MOST_RESULTS, result, f"{where}.results")
    found += parts.each(devices.get("config"), 2 * parts.MOST_CONFIGS, config, f"{where}.config")
    if (selector := allocation.get("nodeSelector")) is not None:
        found += node_selector(selector, f"{path}.nodeSelector")
    return found


def _device(part: Obj, path: str) -> list[Cause]:
    found = driver_name(part.get("driver", ""), f"{path}.driver")
    found += parts.pool_name(part.get("pool", ""), f"{path}.pool")
    return found + values.named(part.get("device", ""), f"{path}.device", names.dns_label)


def _share(part: Obj, path: str) -> list[Cause]:
    uid = part.get("shareID")
    if uid is None or _UID.fullmatch(uid):
        return []
    detail = (
        "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase "
        "hexadecimal characters"
    )
    return [causes.invalid(f"{path}.shareID", uid, detail)]


def _result(result: Obj, path: str) -> list[Cause]:
    return _device(result, path) + parts.bindings(result, path) + _share(result, path)


def _identity(part: Obj) -> str:
    base = "/".join(part.get(key, "") for key in ("driver", "pool", "device"))
    return f"{base}/{part['shareID']}" if part.get("shareID") else base


def check_devices(devices: Sequence[Obj], allocation: Obj | None, path: str) -> list[Cause]:
    """What drivers say of the devices that were allocated."""
    results = ((allocation or {}).get("devices") or {}).get("results") or ()
    allocated = {_identity(result) for result in results}

    def check_one(device: Obj, where: str) -> list[Cause]:
        found = _device(device, where) + _share(device, where)
        if _identity(device) not in allocated:
            detail = "must be an allocated device in the claim"
            found.append(causes.invalid(where, _identity(device), detail))
        conditions = device.get("conditions") or ()
        if len(conditions) > MOST_CONDITIONS:
            found.append(causes.too_many(f"{where}.conditions", len(conditions), MOST_CONDITIONS))
        found += check_conditions(conditions, f"{where}.conditions")
        if device.get("data"):
            found += parts.raw(device["data"], f"{where}.data", parts.LONGEST_PARAMETERS)
        network = device.get("networkData")
        return found if network is None else found + _network(network, f"{where}.networkData")

    return parts.unique(devices, len(devices), check_one, path, _identity)


def _network(data: Obj, path: str) -> list[Cause]:
    found = [
        causes.too_long(f"{path}.{key}", limit)
        for key, limit in _LENGTHS
        if len((data.get(key) or "").encode()) > limit
    ]
    return found + parts.unique(
        data.get("ips"), MOST_ADDRESSES, _interface_address, f"{path}.ips", lambda text: text
    )


def _interface_address(text: str, path: str) -> list[Cause]:
    """An address with the length of its network, in the one form that is its own."""
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        address = None
    if address is None or "/" not in text:
        detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
        return [causes.invalid(path, text, detail)]
    if str(address) == text:
        return []
    return [causes.invalid(path, text, f"must be in canonical form ({causes.render(str(address))})")]
