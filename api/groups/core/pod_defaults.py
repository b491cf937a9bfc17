"""Defaults of pods and pod templates. Source: API reference, core/v1 PodSpec and Container.

A template gets what `spec` fills in; a pod itself gets more (`pod`): requests from limits, service links,
host ports. All in place and idempotent.
"""

from __future__ import annotations

from typing import Any

from podium.api.types import Obj, quantity

FILE_MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_NESTED_VOLUMES = frozenset(

    {"secret", "configMap", "downwardAPI", "projected", "hostPath", "ephemeral", "image", "iscsi", "rbd",
    "azureDisk", "scaleIO"},
)  # fmt: skip


def template(obj: Obj) -> None:
    """A PodTemplateSpec."""
    spec(obj.setdefault("spec", {}))


def spec(pod: Obj) -> None:
    """A PodSpec. The deprecated name of the service account mirrors the other. What belongs to features that
    are off by default is dropped, here and below."""
    pod.pop("schedulingGroup", None)
    pod.setdefault("dnsPolicy", "ClusterFirst")
    pod.setdefault("restartPolicy", "Always")
    pod.setdefault("securityContext", {})
    pod.setdefault("terminationGracePeriodSeconds", 30)
    pod.setdefault("schedulerName", "default-scheduler")
    _service_account(pod)
    for key in _CONTAINERS:
        for entry in pod.get(key) or ():
            container(entry)
    for entry in pod.get("volumes") or ():
        volume(entry)


def _service_account(pod: Obj) -> None:
    name = pod.get("serviceAccountName") or pod.get("serviceAccount")
    if name:
        pod["serviceAccountName"] = pod["serviceAccount"] = name


def container(entry: Obj) -> None:
    if "imagePullPolicy" not in entry:
        entry["imagePullPolicy"] = "Always" if _latest(entry.get("image", "")) else "IfNotPresent"
    entry.setdefault("terminationMessagePath", "/dev/termination-log")
    entry.setdefault("terminationMessagePolicy", "File")
    entry.setdefault("resources", {})
    for port in entry.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for key in _PROBES:
        if key in entry:
            probe(entry[key])
    for handler in (entry.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _http(handler)
    for variable in entry.get("env") or ():
        if "valueFrom" in variable:
            _env_source(variable["valueFrom"])
    context = entry.get("securityContext")
    if context is not None and context.get("procMount") == "":
        del context["procMount"]


def _latest(image: str) -> bool:
    """Whether a reference names the tag `latest`, which it also does when it names neither a tag nor a
    digest."""
    if "@" in image:
        return False
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return not colon or tag == "latest"


def probe(entry: Obj) -> None:
    _http(entry)
    for key, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not entry.get(key):
            entry[key] = value
    if "grpc" in entry:
        entry["grpc"].setdefault("service", "")


def _http(handler: Obj) -> None:
    if (action := handler.get("httpGet")) is not None:
        action["path"] = action.get("path") or "/"
        action["scheme"] = action.get("scheme") or "HTTP"


def _env_source(source: Obj) -> None:
    if (field := source.get("fieldRef")) is not None:
        field.setdefault("apiVersion", "v1")
    if (resource := source.get("resourceFieldRef")) is not None:
        resource.setdefault("divisor", "0")
    if (file := source.get("fileKeyRef")) is not None:
        file.setdefault("optional", False)


def volume(entry: Obj) -> None:
    if len(entry) == 1:
        entry["emptyDir"] = {}
        return
    for key in entry.keys() & _NESTED_VOLUMES:
        _VOLUMES[key](entry[key])


def _mode(source: Obj) -> None:
    source.setdefault("defaultMode", FILE_MODE)


def _downward(source: Obj) -> None:
    _mode(source)
    _items(source)


def _items(source: Obj) -> None:
    for item in source.get("items") or ():
        _env_source(item)


_DISABLED_SOURCES = frozenset({"clusterTrustBundle", "podCertificate"})


def _projected(source: Obj) -> None:
    _mode(source)
    for part in source.get("sources") or ():
        for disabled in _DISABLED_SOURCES & part.keys():
            del part[disabled]
        if (token := part.get("serviceAccountToken")) is not None:
            token.setdefault("expirationSeconds", 3600)
        if (downward := part.get("downwardAPI")) is not None:
            _items(downward)


def _host_path(source: Obj) -> None:
    source.setdefault("type", "")


def _ephemeral(source: Obj) -> None:
    if (claim := source.get("volumeClaimTemplate")) is not None and "spec" in claim:
        claim["spec"].setdefault("volumeMode", "Filesystem")


def _image(source: Obj) -> None:
    if not source.get("pullPolicy"):
        source["pullPolicy"] = "Always" if _latest(source.get("reference", "")) else "IfNotPresent"


def _constants(**values: Any) -> Any:
    def fill(source: Obj) -> None:
        for key, value in values.items():
            source.setdefault(key, value)

    return fill


_VOLUMES = {
    "secret": _mode,
    "configMap": _mode,
    "downwardAPI": _downward,
    "projected": _projected,
    "hostPath": _host_path,
    "ephemeral": _ephemeral,
    "image": _image,
    "iscsi": _constants(iscsiInterface="default"),
    "rbd": _constants(pool="rbd", user="admin", keyring="/etc/ceph/keyring"),
    "azureDisk": _constants(cachingMode="ReadWrite", kind="Shared", fsType="ext4", readOnly=False),
    "scaleIO": _constants(storageMode="ThinProvisioned", fsType="xfs"),
}


def pod(obj: Obj) -> None:
    """A Pod: its spec's defaults, and those that templates do not show."""
    wanted = obj.setdefault("spec", {})
    spec(wanted)
    wanted.setdefault("enableServiceLinks", True)
    for key in ("containers", "initContainers"):
        for entry in wanted.get(key) or ():
            _requests_from_limits(entry["resources"])
            if wanted.get("hostNetwork"):
                _host_ports(entry)
    if (resources := wanted.get("resources")) is not None:
        _pod_requests(wanted, resources)


def _requests_from_limits(resources: Obj) -> None:
    if limits := resources.get("limits"):
        resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _host_ports(entry: Obj) -> None:
    for port in entry.get("ports") or ():
        if not port.get("hostPort"):
            port["hostPort"] = port.get("containerPort", 0)


_POD_LEVEL = ("cpu", "memory")


def _pod_requests(wanted: Obj, resources: Obj) -> None:
    """Requests of the whole pod, where only its limits are given: the containers' sum, else the limits."""
    limits = resources.get("limits")
    if not limits:
        return
    requests = dict(resources.get("requests") or {})
    for name in _POD_LEVEL:
        amounts = [
            (entry["resources"].get("requests") or {}).get(name) for entry in wanted.get("containers") or ()
        ]
        given = [amount for amount in amounts if amount is not None]
        if name not in requests and given:
            requests[name] = total(given)
        if name not in requests and name in limits:
            requests[name] = limits[name]
    for name in limits:
        if name.startswith("hugepages-"):
            requests.setdefault(name, limits[name])
    if requests:
        resources["requests"] = requests


def total(amounts: list[str]) -> str:
    """The sum of quantities, in thousandths where it is no whole number."""
    sum_ = sum(quantity.parse(amount) for amount in amounts)
    return str(int(sum_)) if sum_ == int(sum_) else f"{int(sum_ * 1000)}m"
