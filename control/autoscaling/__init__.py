"""Horizontal pod autoscaling: workloads get as many pods as their metrics ask for.

Deciding is pure (`replicas`: how many a metric asks for; `behavior`: how fast that may be followed), and so
is what a decision looks like in the status; metrics and targets are read through the API.

Source: kubernetes.io, "Horizontal Pod Autoscaling"; API reference, autoscaling/v2.
"""

from podium.control.autoscaling.controller import HorizontalAutoscaler

__all__ = ["HorizontalAutoscaler"]
