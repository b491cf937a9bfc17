"""Environment variables and where their values come from."""

from __future__ import annotations

import re
from collections.abc import Iterable

from podium.api.types import Obj, quantity
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
# What a field of the pod may be called, though neither an environment nor a volume shows it.
_ALSO_FIELDS = ("spec.restartPolicy", "spec.schedulerName", "status.phase")
_SUBSCRIPT = re.compile(r"(.*)\['(.*)'\]", re.DOTALL)
_ALL_SIZES = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
_SIZES = tuple(_ALL_SIZES.split(", "))
# What a resource may be divided by, and what it is called then.
_DIVISORS = {
    "cpu": (("1m", "1"), "1m and 1", "cpu"),
    "memory": (_SIZES, _ALL_SIZES, "memory"),
    "ephemeral-storage": (_SIZES, _ALL_SIZES, "local ephemeral storage"),
    "hugepages-": (_SIZES, _ALL_SIZES, "hugepages"),
}
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
    if (file := source.get("fileKeyRef")) is not None:
        found += _file_ref(file, f"{path}.fileKeyRef")
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
        kind, key = subscript.groups()
        if kind not in ("metadata.annotations", "metadata.labels"):
            detail = f"error converting fieldPath: field label does not support subscript: {expression}"
            return [causes.invalid(f"{path}.fieldPath", expression, detail)]
        return values.named(key.lower() if kind == "metadata.annotations" else key, path, names.qualified)
    if expression not in (*ENV_FIELDS, *VOLUME_FIELDS, *_ALSO_FIELDS):
        detail = f"error converting fieldPath: field label not supported: {expression}"
        return [causes.invalid(f"{path}.fieldPath", expression, detail)]
    if expression not in supported:
        return [causes.not_supported(f"{path}.fieldPath", expression, supported)]
    return []


def resource_ref(reference: Obj, path: str, *, in_volume: bool) -> list[Cause]:
    resource, found = reference.get("resource", ""), []
    known = resource in RESOURCES or resource.startswith(("limits.hugepages-", "requests.hugepages-"))
    if in_volume and not reference.get("containerName"):
        found.append(causes.required(f"{path}.containerName"))
    elif not resource:
        found.append(causes.required(f"{path}.resource"))
    elif not known:
        found.append(causes.not_supported(f"{path}.resource", resource, RESOURCES))
    return found + _divisor(resource, str(reference.get("divisor") or "0"), path)


def _divisor(resource: str, divisor: str, path: str) -> list[Cause]:
    what = resource.partition(".")[2]
    rule = _DIVISORS.get("hugepages-" if what.startswith("hugepages-") else what)
    if rule is None or not quantity.parse(divisor) or divisor in rule[0]:
        return []
    detail = f"only divisor's values {rule[1]} are supported with the {rule[2]} resource"
    return [causes.invalid(f"{path}.divisor", resource, detail)]


def _file_ref(reference: Obj, path: str) -> list[Cause]:
    rules = (("key", names.env_name), ("volumeName", names.dns_label))
    found = []
    for key, rule in rules:
        if reference.get(key):
            found += values.named(reference[key], f"{path}.{key}", rule)
        else:
            found.append(causes.required(f"{path}.{key}"))
    if not reference.get("path"):
        return [*found, causes.required(f"{path}.path")]
    return found + values.no_backsteps(reference["path"], f"{path}.path")


def _key_ref(reference: Obj, path: str) -> list[Cause]:
    found = values.named(reference.get("name", ""), f"{path}.name", names.dns_subdomain)
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
