"""The group storage.k8s.io."""

from podium.api.groups.storage import classes, csi
from podium.api.strategy import Strategy
from podium.api.types import resources
from podium.api.types.resources import Resource

STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.CSI_DRIVERS: csi.CSIDrivers,
    resources.CSI_NODES: csi.CSINodes,
    resources.CSI_STORAGE_CAPACITIES: csi.CSIStorageCapacities,
    resources.STORAGE_CLASSES: classes.StorageClasses,
    resources.VOLUME_ATTACHMENTS: csi.VolumeAttachments,
    resources.VOLUME_ATTRIBUTES_CLASSES: classes.VolumeAttributesClasses,
}
