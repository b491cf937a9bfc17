"""A node's settings under the names of a KubeletConfiguration, for /configz. Pure."""

from __future__ import annotations

from podium.api.types import Obj
from podium.runtime.config import NodeConfig


def settings(config: NodeConfig) -> Obj:
    logs, down, eviction = config.logs, config.shutdown, config.eviction
    found: Obj = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": "2m0s"},
            "x509": {"clientCAFile": str(config.client_ca or "")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": config.cgroup_driver,
        "cgroupRoot": config.cgroup_root,
        "clusterDNS": list(config.cluster_dns),
        "clusterDomain": config.cluster_domain,
        "containerLogMaxFiles": logs.max_files,
        "containerLogMaxSize": str(logs.max_size),
        "evictionHard": _pairs(eviction.hard, "<"),
        "evictionSoft": _pairs(eviction.soft, "<"),
        "evictionSoftGracePeriod": _pairs(eviction.soft_grace, "="),
        "evictionMinimumReclaim": _pairs(eviction.reclaim, "="),
        "evictionPressureTransitionPeriod": f"{eviction.transition:g}s",
        "kubeReserved": _pairs(config.kube_reserved, "="),
        "systemReserved": _pairs(config.system_reserved, "="),
        "maxParallelImagePulls": config.pulls_at_once,
        "maxPods": config.max_pods,
        "nodeLeaseDurationSeconds": round(config.lease_duration),
        "podPidsLimit": -1 if config.max_pids is None else config.max_pids,
        "registerNode": True,
        "registerWithTaints": [dict(each) for each in config.taints],
        "resolvConf": str(config.resolv_conf),
        "rotateCertificates": True,
        "serializeImagePulls": False,
        "serverTLSBootstrap": True,
        "shutdownGracePeriod": f"{down.grace:g}s",
        "shutdownGracePeriodCriticalPods": f"{down.critical:g}s",
        "staticPodPath": str(config.manifests or ""),
        "tlsCertFile": str(config.serving_cert or ""),
        "tlsPrivateKeyFile": str(config.serving_key or ""),
    }
    if down.shares:
        found["shutdownGracePeriodByPodPriority"] = [
            {"priority": each.priority, "shutdownGracePeriodSeconds": each.seconds} for each in down.shares
        ]
    return found


def _pairs(text: str, between: str) -> dict[str, str]:
    parts = (part.partition(between) for part in text.split(",") if part)
    return {name.strip(): value.strip() for name, _, value in parts}
