"""What a container of a pod is to the OCI runtime: pure functions from the pod, the image and paths to a
runtime spec."""

from podium.runtime.oci.spec import ContainerInput, OwnUsers, PodPaths, build

__all__ = ["ContainerInput", "OwnUsers", "PodPaths", "build"]
