"""containerd over gRPC: one typed class per service, one error tree, and the child process that Podium runs
for itself.

Nothing in here knows what a pod is.
"""

from podium.runtime.containerd.client import Containerd
from podium.runtime.containerd.errors import AlreadyExists, ContainerdError, NotFound, Unavailable

__all__ = ["AlreadyExists", "Containerd", "ContainerdError", "NotFound", "Unavailable"]
