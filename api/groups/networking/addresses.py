"""ServiceCIDRs and IPAddresses: the records of service addresses."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values


class ServiceCIDRs(Strategy):
    columns = cells.table("Name", "CIDRs", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        listed = (obj.get("spec") or {}).get("cidrs") or []
        if not listed:
            return [causes.required("spec.cidrs", "at least one CIDR required")]
        if len(listed) > 2:
            return [causes.invalid("spec", obj["spec"], "may only hold up to 2 values")]
        found: list[Cause] = []
        for index, text in enumerate(listed):
            found += values.cidr(text, f"spec.cidrs[{index}]")
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        now, before = ((obj.get("spec") or {}).get("cidrs") for obj in (new, old))
        return self.check(new) + metadata.immutable(now, before, "spec.cidrs")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [
            obj["metadata"]["name"],
            ",".join((obj.get("spec") or {}).get("cidrs") or ()),
            cells.age(obj, now),
        ]


class IPAddresses(Strategy):
    columns = cells.table("Name", "ParentRef")

    @staticmethod
    def name_rule(name: str) -> names.Messages:
        """The address itself, written in the one way that is its own."""
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return (f'ParseAddr("{name}"): unable to parse IP',)
        return () if str(address) == name else ("must be a canonical format IP address",)

    def check(self, obj: Obj) -> list[Cause]:
        parent = (obj.get("spec") or {}).get("parentRef")
        if parent is None:
            return [causes.required("spec.parentRef")]
        keys = ("resource", "name")
        return [causes.required(f"spec.parentRef.{key}") for key in keys if not parent.get(key)]

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        now, before = ((obj.get("spec") or {}).get("parentRef") for obj in (new, old))
        return metadata.immutable(now, before, "spec.parentRef")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        parent = (obj.get("spec") or {}).get("parentRef")
        if not parent:
            return [obj["metadata"]["name"], cells.NONE]
        group = f".{parent['group']}" if parent.get("group") else ""
        parts = [
            f"{parent.get('resource', '')}{group}".lower(),
            parent.get("namespace", ""),
            parent.get("name", ""),
        ]
        return [obj["metadata"]["name"], "/".join(part for part in parts if part)]
