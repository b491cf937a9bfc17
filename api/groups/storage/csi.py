"""What CSI drivers and the nodes say of each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.volume_sources import driver_name
from podium.api.groups.core.volumes import check_inline
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values
from podium.api.validation.selectors import label_selector

LEAST_PERIOD = 10  # seconds between two looks at how many volumes a node takes
LEAST_TOKEN, MOST_TOKEN = 600, 1 << 32  # seconds
LONGEST_NODE_ID = 256
MOST_ATTACHMENT_BYTES = 256 * 1024
LONGEST_ERROR = 1024
GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLES = ("Ephemeral", "Persistent")


class CSIDrivers(Strategy):
    has_generation = True
    disabled = ("preventPodSchedulingIfMissing",)
    columns = cells.table(
        "Name", "AttachRequired:boolean", "PodInfoOnMount:boolean", "StorageCapacity:boolean",
        "TokenRequests", "RequiresRepublish:boolean", "Modes", "Age",
    )  # fmt: skip

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("attachRequired", True)
        for key in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
            spec.setdefault(key, False)
        spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
        if not spec.get("volumeLifecycleModes"):
            spec["volumeLifecycleModes"] = ["Persistent"]

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = values.optional_one_of(spec.get("fsGroupPolicy"), "spec.fsGroupPolicy", GROUP_POLICIES)
        found += _token_requests(spec.get("tokenRequests") or ())
        for mode in spec.get("volumeLifecycleModes") or ():
            found += values.optional_one_of(mode, "spec.volumeLifecycleModes", LIFECYCLES)
        period = spec.get("nodeAllocatableUpdatePeriodSeconds")
        if period is not None and period < LEAST_PERIOD:
            path = "spec.nodeAllocatableUpdatePeriodSeconds"
            detail = f"must be greater than or equal to {LEAST_PERIOD} seconds"
            found.append(causes.invalid(path, period, detail))
        in_secrets = spec.get("serviceAccountTokenInSecrets")
        if in_secrets is not None and not spec.get("tokenRequests"):
            detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
            found.append(causes.invalid("spec.serviceAccountTokenInSecrets", in_secrets, detail))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = self.check(new)
        for key, path in (("attachRequired", "attachedRequired"), ("volumeLifecycleModes",) * 2):
            found += metadata.immutable(new["spec"].get(key), old["spec"].get(key), f"spec.{path}")
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        tokens = spec.get("tokenRequests")
        audiences = cells.UNSET if tokens is None else ",".join(token.get("audience", "") for token in tokens)
        return [
            obj["metadata"]["name"], spec.get("attachRequired", True), spec.get("podInfoOnMount", False),
            spec.get("storageCapacity", False), audiences, spec.get("requiresRepublish", False),
            ",".join(spec.get("volumeLifecycleModes") or ()) or cells.NONE, cells.age(obj, now),
        ]  # fmt: skip


def _token_requests(requests: Sequence[Obj]) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, request in enumerate(requests):
        path, audience = f"spec.tokenRequests[{index}]", request.get("audience", "")
        if audience in seen:
            found.append(causes.duplicate(f"{path}.audience", audience))
            continue
        seen.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is not None and seconds < LEAST_TOKEN:
            detail = "may not specify a duration less than 10 minutes"
            found.append(causes.invalid(f"{path}.expirationSeconds", seconds, detail))
        if seconds is not None and seconds > MOST_TOKEN:
            detail = "may not specify a duration larger than 2^32 seconds"
            found.append(causes.invalid(f"{path}.expirationSeconds", seconds, detail))
    return found


class CSINodes(Strategy):
    columns = cells.table("Name", "Drivers:integer", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        seen: set[str] = set()
        for index, driver in enumerate(_drivers(obj)):
            path, name = f"spec.drivers[{index}]", driver.get("name", "")
            found += driver_name(name, f"{path}.name") + _node_id(driver.get("nodeID", ""), f"{path}.nodeID")
            count = (driver.get("allocatable") or {}).get("count")
            found += values.not_negative(count, f"{path}.allocatable.count")
            if name in seen:
                found.append(causes.duplicate(f"{path}.name", name))
            seen.add(name)
            found += _topology_keys(driver.get("topologyKeys") or (), path)
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        """A driver says of a node what it is, once; how many volumes it takes may change."""
        known = {driver.get("name"): _without_count(driver) for driver in _drivers(old)}
        return self.check(new) + [
            causes.immutable("spec.drivers", _without_count(driver))
            for driver in _drivers(new)
            if known.get(driver.get("name"), _without_count(driver)) != _without_count(driver)
        ]

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [
            obj["metadata"]["name"],
            len((obj.get("spec") or {}).get("drivers") or ()),
            cells.age(obj, now),
        ]


def _drivers(obj: Obj) -> Sequence[Obj]:
    return (obj.get("spec") or {}).get("drivers") or ()


def _without_count(driver: Obj) -> Obj:
    return {key: value for key, value in driver.items() if key != "allocatable"}


def _node_id(text: str, path: str) -> list[Cause]:
    if len(text) > LONGEST_NODE_ID:
        return [causes.invalid(path, text, f"must be {LONGEST_NODE_ID} characters or less")]
    return [] if text else [causes.required(path)]


def _topology_keys(keys: Sequence[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, key in enumerate(keys):
        found += [] if key else [causes.required(path)]
        found += [causes.duplicate(path, key)] if key in keys[:index] else []
        found += values.named(key, path, names.qualified)
    return found


class CSIStorageCapacities(Strategy):
    columns = cells.table("Name", "StorageClassName", "Capacity")

    def check(self, obj: Obj) -> list[Cause]:
        found = label_selector(obj.get("nodeTopology"), "nodeTopology")
        found += values.named(obj.get("storageClassName", ""), "storageClassName", names.dns_subdomain)
        capacity = obj.get("capacity")
        return found + (values.amount(capacity, "capacity") if capacity is not None else [])

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found: list[Cause] = []
        for key in ("nodeTopology", "storageClassName"):
            found += metadata.immutable(new.get(key), old.get(key), key)
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], obj.get("storageClassName", ""), obj.get("capacity") or cells.UNSET]


class VolumeAttachments(Strategy):
    columns = cells.table("Name", "Attacher:string:0:name", "PV", "Node", "Attached:boolean", "Age")

    def default(self, obj: Obj) -> None:
        obj.setdefault("spec", {})

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        obj["status"] = {"attached": False}

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = driver_name(spec.get("attacher", ""), "spec.attacher")
        found += _attached(spec.get("source") or {}, "spec.source")
        return found + values.named(spec.get("nodeName", ""), "spec.nodeName", names.dns_subdomain)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return self.check(new) + metadata.immutable(new["spec"], old["spec"], "spec")

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        status = new.get("status") or {}
        facts: dict[str, str] = status.get("attachmentMetadata") or {}
        found: list[Cause] = []
        if sum(len(key) + len(text) for key, text in facts.items()) > MOST_ATTACHMENT_BYTES:
            found.append(causes.too_long("status.attachmentMetadata", MOST_ATTACHMENT_BYTES))
        for part in ("attachError", "detachError"):
            error = status.get(part) or {}
            if len(error.get("message", "")) > LONGEST_ERROR:
                found.append(causes.too_long(f"status.{part}.message", MOST_ATTACHMENT_BYTES))
            code = error.get("errorCode")
            if code is not None and code < 0:
                detail = values.in_range(0, 2**31 - 1)
                found.append(causes.invalid(f"status.{part}.errorCode", code, detail))
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        return [
            obj["metadata"]["name"], spec.get("attacher", ""),
            (spec.get("source") or {}).get("persistentVolumeName") or "", spec.get("nodeName", ""),
            bool((obj.get("status") or {}).get("attached")), cells.age(obj, now),
        ]  # fmt: skip


def _attached(source: Obj, path: str) -> list[Cause]:
    name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if name is None and inline is None:
        return [causes.required(path, detail)]
    if name is not None and inline is not None:
        return [causes.forbidden(path, detail)]
    if name is not None:
        where = f"{path}.persistentVolumeName"
        if not name:
            return [causes.required(where, "must specify non empty persistentVolumeName")]
        return values.named(name, where, names.dns_subdomain)
    return check_inline(inline or {}, f"{path}.inlineVolumeSpec")
