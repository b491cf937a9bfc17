"""What CSI drivers and the nodes say of each other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import Strategy, same
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, values

GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLES = ("Ephemeral", "Persistent")


class CSIDrivers(Strategy):
    has_generation = True
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
        for mode in spec.get("volumeLifecycleModes") or ():
            found += values.optional_one_of(mode, "spec.volumeLifecycleModes", LIFECYCLES)
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = self.check(new)
        for key in ("attachRequired", "volumeLifecycleModes"):
            found += metadata.immutable(new["spec"].get(key), old["spec"].get(key), f"spec.{key}")
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


class CSINodes(Strategy):
    columns = cells.table("Name", "Drivers:integer", "Age")

    def check(self, obj: Obj) -> list[Cause]:
        found: list[Cause] = []
        seen: set[str] = set()
        for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
            path, name = f"spec.drivers[{index}]", driver.get("name", "")
            found += [causes.required(f"{path}.{key}") for key in ("name", "nodeID") if not driver.get(key)]
            if name in seen:
                found.append(causes.duplicate(f"{path}.name", name))
            seen.add(name)
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [
            obj["metadata"]["name"],
            len((obj.get("spec") or {}).get("drivers") or ()),
            cells.age(obj, now),
        ]


class CSIStorageCapacities(Strategy):
    columns = cells.table("Name", "StorageClassName", "Capacity")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found: list[Cause] = []
        for key in ("nodeTopology", "storageClassName"):
            found += metadata.immutable(new.get(key), old.get(key), key)
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], obj.get("storageClassName", ""), obj.get("capacity") or cells.UNSET]


class VolumeAttachments(Strategy):
    columns = cells.table("Name", "Attacher:string:0:name", "PV", "Node", "Attached:boolean", "Age")
    fields = same("spec.attacher", "spec.nodeName")

    def default(self, obj: Obj) -> None:
        obj.setdefault("spec", {})

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        obj["status"] = {"attached": False}

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        found = [causes.required(f"spec.{key}") for key in ("attacher", "nodeName") if not spec.get(key)]
        source = spec.get("source") or {}
        if (source.get("persistentVolumeName") is None) == (source.get("inlineVolumeSpec") is None):
            detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            found.append(causes.required("spec.source", detail))
        return found

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        return metadata.immutable(new["spec"], old["spec"], "spec")

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        return [
            obj["metadata"]["name"], spec.get("attacher", ""),
            (spec.get("source") or {}).get("persistentVolumeName") or "", spec.get("nodeName", ""),
            bool((obj.get("status") or {}).get("attached")), cells.age(obj, now),
        ]  # fmt: skip
