"""The group resource.k8s.io: devices, and claims for them."""

from podium.api.groups.devices import claims, classes, slices
from podium.api.strategy import Strategy
from podium.api.types import resources
from podium.api.types.resources import Resource

STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.DEVICE_CLASSES: classes.DeviceClasses,
    resources.RESOURCE_CLAIM_TEMPLATES: claims.ResourceClaimTemplates,
    resources.RESOURCE_CLAIMS: claims.ResourceClaims,
    resources.RESOURCE_SLICES: slices.ResourceSlices,
}
