"""Environment variables and where their values come from."""

from __future__ import annotations

import re
from collections.abc import Iterable

from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values

ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
)  # fmt: skip
RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_SUBSCRIPT = re.compile(r"metadata\.(annotations|labels)\['(.*)'\]")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def check(variables: Iterable[Obj], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, variable in enumerate(variables):
        name = variable.get("name")
        if not name:
            found.append(causes.required(f"{path}[{index}].name"))
        else:
            found += values.named(name, f"{path}[{index}].name", names.env_name)
        if variable.get("valueFrom") is not None:
            found += _source(variable, f"{path}[{index}].valueFrom")
    return found


def _source(variable: Obj, path: str) -> list[Cause]:
    source = variable["valueFrom"]
    found: list[Cause] = []
    if (field := source.get("fieldRef")) is not None:
        found += field_ref(field, ENV_FIELDS, f"{path}.fieldRef")
    if (resource := source.get("resourceFieldRef")) is not None:
        found += resource_ref(resource, f"{path}.resourceFieldRef", in_volume=False)
    for key in ("configMapKeyRef", "secretKeyRef"):
        if (reference := source.get(key)) is not None:
            found += _key_ref(reference, f"{path}.{key}")
    count = sum(source.get(key) is not None for key in _SOURCES)
    if count == 0:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        found.append(causes.invalid(path, "", f"must specify one of: {listed}"))
    elif variable.get("value"):
        found.append(causes.invalid(path, "", "may not be specified when `value` is not empty"))
    elif count > 1:
        found.append(causes.invalid(path, "", "may not have more than one field specified at a time"))
    return found


def field_ref(field: Obj, supported: tuple[str, ...], path: str) -> list[Cause]:
    """A reference to a field of the pod; labels and annotations may have a subscript."""
    expression = field.get("fieldPath", "")
    if not field.get("apiVersion"):
        return [causes.required(f"{path}.apiVersion")]
    if not expression:
        return [causes.required(f"{path}.fieldPath")]
    if subscript := _SUBSCRIPT.fullmatch(expression):
        rule = names.annotation_key if subscript.group(1) == "annotations" else names.qualified
        return values.named(subscript.group(2), path, rule)
    known = expression in (*ENV_FIELDS, *VOLUME_FIELDS)
    if not known and expression.split(".")[0] not in ("metadata", "spec", "status"):
        detail = f"error converting fieldPath: field label not supported: {expression}"
        return [causes.invalid(f"{path}.fieldPath", expression, detail)]
    if expression not in supported:
        return [causes.not_supported(f"{path}.fieldPath", expression, supported)]
    return []


def resource_ref(reference: Obj, path: str, *, in_volume: bool) -> list[Cause]:
    resource = reference.get("resource", "")
    if in_volume and not reference.get("containerName"):
        return [causes.required(f"{path}.containerName")]
    if not resource:
        return [causes.required(f"{path}.resource")]
    if resource in RESOURCES or resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        return []
    return [causes.not_supported(f"{path}.resource", resource, RESOURCES)]


def _key_ref(reference: Obj, path: str) -> list[Cause]:
    found = []
    if name := reference.get("name"):
        found += values.named(name, f"{path}.name", names.dns_subdomain)
    if not reference.get("key"):
        found.append(causes.required(f"{path}.key"))
    else:
        found += values.named(reference["key"], f"{path}.key", names.config_key)
    return found


def check_from(sources: Iterable[Obj], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, source in enumerate(sources):
        where = f"{path}[{index}]"
        if prefix := source.get("prefix"):
            found += values.named(prefix, f"{where}.prefix", names.env_name)
        given = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        for key in given:
            if not source[key].get("name"):
                found.append(causes.required(f"{where}.{key}.name"))
            else:
                found += values.named(source[key]["name"], f"{where}.{key}.name", names.dns_subdomain)
        if not given:
            found.append(causes.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            found.append(causes.invalid(path, "", "may not have more than one field specified at a time"))
    return found
