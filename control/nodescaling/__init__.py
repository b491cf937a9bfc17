"""More nodes when pods do not fit, fewer when nodes idle.

Deciding is pure (`growth`, `shrinkage`, on the scheduler's own simulation); nodes come and go through a
provider: nodes of this machine, or whatever a program of the user's makes.

Source: kubernetes.io, "Node Autoscaling"; the names of taints, annotations, events and the status are those
of Cluster Autoscaler.
"""

from podium.control.nodescaling.controller import NodeAutoscaler, NodeScalingConfig

__all__ = ["NodeAutoscaler", "NodeScalingConfig"]
