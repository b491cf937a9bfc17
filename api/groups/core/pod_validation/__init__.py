"""What a pod's or pod template's spec must keep to. Source: API reference, core/v1 PodSpec; messages as
upstream's."""

from podium.api.groups.core.pod_validation.spec import check_new_pod, check_pod, check_template

__all__ = ["check_new_pod", "check_pod", "check_template"]
