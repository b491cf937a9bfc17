"""ServiceCIDRs and IPAddresses: the records of service addresses."""

from __future__ import annotations

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
            return [causes.invalid("spec.cidrs", {"CIDRs": listed}, "may only hold up to 2 values")]
        found: list[Cause] = []
        for index, text in enumerate(listed):
            found += values.canonical_cidr(text, f"spec.cidrs[{index}]")
        if not found and len(listed) > len({":" in text for text in listed}):
            detail = (
                "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            )
            found.append(causes.invalid("spec.cidrs", listed, detail))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        """A range stays; a second one, of the other family, may come."""
        now, before = ((obj.get("spec") or {}).get("cidrs") or [] for obj in (new, old))
        grown = len(before) == 1 and len(now) == 2
        if len(now) != len(before) and not grown:
            return [causes.immutable("spec.cidrs", now)]
        pairs = enumerate(zip(now, before, strict=False))
        found = [causes.immutable(f"spec.cidrs[{index}]", new) for index, (new, old) in pairs if new != old]
        return found + (self.check(new) if grown else [])

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
        return tuple(
            cause.message.removeprefix(f"Invalid value: {causes.render(name)}: ")
            for cause in values.canonical_address(name, "")
        )

    def check(self, obj: Obj) -> list[Cause]:
        parent = (obj.get("spec") or {}).get("parentRef")
        if parent is None:
            return [causes.required("spec.parentRef")]
        found: list[Cause] = []
        if parent.get("group"):
            found += values.named(parent["group"], "spec.parentRef.group", names.dns_subdomain)
        for key in ("resource", "name", "namespace"):
            path = f"spec.parentRef.{key}"
            if parent.get(key):
                found += values.named(parent[key], path, names.path_segment)
            elif key != "namespace":
                found.append(causes.required(path))
        return found

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
