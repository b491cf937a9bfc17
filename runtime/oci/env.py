"""Environment variables: declared, taken from ConfigMaps, Secrets and the pod itself, and those of
services."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from podium.api.types import Obj, quantity
from podium.runtime.oci import envfiles
from podium.runtime.oci.errors import ConfigError

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")


@dataclass(frozen=True, slots=True)
class EnvSources:
    """What variables may refer to. ConfigMaps and Secrets of the pod's namespace by name; those that do not
    exist are absent. `files` holds what containers have left in volumes, by volume and path; those that
    cannot be read are absent. `allocatable` stands in for limits that a container does not set."""

    config_maps: Mapping[str, Obj] = field(default_factory=dict)
    secrets: Mapping[str, Obj] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[tuple[str, str], str] = field(default_factory=dict)
    pod_ips: tuple[str, ...] = ()
    host_ip: str = ""
    allocatable: Mapping[str, str] = field(default_factory=dict)


def wanted(container: Obj) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and Secrets that a container's variables come from."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for source in container.get("envFrom") or ():
        if "configMapRef" in source:
            config_maps.add(source["configMapRef"].get("name", ""))
        if "secretRef" in source:
            secrets.add(source["secretRef"].get("name", ""))
    for variable in container.get("env") or ():
        origin = variable.get("valueFrom") or {}
        if "configMapKeyRef" in origin:
            config_maps.add(origin["configMapKeyRef"].get("name", ""))
        if "secretKeyRef" in origin:
            secrets.add(origin["secretKeyRef"].get("name", ""))
    return config_maps, secrets


def wanted_files(container: Obj) -> set[tuple[str, str]]:
    """(volume, path) of the files that a container's variables come from."""
    origins = (variable.get("valueFrom") or {} for variable in container.get("env") or ())
    files = (origin["fileKeyRef"] for origin in origins if "fileKeyRef" in origin)
    return {(each["volumeName"], each["path"]) for each in files}


def environment(pod: Obj, container: Obj, sources: EnvSources) -> dict[str, str]:
    """The container's variables. Raises ConfigError for what is missing and not optional."""
    made: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        made.update(_imported(source, sources))

    def lookup(name: str) -> str | None:
        return made[name] if name in made else sources.services.get(name)

    for variable in container.get("env") or ():
        if variable.get("value"):
            made[variable["name"]] = expand(variable["value"], lookup)
            continue
        value = _origin(pod, container, variable.get("valueFrom") or {}, sources)
        if value is not None:
            made[variable["name"]] = value
    for name, value in sources.services.items():
        made.setdefault(name, value)
    return made


