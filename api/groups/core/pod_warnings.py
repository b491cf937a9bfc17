"""What the sender of a pod or a pod template is told about one that is accepted.

Source: API reference, core/v1 PodSpec; docs, "Well-Known Labels, Annotations and Taints".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from podium.api.groups.core.pod_validation.windows import containers_of
from podium.api.types import Obj, quantity
from podium.api.validation import causes

NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": (
        "deprecated since v1.22; use Taints and Tolerations instead"
    ),
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_SYSCTLS = 'non-functional in v1.11+; use the "sysctls" field instead'
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": _SYSCTLS,
    "security.alpha.kubernetes.io/unsafe-sysctls": _SYSCTLS,
}
# What a volume of a kind is called, and what became of it.
_VOLUMES = {
    "photonPersistentDisk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "gitRepo": ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    "scaleIO": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "flocker": ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "quobyte": ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
_BYTES = ("memory", "ephemeral-storage")
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_REQUIRED, _PREFERRED = (
    f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred")
)


def check(pod: Obj, path: str = "") -> list[str]:
    """`path` is where a template is, "" for a pod."""
    spec, where = pod.get("spec") or {}, f"{path}.spec" if path else "spec"
    return [*_placement(spec, where), *of_annotations(pod, path), *_other(spec, where)]


def of_annotations(pod: Obj, path: str = "") -> list[str]:
    annotations = (pod.get("metadata") or {}).get("annotations")
    if not annotations:
        return []
    place = f"{path}.metadata.annotations" if path else "metadata.annotations"
    return [f"{place}[{key}]: {text}" for key, text in _ANNOTATIONS.items() if key in annotations]


def _other(spec: Obj, path: str) -> list[str]:
    found = [
        *_volumes(spec, path),
        *_twice(spec, path),
        *_fractions(spec.get("overhead"), f"{path}.overhead"),
    ]
    for container, place in containers_of(spec, path):
        found += _container(container, place)
    found += _ports(spec, path)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        detail = "must be >= 0; negative values are invalid and will be treated as 1"
        found.append(f"{path}.terminationGracePeriodSeconds: {detail}")
    return [*found, *_affinity(spec.get("affinity") or {}, f"{path}.affinity")]


def _placement(spec: Obj, path: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if key in NODE_LABELS:
            yield f"{path}.nodeSelector[{key}]: {NODE_LABELS[key]}"
    node = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    where = f"{path}.affinity.nodeAffinity"
    for index, term in enumerate((node.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()):
        yield from _node_term(term, f"{where}.{_REQUIRED}.nodeSelectorTerms[{index}]")
    for index, entry in enumerate(node.get(_PREFERRED) or ()):
        yield from _node_term(entry.get("preference") or {}, f"{where}.{_PREFERRED}[{index}].preference")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        where, key = f"{path}.topologySpreadConstraints[{index}]", constraint.get("topologyKey", "")
        if key in NODE_LABELS:
            yield f"{where}.topologyKey: {key} is {NODE_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{where}.labelSelector: {_NO_SELECTOR}"


def _node_term(term: Obj, path: str) -> Iterator[str]:
    for index, entry in enumerate(term.get("matchExpressions") or ()):
        key = entry.get("key", "")
        if key in NODE_LABELS:
            yield f"{path}.matchExpressions[{index}].key: {key} is {NODE_LABELS[key]}"


def _volumes(spec: Obj, path: str) -> Iterator[str]:
    for index, volume in enumerate(spec.get("volumes") or ()):
        for key in volume.keys() & _VOLUMES.keys():
            name, text = _VOLUMES[key]
            yield f"{path}.volumes[{index}].{name}: {text}"


def _twice(spec: Obj, path: str) -> Iterator[str]:
    for field, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen: set[str] = set()
        for index, entry in enumerate(spec.get(field) or ()):
            value, where = entry.get(key, ""), f"{path}.{field}[{index}].{key}"
            if value in seen:
                yield f"{where}: duplicate {key} {causes.render(value)}"
            seen.add(value)
            if field == "imagePullSecrets" and not value:
                yield f'{where}: invalid empty name ""'


def _fractions(amounts: Mapping[str, str] | None, path: str) -> Iterator[str]:
    for name in _BYTES:
        amount = (amounts or {}).get(name)
        if amount is not None and quantity.parse(amount) % 1:
            detail = f'fractional byte value "{amount}" is invalid, must be an integer'
            yield f"{path}[{name}]: {detail}"


def _container(container: Obj, path: str) -> Iterator[str]:
    resources = container.get("resources") or {}
    for key in ("limits", "requests"):
        if key in resources:
            yield from _fractions(resources[key], f"{path}.resources.{key}")
    env = container.get("env")
    if env and len({variable.get("name", "") for variable in env}) < len(env):
        yield from _hidden(env, path)


def _hidden(env: Sequence[Obj], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, variable in enumerate(env):
        name, value = variable.get("name", ""), variable.get("value", "")
        reference = f"$({name})"
        hides = variable.get("valueFrom") is not None or value == reference or reference not in value
        if name in seen and hides:
            detail = "which may be dropped when using apply"
            yield f"{path}.env[{index}]: hides previous definition of {causes.render(name)}, {detail}"
        seen.add(name)


def _ports(spec: Obj, path: str) -> list[str]:
    """Ports that several containers have, and names that several ports have."""
    every = [port for container, _ in containers_of(spec, path) for port in container.get("ports") or ()]
    numbers = {(port.get("containerPort", 0), port.get("protocol", "")) for port in every}
    given = [port["name"] for port in every if port.get("name")]
    if len(numbers) == len(every) and len(set(given)) == len(given):
        return []
    found: list[str] = []
    known: dict[tuple[int, str], list[tuple[str, Obj]]] = {}
    named: dict[str, str] = {}
    names: list[str] = []
    for container, place in containers_of(spec, path):
        for index, port in enumerate(container.get("ports") or ()):
            where = f"{place}.ports[{index}]"
            others = known.setdefault((port.get("containerPort", 0), port.get("protocol", "")), [])
            found += [f"{where}: {text} port definition with {other}"
                      for other, given in others if (text := _clash(port, given))]  # fmt: skip
            others.append((where, port))
            name = port.get("name")
            if name and name in named:
                detail = f"services and probes that select ports by name will use {named[name]}"
                names.append(f'{where}: duplicate port name "{name}" with {named[name]}, {detail}')
            elif name:
                named[name] = where
    return found + names


def _clash(port: Obj, other: Obj) -> str:
    address, host = (port.get(key) or None for key in ("hostIP", "hostPort"))
    other_address, other_host = (other.get(key) or None for key in ("hostIP", "hostPort"))
    if (address, host) == (other_address, other_host):
        return "duplicate"
    if host is None or other_host is None:
        return "overlapping"
    return "dangerously ambiguous" if host == other_host and None in (address, other_address) else ""


def _affinity(affinity: Obj, path: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(kind) or {}
        for index, term in enumerate(part.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{path}.{kind}.{_REQUIRED}[{index}].labelSelector: {_NO_SELECTOR}"
        for index, entry in enumerate(part.get(_PREFERRED) or ()):
            if (entry.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{path}.{kind}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"
