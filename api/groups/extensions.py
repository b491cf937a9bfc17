"""What extends the API itself: CustomResourceDefinitions and APIServices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.extensions.approval import check_approval
from podium.api.extensions.jsonpath import JsonPath
from podium.api.extensions.structural import check_schema
from podium.api.groups import cells
from podium.api.strategy import CREATED_AT, NAME, Strategy
from podium.api.types import Obj, resources
from podium.api.types.errors import Cause
from podium.api.types.resources import Resource
from podium.api.validation import causes, metadata, names, values, webhooks

SCOPES = ("Cluster", "Namespaced")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
SELECTABLE = ("string", "boolean", "integer")
LONGEST_WARNING = 256
HIGHEST_GROUP, HIGHEST_VERSION = 20000, 1000
STRATEGIES_OF_CONVERSION = ("None", "Webhook")
REVIEWS = ("v1", "v1beta1")


class CustomResourceDefinitions(Strategy):
    has_generation = True
    lengthy = True
    columns = (NAME, CREATED_AT)

    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        wanted = spec.setdefault("names", {})
        kind = wanted.get("kind", "")
        if kind:
            wanted["singular"] = wanted.get("singular") or kind.lower()
            wanted["listKind"] = wanted.get("listKind") or f"{kind}List"
        spec.setdefault("conversion", {"strategy": "None"})
        for version in spec.get("versions") or ():
            for key in ("served", "storage"):
                version.setdefault(key, False)
        service = (((spec["conversion"].get("webhook") or {}).get("clientConfig")) or {}).get("service")
        if service is not None:
            service.setdefault("port", 443)

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        accepted = {"plural": "", "kind": ""}
        obj["status"] = {"conditions": [], "acceptedNames": accepted, "storedVersions": _stored(obj)}

    def prepare_update(self, new: Obj, old: Obj) -> None:
        super().prepare_update(new, old)
        status = new.get("status") or {}
        before = status.get("storedVersions") or []
        now = list(dict.fromkeys([*before, *_stored(new)]))
        if now != before:
            new["status"] = {**status, "storedVersions": now}

    def check(self, obj: Obj) -> list[Cause]:
        return self._check(obj, ()) + check_approval(obj)

    def _check(self, obj: Obj, former: Sequence[Obj | None]) -> list[Cause]:
        """Schemas among the `former` ones were judged when they came."""
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
        if spec.get("preserveUnknownFields"):
            detail = (
                "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                "spec.versions[*].schema instead"
            )
            found.append(causes.invalid("spec.preserveUnknownFields", True, detail))
        found += _versions(spec.get("versions") or (), former)
        return found + _conversion(spec.get("conversion") or {})

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        found = self._check(new, [_schema(version) for version in old["spec"].get("versions") or ()])
        found += check_approval(new, old)
        if any(
            entry.get("type") == "Established" for entry in (old.get("status") or {}).get("conditions") or ()
        ):
            found += metadata.immutable(new["spec"].get("scope"), old["spec"].get("scope"), "spec.scope")
            now, before = ((obj["spec"].get("names") or {}).get("kind") for obj in (new, old))
            found += metadata.immutable(now, before, "spec.names.kind")
        found += metadata.immutable(new["spec"].get("group"), old["spec"].get("group"), "spec.group")
        now, before = ((obj["spec"].get("names") or {}).get("plural") for obj in (new, old))
        return found + metadata.immutable(now, before, "spec.names.plural") + _stored_versions(new)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return _stored_versions(new)


def _stored(obj: Obj) -> list[str]:
    versions = obj["spec"].get("versions") or ()
    return [version.get("name", "") for version in versions if version.get("storage")][:1]


def _stored_versions(obj: Obj) -> list[Cause]:
    path, stored = "status.storedVersions", (obj.get("status") or {}).get("storedVersions") or []
    if not stored:
        return [causes.invalid(path, stored, "must have at least one stored version")]
    found: list[Cause] = []
    for name in _stored(obj):
        if name not in stored:
            found.append(causes.invalid(path, stored, f"must have the storage version {name}"))
    known = {version.get("name") for version in obj["spec"].get("versions") or ()}
    for index, name in enumerate(stored):
        if name not in known:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and "
                f"removes {name} from status.storedVersions"
            )
            found.append(causes.invalid(f"{path}[{index}]", name, detail))
    return found


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
            wrong = names.dns_1035_label(text.lower() if key in ("kind", "listKind") else text)
            if wrong:
                mixed = (
                    "may have mixed case, but should otherwise match: " if key in ("kind", "listKind") else ""
                )
                found.append(causes.invalid(f"spec.names.{key}", text, mixed + ",".join(wrong)))
    for key in ("shortNames", "categories"):
        for index, text in enumerate(wanted.get(key) or ()):
            found += values.named(text, f"spec.names.{key}[{index}]", names.dns_1035_label)
    if wanted.get("kind") and wanted.get("kind") == wanted.get("listKind"):
        detail = "kind and listKind may not be the same"
        found.append(causes.invalid("spec.names.listKind", wanted["listKind"], detail))
    return found


def _versions(versions: Any, former: Sequence[Obj | None]) -> list[Cause]:
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
            found.append(causes.invalid("spec.versions", versions, "must contain unique version names"))
        seen.add(name)
        found += _version(version, path, former)
    return found


def _schema(version: Obj) -> Obj | None:
    schema: Obj | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema


def _version(version: Obj, path: str, former: Sequence[Obj | None]) -> list[Cause]:
    found: list[Cause] = []
    schema = _schema(version)
    if schema is None:
        found.append(causes.required(f"{path}.schema.openAPIV3Schema"))
    elif schema not in former:
        found += check_schema(schema, f"{path}.schema.openAPIV3Schema")
    warning = version.get("deprecationWarning")
    if warning is not None:
        for wrong in _warning(warning, bool(version.get("deprecated"))):
            found.append(causes.invalid(f"{path}.deprecationWarning", warning, wrong))
    found += _subresources(version.get("subresources") or {}, f"{path}.subresources")
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        found += _column(column, f"{path}.additionalPrinterColumns[{index}]")
    return found + _selectable(
        version.get("selectableFields") or (), schema or {}, f"{path}.selectableFields"
    )


def _warning(text: str, deprecated: bool) -> list[str]:
    found = [] if deprecated else ["can only be set for deprecated versions"]
    if len(text) > LONGEST_WARNING:
        found.append(f"must be <= {LONGEST_WARNING} characters long")
    if not text:
        found.append("must not be an empty string")
    index = next((index for index, each in enumerate(text) if not each.isprintable()), None)
    if index is not None:
        why = "must only contain printable UTF-8 characters; non-printable character found at index"
        found.append(f"{why} {index}")
    return found


def _subresources(parts: Obj, path: str) -> list[Cause]:
    scale = parts.get("scale")
    if scale is None:
        return []
    found: list[Cause] = []
    for key, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        at, text = f"{path}.scale.{key}", scale.get(key) or ""
        if not text:
            if key != "labelSelectorPath":
                found.append(causes.required(at))
        elif not text.startswith(roots) or "[" in text:
            where = " or ".join(root.rstrip(".") for root in roots)
            both = "either " if len(roots) > 1 else ""
            found.append(causes.invalid(at, text, f"should be a json path under {both}{where}"))
    return found


def _column(column: Obj, path: str) -> list[Cause]:
    found: list[Cause] = [] if column.get("name") else [causes.required(f"{path}.name")]
    kind, form, text = column.get("type"), column.get("format"), column.get("jsonPath")
    if not kind:
        found.append(causes.required(f"{path}.type", f"must be one of {','.join(COLUMN_TYPES)}"))
    elif kind not in COLUMN_TYPES:
        found.append(causes.invalid(f"{path}.type", kind, f"must be one of {','.join(COLUMN_TYPES)}"))
    if form and form not in COLUMN_FORMATS:
        found.append(causes.invalid(f"{path}.format", form, f"must be one of {','.join(COLUMN_FORMATS)}"))
    if not text:
        found.append(causes.required(f"{path}.JSONPath"))
    else:
        found += _json_path(text, f"{path}.JSONPath")
    return found


def _json_path(text: str, path: str) -> list[Cause]:
    try:
        JsonPath(text)
    except ValueError as error:
        return [causes.invalid(path, text, f"is an invalid path: {error}")]
    return [] if text.startswith((".", "[", "$")) else [causes.invalid(path, text, "must start with a dot")]


def _selectable(fields: Any, schema: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, entry in enumerate(fields):
        at, text = f"{path}[{index}].jsonPath", entry.get("jsonPath") or ""
        if not text:
            found.append(causes.required(at))
            continue
        child: Any = schema
        for step in text.removeprefix(".").split("."):
            child = (child.get("properties") or {}).get(step) if isinstance(child, dict) else None
        if text.startswith(".metadata"):
            found.append(causes.invalid(at, text, "must not point to fields in metadata"))
        elif child is None or not text.startswith("."):
            detail = "is an invalid path: does not refer to a valid field"
            found.append(causes.invalid(at, text, detail))
        elif child.get("type") not in SELECTABLE:
            detail = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings "
                "with formats are allowed."
            )
            found.append(causes.invalid(at, text, detail))
        if text in seen:
            found.append(causes.duplicate(at, text))
        seen.add(text)
    return found


def _conversion(conversion: Obj, path: str = "spec.conversion") -> list[Cause]:
    """The paths are those of upstream's messages."""
    found = values.one_of(conversion.get("strategy"), f"{path}.strategy", STRATEGIES_OF_CONVERSION)
    webhook = conversion.get("webhook") or {}
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or ()
    places = ((client, f"{path}.webhookClientConfig"), (versions, f"{path}.conversionReviewVersions"))
    if conversion.get("strategy") != "Webhook":
        detail = "should not be set when strategy is not set to Webhook"
        return found + [causes.forbidden(at, detail) for given, at in places if given]
    if client is None:
        found.append(causes.required(places[0][1], "required when strategy is set to Webhook"))
    else:
        found += webhooks.check_client(client, places[0][1])
    return found + _review_versions(versions, places[1][1])


def _review_versions(versions: Sequence[str], path: str) -> list[Cause]:
    if not versions:
        return [causes.required(path)]
    found: list[Cause] = []
    for index, version in enumerate(versions):
        at = f"{path}[{index}]"
        if version in versions[:index]:
            found.append(causes.invalid(at, version, "duplicate version"))
        else:
            found += values.named(version, at, names.dns_1035_label)
    if not set(versions) & set(REVIEWS):
        detail = f"must include at least one of {', '.join(REVIEWS)}"
        found.append(causes.invalid(path, versions, detail))
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
