"""Ingresses and IngressClasses."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

from podium.api.groups import cells
from podium.api.groups.core.service_validation import reached_at
from podium.api.groups.core.services import load_balancer
from podium.api.strategy import Strategy
from podium.api.types import Obj
from podium.api.types.errors import Cause
from podium.api.validation import causes, metadata, names, values

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
BAD_PARTS, BAD_ENDS = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")
LONGEST_CONTROLLER = 250
CLASS = "kubernetes.io/ingress.class"
DEFAULT = "ingressclass.kubernetes.io/is-default-class"


class Ingresses(Strategy):
    has_generation = True
    columns = cells.table("Name", "Class", "Hosts", "Address", "Ports", "Age")
    first_status = MappingProxyType({"loadBalancer": {}})
    status_keeps = ()

    def check(self, obj: Obj) -> list[Cause]:
        spec = obj.get("spec") or {}
        found: list[Cause] = []
        backend, rules = spec.get("defaultBackend"), spec.get("rules") or ()
        if not rules and backend is None:
            detail = "either `defaultBackend` or `rules` must be specified"
            found.append(causes.invalid("spec", None, detail))
        if backend is not None:
            found += _backend(backend, "spec.defaultBackend")
        for index, rule in enumerate(rules):
            found += _rule(rule, f"spec.rules[{index}]")
        for number, entry in enumerate(spec.get("tls") or ()):
            for index, host in enumerate(entry.get("hosts") or ()):
                found += _host(host, f"spec.tls[{number}].hosts[{index}]")
            if secret := entry.get("secretName"):
                found += values.named(secret, f"spec.tls[{number}].secretName", names.dns_subdomain)
        if spec.get("ingressClassName") is not None:
            found += values.named(spec["ingressClassName"], "spec.ingressClassName", names.dns_subdomain)
        return found

    def validate_create(self, obj: Obj) -> list[Cause]:
        """The annotation of old times says what the field says, if both do."""
        found = super().validate_create(obj)
        told = (obj["metadata"].get("annotations") or {}).get(CLASS)
        named = (obj.get("spec") or {}).get("ingressClassName")
        if told is not None and named is not None and told != named:
            detail = "must match `ingressClassName` when both are specified"
            found.append(causes.invalid(f"annotations.{CLASS}", told, detail))
        return found

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        ingress = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        found: list[Cause] = []
        for index, entry in enumerate(ingress):
            found += reached_at(entry, f"status.loadBalancer.ingress[{index}]")
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj.get("spec") or {}
        rules = spec.get("rules") or ()
        hosts = [rule["host"] for rule in rules[:3] if rule.get("host")]
        text = ",".join(hosts) or "*"
        if len(rules) > 3 and hosts:
            text = f"{text} + {len(rules) - 3} more..."
        return [
            obj["metadata"]["name"], spec.get("ingressClassName") or cells.NONE, text,
            ",".join(load_balancer(obj)), "80, 443" if spec.get("tls") else "80", cells.age(obj, now),
        ]  # fmt: skip


def _host(host: str, path: str) -> list[Cause]:
    if "*" in host:
        return values.named(host, path, names.wildcard_subdomain)
    return values.named(host, path, names.dns_subdomain)


def _rule(rule: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    if host := rule.get("host"):
        if values.is_address(host):
            found.append(causes.invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        found += _host(host, f"{path}.host")
    if (http := rule.get("http")) is None:
        return found
    if not http.get("paths"):
        found.append(causes.required(f"{path}.http.paths"))
    for index, entry in enumerate(http.get("paths") or ()):
        found += _path(entry, f"{path}.http.paths[{index}]")
    return found


def _path(entry: Obj, path: str) -> list[Cause]:
    kind, text = entry.get("pathType"), entry.get("path", "")
    if kind is None:
        return [causes.required(f"{path}.pathType", "pathType must be specified")]
    found: list[Cause] = []
    where = f"{path}.path"
    if kind not in PATH_TYPES:
        found.append(causes.not_supported(f"{path}.pathType", kind, PATH_TYPES))
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        found.append(causes.invalid(where, text, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        found += [
            causes.invalid(where, text, f"must not contain '{part}'") for part in BAD_PARTS if part in text
        ]
        found += [
            causes.invalid(where, text, f"cannot end with '{end}'") for end in BAD_ENDS if text.endswith(end)
        ]
    return found + _backend(entry.get("backend") or {}, f"{path}.backend")


def _backend(backend: Obj, path: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [causes.invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _reference(resource, f"{path}.resource")
    if service is None:
        return [causes.invalid(path, "", "resource or service backend is required")]
    where = f"{path}.service"
    found = [] if service.get("name") else [causes.required(f"{where}.name")]
    if service.get("name"):
        found += values.named(service["name"], f"{where}.name", names.dns_label)
    port = service.get("port") or {}
    name, number = port.get("name"), port.get("number")
    if name and number:
        found.append(causes.invalid(path, "", "cannot set both port name & port number"))
    elif name:
        found += values.named(name, f"{where}.port.name", names.port_name)
    elif number:
        found += values.port(number, f"{where}.port.number")
    else:
        found.append(causes.required(path, "port name or number is required"))
    return found


def _reference(reference: Obj, path: str) -> list[Cause]:
    """A TypedLocalObjectReference."""
    found: list[Cause] = []
    if reference.get("apiGroup") is not None:
        found += values.named(reference["apiGroup"], f"{path}.apiGroup", names.dns_subdomain)
    for key in ("kind", "name"):
        if not reference.get(key):
            found.append(causes.required(f"{path}.{key}"))
        else:
            found += values.named(reference[key], f"{path}.{key}", names.path_segment)
    return found


class IngressClasses(Strategy):
    has_generation = True
    columns = cells.table("Name", "Controller", "Parameters", "Age")

    def default(self, obj: Obj) -> None:
        parameters = (obj.get("spec") or {}).get("parameters")
        if parameters is not None:
            parameters.setdefault("scope", "Cluster")

    def check(self, obj: Obj) -> list[Cause]:
        controller = (obj.get("spec") or {}).get("controller", "")
        found: list[Cause] = []
        if len(controller) > LONGEST_CONTROLLER:
            found.append(causes.too_long("spec.controller", LONGEST_CONTROLLER))
        found += values.domain_path(controller, "spec.controller")
        parameters = (obj.get("spec") or {}).get("parameters")
        return found if parameters is None else found + _parameters(parameters, "spec.parameters")

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        now, before = ((obj.get("spec") or {}).get("controller") for obj in (new, old))
        return metadata.immutable(now, before, "spec.controller") + self.check(new)

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec, name = obj.get("spec") or {}, obj["metadata"]["name"]
        if (obj["metadata"].get("annotations") or {}).get(DEFAULT) == "true":
            name += " (default)"
        text = cells.NONE
        if parameters := spec.get("parameters"):
            group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") is not None else ""
            text = f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"
        return [name, spec.get("controller", ""), text, cells.age(obj, now)]


def _parameters(parameters: Obj, path: str) -> list[Cause]:
    found = _reference(parameters, path)
    scope, namespace, where = parameters.get("scope"), parameters.get("namespace"), f"{path}.namespace"
    if scope not in ("Cluster", "Namespace"):
        return [*found, causes.not_supported(f"{path}.scope", scope or "", ("Cluster", "Namespace"))]
    if scope == "Cluster":
        detail = "`parameters.scope` is set to 'Cluster'"
        return found if namespace is None else [*found, causes.forbidden(where, detail)]
    if namespace is None:
        return [*found, causes.required(where, "`parameters.scope` is set to 'Namespace'")]
    return found + values.named(namespace, where, names.dns_label)
