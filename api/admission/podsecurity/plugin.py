"""The plugin: pods are refused, what makes pods is warned of, and a namespace that gets stricter hears which
of its pods would no longer be let in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from podium.api.admission.podsecurity.configuration import Configuration
from podium.api.admission.podsecurity.evaluation import findings
from podium.api.admission.podsecurity.findings import Finding
from podium.api.admission.podsecurity.levels import MODES, PREFIX, PRIVILEGED, Level, Policy, policy_of
from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.types import Obj
from podium.api.types.errors import internal, invalid
from podium.api.types.resources import NAMESPACES, PODS

# Of pods; who connects to one or reports of it changes nothing that is looked at.
_IGNORED = frozenset({"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"})
# Kinds that make pods → the way to their template.
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}
# As many pods of a namespace are looked at when it gets stricter.
LOOKED_AT = 3000
_ANNOTATION = "pod-security.kubernetes.io/"


class PodSecurity:
    name = "PodSecurity"

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = configuration or Configuration()

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """What counts is what is going to be stored."""

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        if request.operation not in ("CREATE", "UPDATE") or request.obj is None:
            return
        resource = request.resource
        if resource is PODS:
            if request.subresource not in _IGNORED and _significant(request):
                self._judge(request, cluster, request.obj, enforce=True)
        elif request.subresource:
            return
        elif resource is NAMESPACES:
            self._namespace(request, cluster)
        elif way := _TEMPLATES.get((resource.group, resource.plural)):
            template: Obj = request.obj
            for key in way:
                template = template.get(key) or {}
            if template.get("spec"):
                self._judge(request, cluster, template, enforce=False)

    def _judge(self, request: AdmissionRequest, cluster: Cluster, pod: Obj, *, enforce: bool) -> None:
        configuration, note = self._configuration, request.annotations
        exempt = f"{_ANNOTATION}exempt"
        if request.namespace in configuration.namespaces:
            note[exempt] = "namespace"
            return
        names = configuration.usernames
        if names and request.user is not None and request.user.info()["username"] in names:
            note[exempt] = "user"
            return
        namespace = cluster.lookup(NAMESPACES, "", request.namespace)
        if namespace is None:
            if enforce:
                raise internal(f'failed to lookup namespace "{request.namespace}"')
            return
        policy, causes = self._policy(namespace)
        if not causes and policy.privileged:
            return
        if pod["spec"].get("runtimeClassName") in configuration.runtime_classes:
            note[exempt] = "runtimeClass"
            return
        if causes:
            note[f"{_ANNOTATION}error"] = f"Failed to parse policy: {', '.join(map(str, causes))}"
        _apply(request, policy, pod, enforce=enforce)

    def _policy(self, namespace: Obj) -> tuple[Policy, list[object]]:
        policy, causes = policy_of(_labels(namespace), self._configuration.defaults)
        return policy, list(causes)

    def _namespace(self, request: AdmissionRequest, cluster: Cluster) -> None:
        """Raises 422 for labels that make no sense, unless they were there before."""
        new, old = request.obj or {}, request.old
        defaults = self._configuration.defaults
        policy, causes = policy_of(_labels(new), defaults)
        before, faults = policy_of(_labels(old), defaults) if old is not None else (None, [])
        if causes and causes != faults:
            raise invalid(NAMESPACES.kind, request.name, causes)
        if before is not None and not _stricter(policy.enforce, before.enforce):
            return
        if request.name in self._configuration.namespaces:
            if warning := _ignored(request.name, policy, _labels(new), defaults):
                request.warnings.append(warning)
        elif before is not None:
            request.warnings += self._violations(request.name, policy.enforce, cluster)

    def _violations(self, name: str, level: Level, cluster: Cluster) -> list[str]:
        pods = _one_of_each(
            pod
            for pod in cluster.every(PODS, name)
            if pod["spec"].get("runtimeClassName") not in self._configuration.runtime_classes
        )
        found: dict[str, list[str]] = {}
        for pod in pods[:LOOKED_AT]:
            if why := ", ".join(each.reason for each in findings(level, pod["metadata"], pod["spec"])):
                found.setdefault(why, []).append(pod["metadata"]["name"])
        warnings = []
        if len(pods) > LOOKED_AT:
            text = f"first {LOOKED_AT} of {len(pods)} existing pods"
            warnings.append(f"new PodSecurity enforce level only checked against the {text}")
        if found:
            new = f'the new PodSecurity enforce level "{level}"'
            warnings.append(f'existing pods in namespace "{name}" violate {new}')
        return warnings + sorted(f"{_one_and_others(names)}: {why}" for why, names in found.items())


def _apply(request: AdmissionRequest, policy: Policy, pod: Obj, *, enforce: bool) -> None:
    known: dict[Level, list[Finding]] = {}

    def look(level: Level) -> str:
        if level not in known:
            known[level] = findings(level, pod.get("metadata") or {}, pod["spec"])
        return ", ".join(map(str, known[level]))

    if enforce:
        request.annotations[f"{_ANNOTATION}enforce-policy"] = str(policy.enforce)
    if why := look(policy.audit):
        text = f'would violate PodSecurity "{policy.audit}": {why}'
        request.annotations[f"{_ANNOTATION}audit-violations"] = text
    if enforce and (why := look(policy.enforce)):
        raise request.refuse(f'violates PodSecurity "{policy.enforce}": {why}')
    if why := look(policy.warn):
        request.warnings.append(f'would violate PodSecurity "{policy.warn}": {why}')


def _labels(obj: Obj | None) -> dict[str, str]:
    return ((obj or {}).get("metadata") or {}).get("labels") or {}


def _stricter(new: Level, old: Level) -> bool:
    if new == old or new.name == PRIVILEGED:
        return False
    return new.version != old.version or new.strictness > old.strictness


def _significant(request: AdmissionRequest) -> bool:
    """Of an update whether it changes what is run."""
    if request.operation == "CREATE" or request.old is None:
        return True
    new, old = (request.obj or {})["spec"], request.old["spec"]
    for key in ("containers", "initContainers"):
        if [each.get("image") for each in new.get(key) or ()] != [
            each.get("image") for each in old.get(key) or ()
        ]:
            return True
    key = "ephemeralContainers"
    had = {each["name"]: each.get("image") for each in old.get(key) or ()}
    return any(had.get(each["name"]) != each.get("image") for each in new.get(key) or ())


def _one_of_each(pods: Iterable[Obj]) -> Sequence[Obj]:
    """Those that have no like before them first: of each controller's pods one is as good as the others."""
    first: list[Obj] = []
    rest: list[Obj] = []
    seen: set[str] = set()
    for pod in pods:
        owners = pod["metadata"].get("ownerReferences") or ()
        uid = next((owner["uid"] for owner in owners if owner.get("controller")), "")
        (rest if uid in seen else first).append(pod)
        if uid:
            seen.add(uid)
    return [*first, *rest]


def _one_and_others(names: list[str]) -> str:
    name, others = min(names), len(names) - 1
    return f"{name} (and {others} other pod{'s' if others > 1 else ''})" if others else name


def _ignored(name: str, policy: Policy, labels: dict[str, str], defaults: Policy) -> str:
    """Said of an exempt namespace with labels that count for nothing; "" for one without."""
    if policy.privileged or policy == defaults:
        return ""
    said = [
        f"{mode}={level}"
        for mode, level in zip(MODES, policy, strict=True)
        if level.name != PRIVILEGED and {f"{PREFIX}{mode}", f"{PREFIX}{mode}-version"} & labels.keys()
    ]
    listed = ", ".join(said)
    return f'namespace "{name}" is exempt from Pod Security, and the policy ({listed}) will be ignored'
