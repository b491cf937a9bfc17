"""Short forms of the objects that tests apply."""

from __future__ import annotations

from typing import Any

BUSYBOX = "busybox:latest"
NGINX = "nginx:latest"
ECHO_V1 = "podium.io/echo:v1"
ECHO_V2 = "podium.io/echo:v2"

# PID 1 of a container gets no default action for SIGTERM, so that a shell has to ask for it.
FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]

Obj = dict[str, Any]


def container(name: str = "main", image: str = BUSYBOX, **more: Any) -> Obj:
    command = {} if image != BUSYBOX or "command" in more else {"command": FOREVER}
    return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", **command, **more}


def sh(script: str, name: str = "main", **more: Any) -> Obj:
    return container(name, command=["sh", "-c", script], **more)


def pod(name: str, *containers: Obj, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 5, **spec, "containers": list(containers) or [container()]},
    }


def deployment(name: str, replicas: int, *containers: Obj, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            **spec,
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": list(containers) or [container()]},
            },
        },
    }


def stateful_set(name: str, replicas: int, *containers: Obj, **spec: Any) -> Obj:
    """Its pods are known by name below the headless service `NAME-peers`."""
    pod_spec = {"terminationGracePeriodSeconds": 1, "containers": list(containers) or [container()]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": f"{name}-peers",
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec},
            **spec,
        },
    }


def daemon_set(name: str, *containers: Obj, pod_spec: Obj | None = None, **spec: Any) -> Obj:
    containing = {"terminationGracePeriodSeconds": 1, "containers": list(containers) or [container()]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {**containing, **(pod_spec or {})},
            },
            **spec,
        },
    }


def service(name: str, *ports: Obj, selector: dict[str, str] | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector or {"app": name}, "ports": list(ports) or [{"port": 80}], **spec},
    }


def config_map(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