def _imported(source: Obj, sources: EnvSources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if "configMapRef" in source:
        config_map = _object("configmap", source["configMapRef"], sources.config_maps)
        return {prefix + key: value for key, value in (config_map.get("data") or {}).items()}
    if "secretRef" in source:
        secret = _object("secret", source["secretRef"], sources.secrets)
        return {prefix + key: _decoded(value) for key, value in (secret.get("data") or {}).items()}
    return {}


def _object(kind: str, reference: Obj, known: Mapping[str, Obj]) -> Obj:
    """The object, {} when it is missing and may be."""
    name = reference.get("name", "")
    if name in known:
        return known[name]
    if reference.get("optional"):
        return {}
    raise ConfigError(f'{kind} "{name}" not found')


def _origin(pod: Obj, container: Obj, origin: Obj, sources: EnvSources) -> str | None:
    """The value a variable takes from elsewhere, None to leave the variable out."""
    if "fieldRef" in origin:
        return pod_field(pod, origin["fieldRef"].get("fieldPath", ""), sources)
    if "resourceFieldRef" in origin:
        return resource_field(pod, container, origin["resourceFieldRef"], sources.allocatable)
    if "configMapKeyRef" in origin:
        return _key(pod, origin["configMapKeyRef"], "ConfigMap", sources.config_maps)
    if "secretKeyRef" in origin:
        value = _key(pod, origin["secretKeyRef"], "Secret", sources.secrets)
        return None if value is None else _decoded(value)
    if "fileKeyRef" in origin:
        return _file_key(origin["fileKeyRef"], sources.files)
    return ""


def _file_key(reference: Obj, files: Mapping[tuple[str, str], str]) -> str | None:
    """The kubelet tells nobody why a file makes no sense: it is the container's own."""
    key, path = reference["key"], reference["path"]
    try:
        value = envfiles.value(files[(reference["volumeName"], path)], key)
    except (KeyError, ValueError) as error:
        raise ConfigError("couldn't parse env file") from error
    if value:
        return value
    if reference.get("optional"):
        return None
    raise ConfigError(f'environment variable key "{key}" not found in file "{path}"')


def _key(pod: Obj, reference: Obj, kind: str, known: Mapping[str, Obj]) -> str | None:
    data = _object(kind.lower(), reference, known).get("data") or {}
    key = reference["key"]
    if key in data:
        return str(data[key])
    if reference.get("optional"):
        return None
    namespace = pod["metadata"].get("namespace", "")
    raise ConfigError(f"couldn't find key {key} in {kind} {namespace}/{reference.get('name', '')}")


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode(errors="surrogateescape")


def pod_field(pod: Obj, path: str, sources: EnvSources) -> str:
    """A field of the pod that may be referred to. Raises ConfigError for any other."""
    meta, spec = pod["metadata"], pod.get("spec") or {}
    simple: dict[str, Callable[[], str]] = {
        "metadata.name": lambda: meta.get("name", ""),
        "metadata.namespace": lambda: meta.get("namespace", ""),
        "metadata.uid": lambda: meta.get("uid", ""),
        "metadata.labels": lambda: _map(meta.get("labels")),
        "metadata.annotations": lambda: _map(meta.get("annotations")),
        "spec.nodeName": lambda: spec.get("nodeName", ""),
        "spec.serviceAccountName": lambda: spec.get("serviceAccountName", ""),
        "status.hostIP": lambda: sources.host_ip,
        "status.hostIPs": lambda: sources.host_ip,
        "status.podIP": lambda: sources.pod_ips[0] if sources.pod_ips else "",
        "status.podIPs": lambda: ",".join(sources.pod_ips),
    }
    if path in simple:
        return simple[path]()
    if found := _SUBSCRIPT.fullmatch(path):
        return str((meta.get(found[1]) or {}).get(found[2], ""))
    raise ConfigError(f"unsupported fieldPath: {path}")


def _map(values: Mapping[str, str] | None) -> str:
    quoted = (f'{key}="{value}"' for key, value in sorted((values or {}).items()))
    return "\n".join(quoted)


def resource_field(pod: Obj, container: Obj, reference: Obj, allocatable: Mapping[str, str]) -> str:
    """A request or limit in units of the divisor, rounded up. A limit that a container does not have is that
    of its pod, else what the node can give."""
    name = reference.get("containerName")
    if name:
        spec = pod["spec"]
        everyone = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        found = next((each for each in everyone if each["name"] == name), None)
        if found is None:
            raise ConfigError(f"container {name} not found")
        container = found
    kind, _, resource = reference["resource"].partition(".")
    if kind not in ("limits", "requests"):
        raise ConfigError(f"unsupported container resource : {reference['resource']}")
    amounts = (container.get("resources") or {}).get(kind) or {}
    whole = (pod["spec"].get("resources") or {}).get("limits") or {}
    most = whole.get(resource, allocatable.get(resource, "0"))
    text = amounts.get(resource, most if kind == "limits" else "0")
    divisor = quantity.parse(reference.get("divisor") or "1") or Decimal(1)
    units = quantity.parse(text) / divisor
    return str(int(units.to_integral_value(ROUND_CEILING)))


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """Replaces `$(NAME)` by a variable's value and `$$` by `$`; what has no value stays as it is."""
    made: list[str] = []
    at = 0
    while at < len(text):
        sign = text.find("$", at)
        if sign < 0 or sign + 1 >= len(text):
            made.append(text[at:])
            break
        made.append(text[at:sign])
        at = _expand_at(text, sign, made, lookup)
    return "".join(made)


def _expand_at(text: str, sign: int, made: list[str], lookup: Callable[[str], str | None]) -> int:
    """Handles the dollar at `sign`; returns where to go on."""
    following = text[sign + 1]
    if following == "$":
        made.append("$")
        return sign + 2
    end = text.find(")", sign + 2) if following == "(" else -1
    if end < 0:
        made.append(text[sign : sign + 2])
        return sign + 2
    value = lookup(text[sign + 2 : end])
    made.append(text[sign : end + 1] if value is None else value)
    return end + 1


def service_variables(services: Iterable[Obj], namespace: str, links: bool) -> dict[str, str]:
    """The variables that name services with an address: those of the pod's namespace (with `links`), and
    always `default/kubernetes`."""
    chosen: dict[str, Obj] = {}
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        if spec.get("clusterIP", "") in ("", "None") or not spec.get("ports"):
            continue
        if meta["namespace"] == "default" and meta["name"] == "kubernetes":
            chosen.setdefault(meta["name"], spec)
        elif meta["namespace"] == namespace and links:
            chosen[meta["name"]] = spec
    made: dict[str, str] = {}
    for name, spec in sorted(chosen.items()):
        made.update(_variables_of(name.upper().replace("-", "_"), spec))
    return made


def _variables_of(prefix: str, spec: Obj) -> dict[str, str]:
    address, ports = spec["clusterIP"], spec["ports"]
    made = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            made[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    host = f"[{address}]" if ":" in address else address
    for number, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if number == 0:
            made[f"{prefix}_PORT"] = url
        stem = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        made[stem] = url
        made[f"{stem}_PROTO"] = protocol.lower()
        made[f"{stem}_PORT"] = str(port["port"])
        made[f"{stem}_ADDR"] = address
    return made
