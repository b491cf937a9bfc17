"""NetworkPolicies."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values
from podium.api.validation.selectors import label_selector

TYPES = ("Ingress", "Egress")
PROTOCOLS = ("TCP", "UDP", "SCTP")


class NetworkPolicies(Strategy):
    has_generation = True
    columns = cells.table("Name", "Pod-Selector", "Age")

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("podSelector", {})
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
        for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
            for port in rule.get("ports") or ():
                port.setdefault("protocol", "TCP")

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = label_selector(spec.get("podSelector"), "spec.podSelector")
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for number, rule in enumerate(spec.get(direction) or ()):
                path = f"spec.{direction}[{number}]"
                for index, port in enumerate(rule.get("ports") or ()):
                    found += _port(port, f"{path}.ports[{index}]")
                for index, peer in enumerate(rule.get(side) or ()):
                    found += _peer(peer, f"{path}.{side}[{index}]")
        types = spec.get("policyTypes") or []
        if len(types) > len(TYPES):
            detail = "may not specify more than two policyTypes"
            found.append(causes.invalid("spec.policyTypes", types, detail))
            return found
        for index, kind in enumerate(types):
            found += values.optional_one_of(kind, f"spec.policyTypes[{index}]", TYPES)
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        selector = cells.selector((obj.get("spec") or {}).get("podSelector"))
        return [obj["metadata"]["name"], selector, cells.age(obj, now)]


def _port(port: Obj, path: str) -> list[Cause]:
    found = values.optional_one_of(port.get("protocol"), f"{path}.protocol", PROTOCOLS)
    number, end = port.get("port"), port.get("endPort")
    if number is None:
        if end is not None:
            detail = "may not be specified when `port` is not specified"
            found.append(causes.invalid(f"{path}.endPort", end, detail))
    elif isinstance(number, str):
        if end is not None:
            detail = "may not be specified when `port` is non-numeric"
            found.append(causes.invalid(f"{path}.endPort", end, detail))
        found += values.named(number, f"{path}.port", names.port_name)
    else:
        found += values.port(number, f"{path}.port")
        if end is not None:
            if end < number:
                detail = "must be greater than or equal to `port`"
                found.append(causes.invalid(f"{path}.endPort", number, detail))
            found += values.port(end, f"{path}.endPort")
    return found


def _peer(peer: Obj, path: str) -> list[Cause]:
    keys = [key for key in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(key) is not None]
    if not keys:
        return [causes.required(path, "must specify a peer")]
    found: list[Cause] = []
    for key in keys:
        if key == "ipBlock":
            found += _block(peer[key], f"{path}.ipBlock")
        else:
            found += label_selector(peer[key], f"{path}.{key}")
    if len(keys) > 1 and "ipBlock" in keys:
        found.append(causes.forbidden(path, "may not specify both ipBlock and another peer"))
    return found


def _block(block: Obj, path: str) -> list[Cause]:
    text = block.get("cidr", "")
    if not text:
        return [causes.required(f"{path}.cidr")]
    found = values.cidr(text, f"{path}.cidr")
    if found:
        return found
    whole = ipaddress.ip_network(text, strict=False)
    for index, entry in enumerate(block.get("except") or ()):
        where = f"{path}.except[{index}]"
        wrong = values.cidr(entry, where)
        if not wrong:
            part = ipaddress.ip_network(entry, strict=False)
            inside = part.version == whole.version and part.network_address in whole
            if not inside or part.prefixlen <= whole.prefixlen:
                wrong = [causes.invalid(where, entry, "must be a strict subset of `cidr`")]
        found += wrong
    return found
