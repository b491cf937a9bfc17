"""The words in which the parts of the system talk about volumes and claims: annotations, finalizers, names.

Source: kubernetes.io "Well-Known Labels, Annotations and Taints", "Storage Object in Use Protection";
KEP-2644 for the provisioner's finalizer.
"""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.meta import deleting

PROVISIONER = "local.podium.io"  # the built-in provisioner and CSI driver
DEFAULT_CLASS = "standard"  # the StorageClass that a new cluster has

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
STORAGE_RESIZER = "volume.kubernetes.io/storage-resizer"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
YES = "yes"  # the value of the two annotations of a binding

PVC_PROTECTION = "kubernetes.io/pvc-protection"
PV_PROTECTION = "kubernetes.io/pv-protection"
VAC_PROTECTION = "kubernetes.io/vac-protection"
PROVISIONER_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"

NODE_ATTRIBUTE = "local.podium.io/node"  # in spec.csi.volumeAttributes: the node that holds the volume
HOSTNAME = "kubernetes.io/hostname"


def volume_name(claim: Obj) -> str:
    """The name of the PersistentVolume that is made for `claim`: the same however often it is tried."""
    return f"pvc-{claim['metadata']['uid']}"


def annotation(obj: Obj, name: str) -> str | None:
    value = (obj["metadata"].get("annotations") or {}).get(name)
    return None if value is None else str(value)


def class_of(obj: Obj) -> str:
    """The class of a volume or a claim, "" for none; the annotation of old times counts first."""
    annotated = annotation(obj, BETA_CLASS)
    return annotated if annotated is not None else str(obj["spec"].get("storageClassName") or "")


def has_class(claim: Obj) -> bool:
    """Whether the claim says a class; "" says that it wants a volume without one."""
    return annotation(claim, BETA_CLASS) is not None or claim["spec"].get("storageClassName") is not None


def is_default_class(storage_class: Obj) -> bool:
    return any(annotation(storage_class, name) == "true" for name in DEFAULT_CLASS_ANNOTATIONS)


def requested(claim: Obj) -> str:
    """The storage a claim asks for, as it was written."""
    return str(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def capacity(volume: Obj) -> str:
    """The storage a volume has, as it was written."""
    return str((volume["spec"].get("capacity") or {}).get("storage", "0"))


def local_node(volume: Obj) -> str:
    """The node that holds a volume of the built-in provisioner, "" for any other volume."""
    csi = volume["spec"].get("csi") or {}
    if csi.get("driver") != PROVISIONER:
        return ""
    return str((csi.get("volumeAttributes") or {}).get(NODE_ATTRIBUTE, ""))


def is_doomed(volume: Obj) -> bool:
    """Whether a volume is to be deleted with what is in it: its claim is gone, or somebody deletes it while
    nobody has it. One without a claimRef was just freed, whatever its phase still says."""
    if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
        return False
    phase = (volume.get("status") or {}).get("phase")
    if deleting(volume):
        return phase != "Bound"
    return phase == "Released" and bool(volume["spec"].get("claimRef"))
