"""The control side of storage: binding, protection, ephemeral claims, growing, and the built-in provisioner's
share that does not need a node."""

from podium.control.controller import Context, Controller
from podium.control.volumes.binder import VolumeBinder
from podium.control.volumes.ephemeral import EphemeralClaims
from podium.control.volumes.expander import VolumeExpander
from podium.control.volumes.first import FirstStorage
from podium.control.volumes.local import LocalVolumes
from podium.control.volumes.protection import AttributesProtection, ClaimProtection, VolumeProtection

_ALL = (
    VolumeBinder,
    EphemeralClaims,
    ClaimProtection,
    VolumeProtection,
    AttributesProtection,
    VolumeExpander,
    LocalVolumes,
    FirstStorage,
)


def storage_controllers(context: Context) -> list[Controller]:
    return [controller(context) for controller in _ALL]
