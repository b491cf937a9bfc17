"""What extends the API itself: CustomResourceDefinitions and APIServices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.strategy import CREATED_AT, NAME, Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, metadata, names, values

SCOPES = ("Cluster", "Namespaced")
HIGHEST_GROUP, HIGHEST_VERSION = 20000, 1000


class CustomResourceDefinitions(Strategy):
    has_generation = True
    columns = (NAME, CREATED_AT)

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        wanted = spec.setdefault("names", {})
        kind = wanted.get("kind", "")
        if kind:
            wanted["singular"] = wanted.get("singular") or kind.lower()
            wanted["listKind"] = wanted.get("listKind") or f"{kind}List"
        spec.setdefault("conversion", {"strategy": "None"})
        service = (((spec["conversion"].get("webhook") or {}).get("clientConfig")) or {}).get("service")
        if service is not None:
            service.setdefault("port", 443)

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        stored = [
            version.get("name", "") for version in obj["spec"].get("versions") or () if version.get("storage")
        ]
        accepted = {"plural": "", "kind": ""}
        obj["status"] = {"conditions": [], "acceptedNames": accepted, "storedVersions": stored[:1]}

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj["spec"]
        group, wanted = spec.get("group", ""), spec.get("names") or {}
        found: list[Cause] = []
        expected = f"{wanted.get('plural', '')}.{group}"
        name = obj["metadata"].get("name", "")
        if name != expected:
            detail = 'must be spec.names.plural+"."+spec.group'
            found.append(causes.invalid("metadata.name", name, detail))
        found += _group(group)
        found += values.one_of(spec.get("scope"), "spec.scope", SCOPES)
        found += _names(wanted)
        return found + _versions(spec.get("versions") or ())

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = self.check(new)
        if any(
            entry.get("type") == "Established" for entry in (old.get("status") or {}).get("conditions") or ()
        ):
            found += metadata.immutable(new["spec"].get("scope"), old["spec"].get("scope"), "spec.scope")
            now, before = ((obj["spec"].get("names") or {}).get("kind") for obj in (new, old))
            found += metadata.immutable(now, before, "spec.names.kind")
        found += metadata.immutable(new["spec"].get("group"), old["spec"].get("group"), "spec.group")
        now, before = ((obj["spec"].get("names") or {}).get("plural") for obj in (new, old))
        return found + metadata.immutable(now, before, "spec.names.plural")


def _group(group: str) -> list[Cause]:
    if not group:
        return [causes.required("spec.group")]
    found = values.named(group, "spec.group", names.dns_subdomain)
    if "." not in group:
        found.append(causes.invalid("spec.group", group, "should be a domain with at least one dot"))
    return found


def _names(wanted: Obj) -> list[Cause]:
    found: list[Cause] = []
    for key in ("plural", "singular", "kind", "listKind"):
        text = wanted.get(key, "")
        if not text:
            found.append(causes.required(f"spec.names.{key}"))
        else:
            found += values.named(text.lower(), f"spec.names.{key}", names.dns_1035_label)
    if wanted.get("kind") and wanted.get("kind") == wanted.get("listKind"):
        detail = "kind and listKind may not be the same"
        found.append(causes.invalid("spec.names.listKind", wanted["listKind"], detail))
    return found


def _versions(versions: Any) -> list[Cause]:
    found: list[Cause] = []
    stored = [version.get("name") for version in versions if version.get("storage")]
    if len(stored) != 1:
        listed = [version.get("name") for version in versions]
        detail = "must have exactly one version marked as storage version"
        found.append(causes.invalid("spec.versions", listed, detail))
    seen: set[str] = set()
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name", "")
        found += values.named(name, f"{path}.name", names.dns_1035_label)
        if name in seen:
            found.append(causes.duplicate(f"{path}.name", name))
        seen.add(name)
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            detail = "schemas are required"
            found.append(causes.required(f"{path}.schema.openAPIV3Schema", detail))
    return found


class APIServices(Strategy):
    # That of the core group ends in a dot.
    name_rule = staticmethod(names.path_segment)
    columns = cells.table("Name", "Service", "Available", "Age")

    def default(self, obj: Obj) -> None:
        service = (obj.get("spec") or {}).get("service")
        if service is not None:
            service.setdefault("port", 443)

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        group, version, name = spec.get("group", ""), spec.get("version", ""), obj["metadata"].get("name", "")
        found: list[Cause] = []
        if name != f"{version}.{group}":
            detail = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
            found.append(causes.invalid("metadata.name", name, detail))
        if group:
            found += values.named(group, "spec.group", names.dns_subdomain)
        elif version != "v1":
            detail = "only v1 may have an empty group and it better be legacy kube"
            found.append(causes.required("spec.group", detail))
        found += values.named(version, "spec.version", names.dns_1035_label)
        bounds = (("groupPriorityMinimum", HIGHEST_GROUP), ("versionPriority", HIGHEST_VERSION))
        for key, most in bounds:
            value = spec.get(key, 0)
            if not 0 < value <= most:
                detail = f"must be positive and less than {most}"
                found.append(causes.invalid(f"spec.{key}", value, detail))
        return found + (_serving(spec) if spec.get("service") is not None else _served_here(spec))

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        found: list[Cause] = []
        for index, entry in enumerate((new.get("status") or {}).get("conditions") or ()):
            path = f"status.conditions[{index}].status"
            found += values.one_of(entry.get("status"), path, ("False", "True", "Unknown"))
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        service = (obj.get("spec") or {}).get("service")
        text = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
        return [obj["metadata"]["name"], text, _available(obj), cells.age(obj, now)]


def _served_here(spec: Obj) -> list[Cause]:
    found: list[Cause] = []
    if bundle := spec.get("caBundle"):
        detail = "local APIServices may not have a caBundle"
        found.append(causes.invalid("spec.caBundle", f"{len(bundle)} bytes", detail))
    if spec.get("insecureSkipTLSVerify"):
        detail = "local APIServices may not have insecureSkipTLSVerify"
        found.append(causes.invalid("spec.insecureSkipTLSVerify", True, detail))
    return found


def _serving(spec: Obj) -> list[Cause]:
    service = spec["service"]
    found = [causes.required(f"spec.service.{key}") for key in ("namespace", "name") if not service.get(key)]
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        found.append(causes.invalid("spec.service.port", port, detail))
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        detail = "may not be true if caBundle is present"
        found.append(causes.invalid("spec.insecureSkipTLSVerify", True, detail))
    return found


def _available(obj: Obj) -> str:
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry.get("type") == "Available":
            status, reason = entry.get("status", ""), entry.get("reason", "")
            return status if status == "True" else f"{status} ({reason})"
    return "Unknown"


STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.API_SERVICES: APIServices,
    resources.CUSTOM_RESOURCE_DEFINITIONS: CustomResourceDefinitions,
}
