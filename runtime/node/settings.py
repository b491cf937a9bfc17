"""A node's settings under the names of a KubeletConfiguration, for /configz. Pure."""

from __future__ import annotations

from podium.api.types import Obj
from podium.runtime.config import NodeConfig
from podium.runtime.nodeapi.guard import ALLOWED, DENIED, TOKENS
from podium.runtime.usernamespaces.ranges import LENGTH


def settings(config: NodeConfig) -> Obj:
    logs, down, eviction, images = config.logs, config.shutdown, config.eviction, config.image_gc
    found: Obj = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": duration(TOKENS)},
            "x509": {"clientCAFile": str(config.client_ca or "")},
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": {"cacheAuthorizedTTL": duration(ALLOWED), "cacheUnauthorizedTTL": duration(DENIED)},
        },
        "allowedUnsafeSysctls": list(config.unsafe_sysctls),
        "cgroupDriver": config.cgroup_driver,
        "cgroupRoot": config.cgroup_root,
        "clusterDNS": list(config.cluster_dns),
        "clusterDomain": config.cluster_domain,
        "containerLogMaxFiles": logs.max_files,
        "containerLogMaxSize": str(logs.max_size),
        "crashLoopBackOff": {"maxContainerRestartPeriod": duration(config.max_backoff)},
        "enforceNodeAllocatable": ["pods"],
        "evictionHard": _pairs(eviction.hard, "<"),
        "evictionSoft": _pairs(eviction.soft, "<"),
        "evictionSoftGracePeriod": _pairs(eviction.soft_grace, "="),
        "evictionMinimumReclaim": _pairs(eviction.reclaim, "="),
        "evictionPressureTransitionPeriod": duration(eviction.transition),
        "evictionMaxPodGracePeriod": eviction.max_grace,
        "imageGCHighThresholdPercent": images.high,
        "imageGCLowThresholdPercent": images.low,
        "imageMinimumGCAge": duration(images.minimum_age),
        "imageMaximumGCAge": duration(images.maximum_age),
        "imagePullCredentialsVerificationPolicy": config.pull_verification.policy,
        "preloadedImagesVerificationAllowlist": list(config.pull_verification.allowed),
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
        "shutdownGracePeriod": duration(down.grace),
        "shutdownGracePeriodCriticalPods": duration(down.critical),
        "staticPodPath": str(config.manifests_folder),
        "tlsCertFile": str(config.serving_cert or ""),
        "tlsPrivateKeyFile": str(config.serving_key or ""),
        "userNamespaces": {"idsPerPod": LENGTH},
    }
    if down.shares:
        found["shutdownGracePeriodByPodPriority"] = [
            {"priority": each.priority, "shutdownGracePeriodSeconds": each.seconds} for each in down.shares
        ]
    return found


def _pairs(text: str, between: str) -> dict[str, str]:
    parts = (part.partition(between) for part in text.split(",") if part)
    return {name.strip(): value.strip() for name, _, value in parts}


def duration(seconds: float) -> str:
    """As Go writes one: 0s, 40s, 5m0s, 1h0m0s."""
    whole, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(whole), 60)
    if hours:
        return f"{hours}h{minutes}m{rest:g}s"
    return f"{minutes}m{rest:g}s" if minutes else f"{rest:g}s"
