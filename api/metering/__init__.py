"""metrics.k8s.io: what nodes and pods use, from the nodes' own resource metrics. Nobody is asked while
nobody asks.

Source: kubernetes.io, "Resource metrics pipeline"; API reference, metrics.k8s.io/v1beta1.
"""

from podium.api.metering.collector import Collector
from podium.api.metering.metrics import MetricsApi

__all__ = ["Collector", "MetricsApi"]
