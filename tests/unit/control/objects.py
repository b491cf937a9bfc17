"""Objects for tests."""

from __future__ import annotations

from typing import Any

from podium.api.types import Obj

LABELS = {"app": "web"}
QUARTER = {"maxSurge": "25%", "maxUnavailable": "25%"}
ADDRESSES = {"web": "10.43.7.7", "manual": "10.43.7.8"}


def template(image: str = "web:1", labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    containers = [{"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}]
    return {"metadata": {"labels": labels or LABELS}, "spec": {"containers": containers, **spec}}


def deployment(replicas: int = 3, *, name: str = "web", image: str = "web:1", **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": template(image),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": QUARTER},
            **spec,
        },
    }


def replica_set(replicas: int = 2, *, name: str = "web", **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": template(),
            **spec,
        },
    }


def pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    made = template(labels=labels, **spec)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "test", **made["metadata"]},
        "spec": made["spec"],
    }


def service(name: str = "web", **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "test", "labels": {"tier": "front"}},
        "spec": {
            "clusterIP": ADDRESSES[name],
            "selector": LABELS,
            "ports": [{"port": 80, "targetPort": "http"}],
            **spec,
        },
    }


def config_map(name: str, **metadata: Any) -> Obj:
    meta = {"name": name, "namespace": "test", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def owned_by(*owners: Obj, blocks: bool = False) -> list[Obj]:
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **({"blockOwnerDeletion": True} if blocks else {}),
        }
        for owner in owners
    ]


def stateful_set(replicas: int = 3, *, name: str = "web", claims: tuple[str, ...] = (), **spec: Any) -> Obj:
    templates = [
        {
            "metadata": {"name": claim},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        }
        for claim in claims
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {
            "replicas": replicas,
            "serviceName": "peers",
            "selector": {"matchLabels": LABELS},
            "template": template(),
            **({"volumeClaimTemplates": templates} if templates else {}),
            **spec,
        },
    }


def daemon_set(*, name: str = "web", pod: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": pod or template(), **spec},
    }
